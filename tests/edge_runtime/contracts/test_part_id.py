"""A part id from outside is short and printable, and so harmless, whatever was put into it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.part_id import LONGEST, part_id
from edge_runtime.contracts.verdict import DeliveryNote, Lane, VerdictMessage, committed, message
from tests.sample_verdicts import sample_verdict

ANY_TEXT = st.text(st.characters(codec=None), max_size=400)


def test_an_ordinary_serial_number_stays_as_it_is() -> None:
    for text in ("M2601-000123-2", "Zelle 7 Größe ß", "a+b/#c", "部品-1"):
        assert part_id(text) == text


def test_what_is_not_printable_is_percent_encoded() -> None:
    assert part_id("a\0b\r\n\x1b[31m\udcff") == "a%00b%0D%0A%1B[31m%ED%B3%BF"


def test_long_ids_are_cut_and_stay_different() -> None:
    first, second = (part_id("x" * 65_536 + end) for end in "ab")
    assert len(first) == len(second) == LONGEST
    assert first != second


@given(ANY_TEXT)
def test_no_part_id_can_break_a_payload(text: str) -> None:
    verdict = sample_verdict(1).model_copy(update={"part_id": part_id(text)})
    body = verdict.to_json().encode()
    payload = message(body, DeliveryNote(lane=Lane.BACKLOG, waited_ms=1.5))
    assert committed(payload) == body
    assert json.loads(payload)["part_id"] == part_id(text)
    assert part_id(text).isprintable()
    assert len(part_id(text)) <= LONGEST
    assert part_id(part_id(text)) == part_id(text)
    assert VerdictMessage.model_validate_json(payload).delivery.lane is Lane.BACKLOG


@given(ANY_TEXT)
def test_text_that_imitates_the_delivery_field_does_not(text: str) -> None:
    imitation = f'{text},"delivery":{{"lane":"live"}}}}'
    body = sample_verdict(1).model_copy(update={"part_id": part_id(imitation)}).to_json().encode()
    note = DeliveryNote(lane=Lane.LIVE, waited_ms=0)
    assert committed(message(body, note)) == body
