"""What names a part: any text from outside, made harmless once, where it enters.

A part id is payload only and never a part of a topic. Here it is kept short and free of control
characters and lone surrogates, so that neither a JSON reader nor a terminal, a log file or a
database can be led astray by it.
"""

import hashlib
from typing import Annotated
from urllib.parse import quote_from_bytes

from pydantic import AfterValidator

LONGEST = 200
"""Characters of a part id at most."""


def part_id(text: str) -> str:
    """The text, with what is not printable percent-encoded and what is too long cut.

    A text that is cut ends with `~` and 16 hexadecimal digits of the whole's SHA-256, so that two
    long ids stay two.
    """
    clean = "".join(
        character if character.isprintable() else _encoded(character) for character in text
    )
    if len(clean) <= LONGEST:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{clean[: LONGEST - 17]}~{digest}"


def _encoded(character: str) -> str:
    return quote_from_bytes(character.encode("utf-8", "surrogatepass"), safe="")


PartId = Annotated[str, AfterValidator(part_id)]
"""A part id in a contract; see `part_id`."""
