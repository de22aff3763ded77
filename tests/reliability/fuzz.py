"""Feed mutated payloads to everything of ours that parses what others may have written.

    python -m tests.reliability.fuzz --payloads 100000 --out docs/results/fuzz.json

Each parser may answer, or refuse with the error that it documents; anything else is a defect, and so
is one that takes longer than `LONGEST_S`. The mutations start from genuine payloads, since random
bytes never get past the first brace.
"""

import argparse
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.setting import setting, write_json
from edge_runtime.cameras.sources import parse_source
from edge_runtime.consumer.bookmark import read_bookmark, write_bookmark
from edge_runtime.consumer.feed import Feed
from edge_runtime.consumer.sequence import Sequence
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.replay import ReplayAnswer, ReplayRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import (
    DeliveryNote,
    Lane,
    Outcome,
    VerdictMessage,
    committed,
    message,
)
from edge_runtime.delivery.replay import ReplayDesk
from edge_runtime.errors import EdgeInspectError
from edge_runtime.journal.audit import read_heads
from edge_runtime.journal.chain import Head
from edge_runtime.mes.address import parse_address
from edge_runtime.mes.sparkplug.session import EdgeNode, SparkplugSession
from edge_runtime.mes.topics import Topics
from tests.sample_verdicts import sample_verdict
from tests.sparkplug_host import rebirth_command

