"""The page shows what the history holds, asks for nothing, and opens whole in a browser."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.drift_history.records import Picture, Role
from edge_runtime.drift_history.store import read_history
from edge_runtime.drift_report.contents import Contents, tell
from edge_runtime.drift_report.page import render
from tests.browser import faults, look, needs_chromium
from tests.edge_runtime.drift.line import START, parts
from tests.edge_runtime.drift_history.course import drift_log, write_history

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def contents(lamp: Path) -> Contents:
    return tell(read_history(lamp))


@pytest.fixture(scope="module")
def page(contents: Contents) -> str:
    return render(contents)


def test_the_page_tells_the_story(page: str) -> None:
    for words in (
        "Verdicts may be wrong: since 2026-03-02 17:",
        "the verdicts may be the images&#39; fault",
        "Was a lamp replaced by a colder one?",
        "class spatter",
        "golden frame, no_defect",
        "0.830 (0.790 to 0.860)",
        "estimated: macro F1 0.81",
        "training: the mean, and where 95% of frames lie",
        "moved since 2026-03-02 17:",
    ):
        assert words in page, words


def test_the_page_asks_for_nothing(page: str) -> None:
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=[\"'](?!data:|#)|url\((?!#)|@import", page)


def test_a_name_from_the_line_cannot_become_markup(contents: Contents) -> None:
    hostile = Picture(role=Role.RECENT, at=START, caption=HOSTILE, image=contents.recent[0].image)
    text = render(replace(contents, recent=(hostile,)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_picture_that_cannot_be_decoded_is_left_out(contents: Contents) -> None:
    broken = Picture(role=Role.RECENT, at=START, caption="P-1", image=b"no image")
    text = render(replace(contents, recent=(broken, *contents.recent[:1])))
    assert text.count("a recent part, ") == 1


@pytest.mark.parametrize("watching", [True, False], ids=["ok", "not monitored"])
def test_a_quiet_or_unwatched_station_has_a_page_too(tmp_path: Path, *, watching: bool) -> None:
    write_history(tmp_path, parts(130), drift_log(watching=watching)).close()
    text = render(tell(read_history(tmp_path)))
    wanted = "Nothing. Verdicts are given" if watching else "Build the bundle again"
    assert wanted in text
    assert "What moved first" not in text


@needs_chromium
def test_the_page_opens_whole_in_a_browser(page: str, tmp_path: Path) -> None:
    written = tmp_path / "drift.html"
    written.write_text(page, encoding="utf-8")
    assert faults(written, tmp_path) == []
    for sight in look(written, tmp_path)[0]:
        assert sight.headings == [
            "Drift at L07-S3",
            "What to do",
            "What moved first",
            "Before and after",
            "Time lines",
            "Verdicts",
            "How good the verdicts are",
            "Every change",
        ]
        assert sight.charts == 9
        assert sight.images == 8
