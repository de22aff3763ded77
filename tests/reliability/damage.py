"""Damage the files of a journal at random places and start the station on what is left.

    python -m tests.reliability.damage --places 2000 --out docs/results/damage.json

The journal is that of a station that was killed with verdicts on their way: some acknowledged, many not,
the newest in the write-ahead log alone. Whatever is damaged, there are two good ends: all that was not
acknowledged is delivered to the byte and the numbers go on, or the station refuses to start and says in
one line how to mend it. The one exception is the newest commit where the kill fell between it and its
end mark: with its last block damaged as well, nobody can tell it from one that was never finished. The
journal here is past that moment. The station runs in this process, at a broker in memory; a start takes
milliseconds so.
"""

import argparse
import contextlib
import io
import logging
import random
import shutil
import sqlite3
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks.setting import setting, write_json
from edge_runtime.cli.main import main as edge_inspect
from edge_runtime.journal.schema import read_head
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer, read
from tests.reliability.daemon import Station
from tests.reliability.reckoning import JOURNAL, read_journal
from tests.tiny_bundle import write_bundle

_LOG = logging.getLogger(__name__)
_FILES = {JOURNAL: 50, f"{JOURNAL}-wal": 40, f"{JOURNAL}-shm": 5, "journal.head": 5}
"""How often each is damaged, in relation."""
_TORN_BYTES = 4096