_LOG = logging.getLogger(__name__)
LONGEST_S = 2.0
TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))
_NOW = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
_TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"-0.0", b"NaN", b"9" * 400, b"[" * 5000, b'{"a":' * 2000,
    b'"\\u0000"', b'"\\ud800"', b'""', b"\xff\xfe", b"\0", b"+", b"#", b"/", b",", b"}", b"\r\n",
    b"\x1b[2J", b'"9999-99-99T99:99:99Z"', b'"0001-01-01T00:00:00+23:59"', b"\xe2\x80\xa8",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """Something that reads what others may have written."""

    name: str
    parse: Callable[[bytes], object]
    refuses_with: tuple[type[Exception], ...]
    genuine: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What became of the payloads given to one parser."""

    taken: int
    refused: int
    slowest_s: float
    defects: tuple[str, ...]


def fuzz(parser: Parser, *, payloads: int, seed: int) -> Fuzzed:
    """Give a parser so many mutated payloads."""
    chance = random.Random(f"{seed}/{parser.name}")
    outcomes: Counter[bool] = Counter()
    slowest, defects = 0.0, []
    for _ in range(payloads):
        payload = mutated(chance.choice(parser.genuine), chance)
        began = time.perf_counter()
        try:
            parser.parse(payload)
            outcomes[True] += 1
        except parser.refuses_with:
            outcomes[False] += 1
        except Exception as exc:  # noqa: BLE001 - whatever else it is, it is the finding
            defects.append(f"{type(exc).__name__}: {exc} for {payload[:200]!r}")
        spent = time.perf_counter() - began
        slowest = max(slowest, spent)
        if spent > LONGEST_S:
            defects.append(f"took {spent:.1f} s for {payload[:200]!r}")
    return Fuzzed(
        taken=outcomes[True], refused=outcomes[False], slowest_s=slowest, defects=tuple(defects)
    )


def mutated(payload: bytes, chance: random.Random) -> bytes:
    """The payload with one to six changes."""
    data = bytearray(payload)
    for _ in range(chance.randint(1, 6)):
        at, until = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
        match chance.randrange(7):
            case 0 if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            case 1:
                del data[at : min(until, at + 40)]
            case 2:
                data[at:at] = data[at : min(until, at + 200)]
            case 3:
                data[at:at] = chance.choice(_TOKENS)
            case 4:
                del data[at:]
            case 5:
                data[at:at] = chance.randbytes(chance.randint(1, 20))
            case _:
                # One JSON value for another.
                begin = data.find(b":", at) + 1
                end = data.find(b",", begin)
                data[begin : end if end > 0 else begin] = chance.choice(_TOKENS)
    return bytes(data)


def parsers(folder: Path) -> tuple[Parser, ...]:
    """Everything that reads from a topic, a file of others, or a command line."""
    verdict = message(
        sample_verdict(41).to_json().encode(), DeliveryNote(lane=Lane.LIVE, waited_ms=3.5)
    )
    head = _json(
        JournalHead(
            site="plant-1",
            line="L07",
            station="S3",
            at=_NOW,
            first_seq=1,
            last_seq=41,
            sha256="a" * 64,
        )
    )
    health = _json(
        Health(
            boot_id="b", site="plant-1", line="L07", station="S3", at=_NOW, uptime_s=1, bundle="demo/1",
            engine="null", frames=1, verdicts=dict.fromkeys(Outcome, 1), acknowledged=1, pending=0,
            refused=0, connections=1, latency=None, problem=None,
        )
    )  # fmt: skip
    request = _json(ReplayRequest(from_seq=3, to_seq=9, request_id="q"))
    answer = _json(ReplayAnswer(request_id="q", from_seq=3, to_seq=9, verdicts=7, refusal=None))
    bookmark = folder / "genuine.json"
    sequence = Sequence(1)
    for seq in (1, 2, 5):
        sequence.take(seq=seq, boot_id="b", sha256=bytes(32), lane=Lane.LIVE)
    write_bookmark(bookmark, {"plant-1/L07-S3": sequence.state()})
    return (
        Parser(
            name="replay requests at the station",
            parse=lambda payload: ReplayDesk(enabled=True).ask(
                payload, Head(first_seq=1, last_seq=41, sha256=bytes(32)), 0.0
            ),
            refuses_with=(),
            genuine=(request,),
        ),
        *(
            Parser(
                name=f"{topic.rpartition('S3/')[2]} at the consumer",
                parse=lambda payload, topic=topic: _feed().take(topic, payload, 0.0),  # type: ignore[misc]
                refuses_with=(),
                genuine=(genuine,),
            )
            for topic, genuine in (
                (TOPICS.verdict, verdict),
                (TOPICS.replay, verdict),
                (TOPICS.replay_answer, answer),
                (TOPICS.journal, head),
                (TOPICS.health, health),
                (TOPICS.availability, b"online"),
            )
        ),
        Parser(
            name="Sparkplug commands",
            parse=_sparkplug_command,
            refuses_with=(ValueError,),
            genuine=(rebirth_command(), rebirth_command(value=False)),
        ),
        Parser(
            name="messages taken apart",
            parse=committed,
            refuses_with=(ValueError,),
            genuine=(verdict,),
        ),
        Parser(
            name="messages by schema",
            parse=VerdictMessage.model_validate_json,
            refuses_with=(ValueError,),
            genuine=(verdict,),
        ),
        Parser(
            name="files of published heads",
            parse=lambda payload: read_heads(
                payload.decode("utf-8", "replace").splitlines(), ("plant-1", "L07", "S3")
            ),
            refuses_with=(ValueError,),
            genuine=(head + b"\n" + head,),
        ),
        Parser(
            name="bookmarks",
            parse=lambda payload: _file(read_bookmark, folder / "bookmark.json", payload),
            refuses_with=(EdgeInspectError,),
            genuine=(bookmark.read_bytes(),),
        ),
        Parser(
            name="broker addresses",
            parse=lambda payload: parse_address(payload.decode("utf-8", "surrogateescape")),
            refuses_with=(EdgeInspectError,),
            genuine=(b"mqtts://station@mes.local:8883", b"mqtt://[::1]:1883", b"memory://demo"),
        ),
        Parser(
            name="sources",
            parse=lambda payload: parse_source(payload.decode("utf-8", "surrogateescape")),
            refuses_with=(EdgeInspectError,),
            genuine=(
                b"simulated:gen3?seed=7&rate=20",
                b"dir:/crops?watch=1",
                b"recording:run?speed=2&loop=1",
                b"rtsp://u:p@cam/1",
            ),
        ),
    )


def _json(contract: JournalHead | Health | ReplayRequest | ReplayAnswer) -> bytes:
    return contract.to_json().encode()


def _feed() -> Feed:
    return Feed(TOPICS, requester="fuzz", remark=lambda _text: None)


def _sparkplug_command(payload: bytes) -> object:
    session = SparkplugSession(EdgeNode(group="VoltForge", node="L07-S3"))
    session.receive(payload)
    return session.rebirth_wanted


def _file(read: Callable[[Path], object], path: Path, payload: bytes) -> object:
    path.write_bytes(payload)
    return read(path)


def main() -> int:
    """The long form."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--payloads", type=int, default=100_000, help="for each parser")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result: dict[str, object] = {**setting("pydantic"), "payloads_each": arguments.payloads}
    found, defects = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for parser in parsers(Path(folder)):
            fuzzed = fuzz(parser, payloads=arguments.payloads, seed=arguments.seed)
            found[parser.name] = {
                "taken": fuzzed.taken,
                "refused": fuzzed.refused,
                "slowest_ms": round(fuzzed.slowest_s * 1000, 1),
                "defects": len(fuzzed.defects),
            }
            defects += len(fuzzed.defects)
            _LOG.info("%s: %s %s", parser.name, found[parser.name], "; ".join(fuzzed.defects[:3]))
    if arguments.out is not None:
        write_json(arguments.out, {**result, "parsers": found})
    return 1 if defects else 0


if __name__ == "__main__":
    sys.exit(main())
