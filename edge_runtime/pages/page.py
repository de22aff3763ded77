"""Pages for people: one HTML file each, which needs no script, no network and no second file.

Owns the form: the frame `page.html`, its style sheet, the parts that pages are made of, and how figures
are written; pictures are `picture`'s. What a page says, and its template, is the business of those who
call. All HTML is escaped, and a policy in the page's head forbids the browser to fetch or to run
anything, whatever a label contains.
"""

from collections.abc import Sequence

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape

_UNKNOWN = "-"


class Pages:
    """The pages of one package: its folder `templates`, on the frame and the parts of this one."""

    def __init__(self, package: str) -> None:
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("edge_runtime.pages")]),
            autoescape=select_autoescape(disabled_extensions=("md",), default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._templates.filters |= {
            "share": share,
            "number": number,
            "count": count,
            "span": span,
            "zip": zip,
        }

    def render(self, template: str, **values: object) -> str:
        """The page as text. A value that it asks for and is not given raises UndefinedError."""
        return self._templates.get_template(template).render(**values)


def share(value: float | None, digits: int = 1) -> str:
    """0.0312 as `3.1%`; a dash for what is not known."""
    return _UNKNOWN if value is None else f"{value:.{digits}%}"


def number(value: float | None, digits: int = 3) -> str:
    """0.8712 as `0.871`; a dash for what is not known."""
    return _UNKNOWN if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """1234.6 as `1,235`; a dash for what is not known."""
    return _UNKNOWN if value is None else f"{value:,.0f}"


def span(ends: Sequence[float] | None, digits: int = 3) -> str:
    """The two ends of an interval; a dash where there is none."""
    if ends is None:
        return _UNKNOWN
    low, high = ends
    return f"{low:.{digits}f} to {high:.{digits}f}"
