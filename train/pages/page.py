"""This floor's pages, from the templates beside this module, in the form of `edge_runtime.pages`."""

from pathlib import Path

from edge_runtime.pages.page import Pages
from train.written_aside import written_aside

_PAGES = Pages("train.pages")


def write_page(target: Path, template: str, **values: object) -> None:
    """Write the page that `templates/TEMPLATE` makes of the values; raises RunError where it cannot."""
    page = render(template, **values)
    with written_aside(target) as aside:
        aside.write_text(page, encoding="utf-8")


def render(template: str, **values: object) -> str:
    """The page as text. A value that the template asks for and is not given raises UndefinedError."""
    return _PAGES.render(template, **values)
