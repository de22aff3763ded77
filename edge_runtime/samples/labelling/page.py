"""The page to label in: one HTML file that needs no network and no second file.

Owns that the file is whole and shut: its policy lets the browser run this one script and use this one
style sheet, by their hashes, and fetch nothing, whatever a part is called. What the page does is in
`page.js`. Values in, text out.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFrame:
    """One frame as the page shows it."""

    path: str
    """Of the frame as it came, from the page's folder; names the frame."""
    picture: str
    """`data:` address."""
    heat: str | None
    """Where the model looked, `data:` address of a picture to lay over; None where there is none."""
    part: str
    predicted: str | None
    said: str
    """What the model said, in words."""
    reasons: Sequence[str]
    scores: Mapping[str, float]
    facts: Sequence[tuple[str, str]]
    """What else is known, name and value."""
    label: str | None
    """That it has already."""


def labelling_page(
    *, title: str, package: str, labels: Sequence[str], frames: Sequence[PageFrame]
) -> str:
    """The page's text; `frames` is not empty. The browser remembers labels under the name `package`."""
    style, script = _resource("page.css"), _resource("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {_digest(style)}; script-src {_digest(script)}"
    )
    content = {"id": package, "labels": list(labels), "frames": [asdict(f) for f in frames]}
    # What could end the script element or begin a comment in it is written as an escape of JSON.
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    page = _resource("page.html")
    for name, text in (
        ("policy", html.escape(policy, quote=True).replace("&#x27;", "'")),
        ("title", html.escape(title)),
        ("style", style),
        ("script", script),
        ("package", data),  # the last: what it holds is not looked through for names
    ):
        page = page.replace("{{" + name + "}}", text)
    return page


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