class Kind(StrEnum):
    """What happens to a file."""

    FLIP = "a byte flipped"
    CUT = "truncated"
    TORN = "a block of zeros"
    """What a disk leaves where it had promised a write and lost it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One damage."""

    file: str
    kind: Kind
    offset: int
    mask: int
    """Which bits of a flipped byte."""

    def damage(self, folder: Path) -> None:
        """Do it to the journal in a folder."""
        with (folder / self.file).open("r+b") as file:
            if self.kind is Kind.CUT:
                file.truncate(self.offset)
                return
            file.seek(self.offset)
            (before,) = file.read(1)
            file.seek(self.offset)
            file.write(
                bytes(_TORN_BYTES) if self.kind is Kind.TORN else bytes([before ^ self.mask])
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The journal before the damage."""

    folder: Path
    committed: Mapping[int, bytes]
    """SHA-256 of every verdict by seq."""
    owed: frozenset[int]
    """Numbers that never reached the consumer, and whose acknowledgement was not written down.

    What a broker acknowledges and does not pass on before it is killed, no station owes any more.
    """

    def copy(self, state_dir: Path) -> None:
        """Make a state folder of it, in place of what was there."""
        shutil.rmtree(state_dir, ignore_errors=True)
        shutil.copytree(self.folder, state_dir)

    def places(self, count: int, seed: int) -> Iterator[Place]:
        """Random places in files that are there and not empty."""
        chance = random.Random(seed)
        sizes = {
            file: (self.folder / file).stat().st_size
            for file in _FILES
            if (self.folder / file).exists()
        }
        files = [file for file, size in sizes.items() if size]
        for _ in range(count):
            (file,) = chance.choices(files, [_FILES[file] for file in files])
            yield Place(
                file=file,
                kind=chance.choice(tuple(Kind)),
                offset=chance.randrange(sizes[file]),
                mask=chance.randrange(1, 256),
            )


def leave_behind(folder: Path, bundle: Path) -> Original:
    """Run a station, take its broker away, kill it, and keep what it leaves."""
    folder.mkdir()
    with PrivateBroker() as broker, Consumer(broker.port) as consumer:
        station = Station(folder=folder, broker=broker.address, bundle=bundle)
        with station.start() as daemon:
            consumer.wait_for_more(150)
            broker.kill()
            seen = consumer.last_seq
            while _last_seq(station.state_dir) < seen + 100 or not _ripe(station.state_dir, seen):
                daemon.go_on()
                time.sleep(0.005)
                daemon.freeze()
            daemon.kill()
        aside = folder / "read"
        shutil.copytree(station.state_dir, aside)  # reading replays the write-ahead log
        committed, _ = read_journal(aside)
        return Original(
            folder=station.state_dir,
            committed=committed,
            owed=frozenset(committed.keys() - consumer.digests.keys() - _answered(aside)),
        )


def _last_seq(state_dir: Path) -> int:
    return max(read_journal(state_dir)[0], default=0)


def _answered(state_dir: Path) -> set[int]:
    with closing(sqlite3.connect(f"file:{state_dir / JOURNAL}?mode=ro", uri=True)) as journal:
        return {seq for (seq,) in journal.execute("SELECT seq FROM answer")}


def _ripe(state_dir: Path, seen: int) -> bool:
    """The end mark has seen the newest verdict, and the last few are in the write-ahead log alone.

    Some that came after `seen` are in the file itself, on pages that the log does not hold anew.

    The mark begins with a number of 8 bytes, big-endian. Without its log the file must be whole: a
    station frozen in the middle of a checkpoint leaves pages of two ages, which is another damage.
    """
    last_seq = _last_seq(state_dir)
    marked = int.from_bytes((state_dir / "journal.head").read_bytes()[:8], "big")
    try:
        # An immutable file is read without its log.
        with closing(sqlite3.connect(f"file:{state_dir / JOURNAL}?immutable=1", uri=True)) as alone:
            (checkpointed,) = alone.execute("SELECT ifnull(max(seq), 0) FROM verdict").fetchone()
            (answered,) = alone.execute("SELECT ifnull(max(seq), 0) FROM answer").fetchone()
            head = read_head(alone)
    except sqlite3.DatabaseError:  # in the middle of a checkpoint
        return False
    whole = head is not None and head.last_seq == checkpointed and answered <= checkpointed
    return bool(whole and marked == last_seq and seen + 10 < checkpointed < last_seq - 5)


def start_on(original: Original, place: Place | None, folder: Path, bundle: Path) -> str:
    """Damage a copy of the journal and run a station on it for one more part.

    `delivered` or `refused` for the two good ends; anything else says what went wrong.
    """
    state = folder / "state"
    original.copy(state)
    if place is not None:
        place.damage(state)
    broker = f"memory://damage-{id(place)}"
    station = Station(folder=folder, broker=broker, bundle=bundle, state=state, rate=0)
    words = io.StringIO()
    with (
        closing(open_subscriber(broker, "inspection/#")) as mes,
        contextlib.redirect_stderr(words),
    ):
        try:
            exit_code = edge_inspect([*station.command()[3:], "--frames", "1"])
        except Exception:  # noqa: BLE001 - a traceback is what no damage may lead to
            return f"a traceback: {traceback.format_exc()}"
        received: dict[int, bytes] = {}
        while (message := mes.receive(0.0)) is not None:
            if message.topic.endswith("/verdict"):
                verdict = read(message.payload)
                if received.setdefault(verdict.seq, verdict.digest) != verdict.digest:
                    return f"verdict {verdict.seq} sent with two contents"
    if exit_code == 7:
        return _judge_refusal(words.getvalue(), received)
    return _judge_delivery(exit_code, original, received)


def _judge_refusal(words: str, received: Mapping[int, bytes]) -> str:
    lines = words.strip().splitlines()
    if len(lines) != 1 or not lines[0].startswith("edge-inspect: ") or ": " not in lines[0]:
        return f"refused in {len(lines)} lines: {words}"
    if not any(remedy in lines[0] for remedy in ("restore", "choose another", "check", "make")):
        return f"refused without a remedy: {words}"
    return "refused" if not received else "refused after it had sent verdicts"


def _judge_delivery(exit_code: int, original: Original, received: Mapping[int, bytes]) -> str:
    last_seq = max(original.committed)
    if exit_code:
        return f"exit code {exit_code}"
    if lost := original.owed - received.keys():
        return f"{len(lost)} unacknowledged verdicts lost without a word, {min(lost)} the first"
    for seq, digest in received.items():
        if seq <= last_seq and original.committed[seq] != digest:
            return f"verdict {seq} sent changed, or its number used again"
    if max(received) != last_seq + 1:
        return f"the next verdict got number {max(received)} after {last_seq}"
    return "delivered"


def main() -> None:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--places", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the result")
    arguments = parser.parse_args()
    stated = setting()
    ends: dict[str, Counter[str]] = {}
    faults = []
    with tempfile.TemporaryDirectory(prefix="edge-inspect-damage-") as name:
        folder = Path(name)
        bundle = write_bundle(folder)
        original = leave_behind(folder / "original", bundle)
        for place in original.places(arguments.places, arguments.seed):
            end = start_on(original, place, folder, bundle)
            good = end in ("delivered", "refused")
            ends.setdefault(f"{place.file}: {place.kind}", Counter())[end if good else "fault"] += 1
            if not good:
                faults.append(f"{place}: {end}")
    result = {
        "setting": stated,
        "verdicts": len(original.committed),
        "unacknowledged": len(original.owed),
        "places": arguments.places,
        "ends": {where: dict(count) for where, count in sorted(ends.items())},
        "faults": faults,
    }
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
