"""Charts are text that stays the same, names what it shows, and can stand beside others."""

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from edge_runtime.pages import charts
from edge_runtime.pages.charts import Axis, Estimate, Line, Panel

HOSTILE = "<b>$x^{</b>"


def curve(name: str) -> str:
    drawn = [
        Line(name=HOSTILE, x=[100, 1000], y=[0.5, 0.75], band=([0.4, 0.7], [0.6, 0.8])),
        Line(name="scratch", x=[100, 1000], y=[0.25, 0.5], steps=True),
    ]
    panel = Panel(drawn=drawn, y=Axis(label="macro F1"), limits={"asked": 0.7}, title="both")
    x = Axis(label="labels", scale="log", ticks=[100, 1000])
    return charts.panels(
        name, [panel, replace(panel, title="again")], x, shaded={"review": (200, 300)}
    )


def estimates(name: str) -> str:
    rows = [
        Estimate(name=HOSTILE, value=0.5, interval=(0.4, 0.6)),
        Estimate(name="b", value=0.25),
    ]
    return charts.estimates(name, rows, Axis(label="share", percent=True), limits={"asked": 0.5})


def bars(name: str) -> str:
    return charts.bars(name, ["a", HOSTILE], {"x": [1, 2], "y": [3, 4]}, Axis(label="gap"))


every = pytest.mark.parametrize("draw", [curve, estimates, bars])


@every
def test_the_same_values_give_the_same_bytes(draw: Callable[[str], str]) -> None:
    assert draw("one") == draw("one")


@every
def test_two_charts_of_a_page_share_no_id(draw: Callable[[str], str]) -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', draw(name))) for name in ("one", "two")]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


@every
def test_every_reference_leads_to_an_id(draw: Callable[[str], str]) -> None:
    drawn = draw("one")
    ids = set(re.findall(r'\bid="([^"]+)"', drawn))
    meant = set(re.findall(r'(?:url\(#|href="#)([^")]+)', drawn))
    assert meant
    assert meant <= ids


@every
def test_names_are_text_and_neither_markup_nor_mathematics(draw: Callable[[str], str]) -> None:
    tree = ET.fromstring(draw("one"))  # noqa: S314 -- our own text
    words = [(node.text or "").strip() for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE in words


@every
def test_a_chart_asks_for_nothing_and_tells_no_date(draw: Callable[[str], str]) -> None:
    drawn = draw("one")
    assert drawn.startswith("<svg")
    assert not re.search(r"<metadata|<image|<script|href=\"(?!#)|dc:date", drawn)


def test_shares_and_thresholds_are_written_for_people() -> None:
    found = Line(name="found", x=[0.001, 0.5, 0.999], y=[1.0, 0.9, 0.2], steps=True)
    y = Axis(label="share", limits=(0, 1), percent=True)
    x = Axis(label="threshold", scale="logit", ticks=[0.001, 0.5, 0.999])
    drawn = charts.lines("one", [found], x, y)
    assert ">0.999<" in drawn.replace("\n", "")
    assert ">100%<" in drawn.replace("\n", "")


def test_a_name_stands_at_a_tick_in_place_of_its_number() -> None:
    line = Line(name="likeness", x=[0, 1], y=[0.9, 0.5])
    x = Axis(label="", ticks=[0, 1], names=["stage 1", "last"])
    drawn = charts.lines("one", [line], x, Axis(label="CKA"))
    assert ">stage 1<" in drawn
    assert ">last<" in drawn
