"""The pages as a browser shows them: on a wide screen and on a telephone, without a single complaint."""

from pathlib import Path

from tests.browser import faults, look, needs_chromium
from tests.train.report.conftest import Line

pytestmark = needs_chromium


def test_the_report_is_shown_whole_at_every_width(full: Path, tmp_path: Path) -> None:
    page = full / "report.html"
    assert faults(page, tmp_path) == []
    sights, _ = look(page, tmp_path)
    for sight in sights:
        assert sight.headings[0] == "new: what it finds, and why"
        assert "What was transferred, and why it helps" in sight.headings
        assert "Where it looks" in sight.headings
        assert sight.charts == 5
        assert sight.images >= 10


def test_the_audit_is_shown_whole_at_every_width(line: Line, tmp_path: Path) -> None:
    assert faults(line / "audit" / "audit.html", tmp_path) == []
