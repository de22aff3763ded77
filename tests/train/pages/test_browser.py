"""The look into a browser sees what is wrong with a page: the controls of the tests that use it."""

from pathlib import Path

import pytest

from tests.browser import faults, look, needs_chromium
from train.pages import page

pytestmark = needs_chromium


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    target = tmp_path / "page.html"
    page.write_page(target, "page.html", title="A page")
    return target


def test_a_sound_page_has_headings_at_every_width_and_no_complaint(
    sound: Path, tmp_path: Path
) -> None:
    sights, complaints = look(sound, tmp_path)
    seen = [(sight.width, sight.headings, sight.beyond) for sight in sights]
    assert seen == [(1280, ["A page"], 0), (400, ["A page"], 0)]
    assert complaints == []


def test_a_broken_page_is_caught_in_every_way_that_it_is_broken(
    sound: Path, tmp_path: Path
) -> None:
    broken = (
        '<p style="width: 1000px">wide</p><img src="data:image/png;base64,aGFsZg==">'
        '<a href="#nowhere">there</a>'
    )
    text = sound.read_text(encoding="utf-8").replace("<h1>A page</h1>", broken)
    sound.write_text(text, encoding="utf-8")
    found = faults(sound, tmp_path)
    for fault in (
        "at 1280 px: no heading",
        "at 1280 px: 1 of 1 images are not shown",
        "at 1280 px: links lead nowhere: there",
    ):
        assert fault in found
    (beyond,) = (fault for fault in found if "beyond" in fault)
    assert beyond.startswith("at 400 px: ")


def test_what_a_page_would_fetch_or_run_is_refused_and_told(sound: Path, tmp_path: Path) -> None:
    reaching = '<img src="https://example.org/a.png"><script>document.title = "run"</script></main>'
    text = sound.read_text(encoding="utf-8").replace("</main>", reaching)
    sound.write_text(text, encoding="utf-8")
    _, complaints = look(sound, tmp_path)
    assert any("https://example.org/a.png" in line for line in complaints)
    assert any("inline script" in line for line in complaints)
