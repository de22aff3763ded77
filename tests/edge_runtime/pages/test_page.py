"""One file, escaped, that asks for nothing."""

import base64
import re

import cv2
import numpy as np
import pytest
from jinja2 import UndefinedError

from edge_runtime.pages import page
from edge_runtime.pages.page import Pages
from edge_runtime.pages.picture import jpeg

HOSTILE = '<script>alert("x")</script>'


PAGES = Pages("edge_runtime.pages")


@pytest.fixture
def written() -> str:
    return PAGES.render("page.html", title=HOSTILE)


def test_a_label_cannot_become_markup(written: str) -> None:
    assert "<script" not in written
    assert "&lt;script&gt;" in written


def test_a_page_asks_for_nothing(written: str) -> None:
    assert "default-src 'none'" in written
    assert not re.search(r"(src|href)=[\"']?(?!data:|#)|url\(|@import", written)


def test_the_style_sheet_comes_as_it_is(written: str) -> None:
    assert '"Segoe UI"' in written


def test_what_a_template_lacks_is_an_error_and_no_gap() -> None:
    with pytest.raises(UndefinedError, match="title"):
        PAGES.render("page.html")


def test_an_image_is_embedded_at_the_size_that_is_wanted() -> None:
    wide = np.full((40, 80, 3), (200, 30, 30), np.uint8)
    address = jpeg(wide, side=20)
    kind, _, data = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    seen = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert seen.shape == (10, 20, 3)
    assert seen[5, 10, 0] > 180 > 60 > seen[5, 10, 2]  # red stays red


@pytest.mark.parametrize(
    ("written_as", "wanted"),
    [
        (page.share(0.03123), "3.1%"),
        (page.share(None), "-"),
        (page.number(0.87149), "0.871"),
        (page.count(1234567.4), "1,234,567"),
        (page.span((0.25, 0.5)), "0.250 to 0.500"),
        (page.span(None), "-"),
    ],
)
def test_figures_are_written_in_one_way(written_as: str, wanted: str) -> None:
    assert written_as == wanted
