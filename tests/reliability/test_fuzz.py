"""No payload of anybody's does harm: the short form of `tests.reliability.fuzz`."""

import json
from pathlib import Path

from tests.reliability.fuzz import Parser, fuzz, parsers


def test_every_parser_answers_or_refuses_in_its_own_words(tmp_path: Path) -> None:
    for parser in parsers(tmp_path):
        fuzzed = fuzz(parser, payloads=400, seed=7)
        assert not fuzzed.defects, f"{parser.name}: {fuzzed.defects[0]}"
        assert fuzzed.taken + fuzzed.refused == 400


def test_control_a_parser_that_trusts_its_input_is_found_out() -> None:
    trusting = Parser(
        name="trusting",
        parse=lambda payload: json.loads(payload)["seq"] + 1,
        refuses_with=(ValueError,),
        genuine=(b'{"seq":1,"part":"M1"}',),
    )
    assert fuzz(trusting, payloads=400, seed=7).defects
