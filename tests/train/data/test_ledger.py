import json
import multiprocessing
from pathlib import Path

import pytest

from train.data.ledger import Ledger
from train.errors import SealError

SPLIT = "5" * 64


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    file = tmp_path / "ledger.jsonl"
    file.touch()
    return Ledger(file=file, split_sha256=SPLIT)


def enter(ledger: Ledger, model: str = "a") -> None:
    ledger.enter(model_sha256=model * 64, thresholds_sha256="b" * 64, command="train evaluate")


def test_openings_are_numbered_and_kept(ledger: Ledger) -> None:
    assert ledger.read() == ()
    for model in "aca":
        enter(ledger, model)
    openings = ledger.read()
    assert [opening.number for opening in openings] == [1, 2, 3]
    assert [opening.model_sha256[0] for opening in openings] == ["a", "c", "a"]
    assert openings[0].previous == SPLIT


def change(line: int, **fields: object):
    def damage(lines: list[bytes]) -> list[bytes]:
        entry = json.loads(lines[line])
        lines[line] = json.dumps(entry | fields, separators=(",", ":")).encode()
        return lines

    return damage


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [lines[0], b"{}", lines[2]], 2),
        (change(1, command="nothing happened"), 3),
        (change(2, number=2), 3),
        (change(0, split_sha256="6" * 64), 1),
    ],
)
def test_a_line_that_was_changed_or_taken_out_shows(damage, line: int, ledger: Ledger) -> None:
    for _ in range(3):
        enter(ledger)
    lines = ledger.file.read_bytes().splitlines()
    # The control: written back as it was, the very same lines are a whole ledger.
    ledger.file.write_bytes(b"".join(line + b"\n" for line in lines))
    assert len(ledger.read()) == 3
    ledger.file.write_bytes(b"".join(line + b"\n" for line in damage(lines)))
    damaged = ledger.file.read_bytes()
    for use in (ledger.read, lambda: enter(ledger)):
        with pytest.raises(SealError, match=rf"ledger.jsonl line {line} is damaged or was changed"):
            use()
    assert ledger.file.read_bytes() == damaged


def test_a_line_that_breaks_off_shows(ledger: Ledger) -> None:
    enter(ledger)
    ledger.file.write_bytes(ledger.file.read_bytes()[:-9])
    with pytest.raises(SealError, match=r"line 1 .*breaks off"):
        ledger.read()


def test_a_ledger_that_is_gone_does_not_spring_up_anew(ledger: Ledger) -> None:
    ledger.file.unlink()
    with pytest.raises(SealError, match=r"ledger.jsonl cannot be used: No such file"):
        enter(ledger)
    assert not ledger.file.exists()


def test_openings_at_the_same_time_get_numbers_of_their_own(ledger: Ledger) -> None:
    processes = [
        multiprocessing.get_context("fork").Process(target=enter, args=(ledger, model))
        for model in "abcd"
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [opening.number for opening in ledger.read()] == [1, 2, 3, 4]
