"""A page of this floor: its own templates on the shared frame, written whole or not at all."""

from pathlib import Path

import pytest

from train.errors import RunError
from train.pages import page


def test_a_page_is_written_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    page.write_page(target, "page.html", title="A page")
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text("utf-8") == page.render("page.html", title="A page")


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        page.write_page(tmp_path / "missing" / "page.html", "page.html", title="A page")
