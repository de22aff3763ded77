"""What a browser makes of a page: a headless chromium opens it at several widths at once.

The page is opened as it is, its policy included, in frames of a page of ours that measures them; nothing
can be fetched from anywhere.
"""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed (make setup says why)"
)
WIDTHS = (1280, 400)

_MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    return {
      width: frame.clientWidth,
      beyond: root.scrollWidth - root.clientWidth,
      headings: [...page.querySelectorAll("h1, h2")].map(heading => heading.textContent),
      charts: [...page.querySelectorAll("svg")].filter(chart => chart.clientHeight > 50).length,
      images: page.images.length,
      broken: [...page.images].filter(image => !image.naturalWidth).length,
      astray: [...page.querySelectorAll("a")].filter(
        link => !page.getElementById(link.hash.slice(1))).map(link => link.textContent),
    };
  });
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A page at one width."""

    width: int
    """Of the frame, pixels."""
    beyond: int
    """Pixels that the page reaches beyond its frame, sidewards."""
    headings: list[str]
    charts: int
    images: int
    broken: int
    """Images that are not shown."""
    astray: list[str]
    """Links that lead to no place of the page."""


def look(page: Path, folder: Path) -> tuple[list[Sight], list[str]]:
    """The page at each of the widths, and all that the browser's console complained of."""
    assert CHROMIUM is not None
    frames = "".join(
        f'<iframe src="{page.resolve().as_uri()}" style="width:{width}px;height:900px"></iframe>'
        for width in WIDTHS
    )
    outer = folder / "frames.html"
    outer.write_text(
        f'<!doctype html><style>iframe {{ border: 0 }}</style><pre id="found"></pre>{frames}'
        f"<script>{_MEASURE}</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    closed = ["--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files"]
    kept = [f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *flags, *closed, *kept, outer.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r'<pre id="found">(.+?)</pre>', done.stdout)
    assert found, done.stderr[-2000:]
    complaints = re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr)
    return [Sight(**each) for each in json.loads(html.unescape(found[1]))], complaints


def faults(page: Path, folder: Path) -> list[str]:
    """All that is wrong with a page, whatever it says; empty for a sound one."""
    sights, complaints = look(page, folder)
    found = [f"console: {line}" for line in complaints]
    for sight in sights:
        at = f"at {sight.width} px:"
        if sight.width not in WIDTHS:
            found.append(f"{at} not a width that was asked for")
        if not sight.headings:
            found.append(f"{at} no heading")
        if sight.beyond > 0:
            found.append(f"{at} {sight.beyond} px beyond the right edge")
        if sight.broken:
            found.append(f"{at} {sight.broken} of {sight.images} images are not shown")
        if sight.astray:
            found.append(f"{at} links lead nowhere: {', '.join(sight.astray)}")
    return found
