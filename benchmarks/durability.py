"""What it costs that no verdict is lost: `python -m benchmarks.durability`.

- Commits per second of the journal at several batch sizes, in turns with the bare disk (the same
  number of bytes appended to a file and synced) and with paho alone (QoS 1, nothing kept).
- Time from decision to PUBACK at 10 parts a second, in turns without and with a backlog that drains.
- How fast a backlog of half a million verdicts drains when it may, and what it does to live ones then.
- Bytes per verdict, what 72 hours at 2 parts a second take, and how fast the audit reads.

Everything runs in one process against a private mosquitto; the engine and the camera are not part of
it. The journal lies in the folder given with `--dir`: give one on the disk in question.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome, Timings, Verdict
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.journal.audit import audit
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.links import open_publisher
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.mes.topics import Topics

TOPICS = Topics(site="bench", station=StationId.parse("L01-S1"))
BATCHES = (1, 8, 32)
FLUSH_S = 1.0
"""How often a station's delivery has the write-ahead log moved into the journal's file."""
LABELS = ("no_defect", "micro_crack", "porosity", "contamination", "misalignment", "undercut")


def verdicts(first: int, count: int) -> list[Entry]:
    """Verdicts of six classes as a station writes them."""
    now = datetime.now(UTC)
    scores = {label: round(float(value), 6) for label, value in zip(LABELS, _SCORES, strict=True)}
    return [
        Entry(
            seq=seq,
            body=Verdict(
                seq=seq,
                result_id=f"9d5a1f0e-7a4b-4a53-8f0a-0d8f5b5e1c11:{seq}",
                is_simulated=True,
                boot_id="9d5a1f0e-7a4b-4a53-8f0a-0d8f5b5e1c11",
                site="bench",
                line="L01",
                station="S1",
                part_id=f"M2601-{seq:08}",
                internal_recipe_id="weld-seam/1.0.0",
                captured_at=now,
                decided_at=now,
                verdict=Outcome.OK,
                label="no_defect",
                scores=scores,
                thresholds=Thresholds(review_from=0.3, defect_from=0.7),
                model_sha256="a" * 64,
                config_sha256="b" * 64,
                timings_ms=Timings(wait=1.234, preprocess=0.567, infer=6.789),
            )
            .to_json()
            .encode(),
        )
        for seq in range(first, first + count)
    ]


_SCORES = np.random.default_rng(1).dirichlet((60, 1, 1, 1, 1, 1))


def commits(folder: Path, times: int) -> dict[str, object]:
    """Milliseconds per batch: journal, bare disk, and paho alone, batch by batch in turns."""
    result: dict[str, object] = {}
    with (
        closing(Journal(folder / "commits")) as journal,
        PrivateBroker() as broker,
        _paho(broker) as client,
        (folder / "bare").open("ab", buffering=0) as bare,
    ):
        for batch in BATCHES:
            sides: dict[str, list[float]] = {"journal": [], "fdatasync": [], "paho": []}
            flush_at = time.monotonic() + FLUSH_S
            for _ in range(times):
                if time.monotonic() >= flush_at:
                    journal.flush()
                    flush_at = time.monotonic() + FLUSH_S
                entries = verdicts(journal.next_seq, batch)
                with _timed(sides["journal"]):
                    journal.append(entries)
                for entry in entries:
                    journal.acknowledge(entry.seq)
                with _timed(sides["fdatasync"]):
                    bare.write(b"".join(entry.body for entry in entries))
                    os.fdatasync(bare.fileno())
                with _timed(sides["paho"]):
                    for entry in entries:
                        sent = client.publish(TOPICS.verdict, entry.body, qos=1)
                    sent.wait_for_publish(10)
            medians = {side: statistics.median(found) for side, found in sides.items()}
            result[f"batch {batch}"] = {
                **{f"{side}_ms": round(median, 3) for side, median in medians.items()},
                "journal_over_fdatasync": round(medians["journal"] / medians["fdatasync"], 2),
                "journal_p99_ms": round(float(np.percentile(sides["journal"], 99)), 3),
                "fdatasync_p99_ms": round(float(np.percentile(sides["fdatasync"], 99)), 3),
                "durable_verdicts_per_s": round(1000 * batch / statistics.fmean(sides["journal"])),
                "synced_batches_of_the_bare_disk_per_s": round(
                    1000 / statistics.fmean(sides["fdatasync"])
                ),
                "paho_messages_per_s": round(1000 * batch / statistics.fmean(sides["paho"])),
            }
    return result


class Line:
    """Journal, delivery and publisher at a broker, with the time of each PUBACK."""

    def __init__(self, folder: Path, broker: PrivateBroker, backlog_rate: float) -> None:
        self.journal = Journal(folder)
        self.decided: dict[int, float] = {}
        self.latencies_ms: list[float] = []
        self._publisher = open_publisher(
            broker.address, client_id="bench", availability_topic=TOPICS.availability
        )
        self._delivery = Delivery(
            self.journal,
            self._publisher,
            TOPICS,
            backlog_rate=backlog_rate,
            on_acknowledged=self._acknowledged,
        )
        self._delivery.start()
        while not self._publisher.connected:
            time.sleep(0.01)

    def decide(self) -> None:
        """One part: committed and handed over."""
        (entry,) = verdicts(self.journal.next_seq, 1)
        now = time.monotonic()
        self.decided[entry.seq] = now
        self._delivery.time_verdicts({entry.seq: now})
        self.journal.append([entry])
        self._delivery.notify()

    def _acknowledged(self, seq: int, now: float) -> None:
        decided = self.decided.pop(seq, None)
        if decided is not None:
            self.latencies_ms.append((now - decided) * 1000)

    def close(self) -> None:
        self._publisher.stop(5.0)
        self._delivery.stop()
        self.journal.close()


def live(line: Line, *, parts: int, rate: float) -> dict[str, float]:
    """Milliseconds from decision to PUBACK of `parts` at `rate` per second."""
    line.latencies_ms.clear()
    began = time.monotonic()
    for part in range(parts):
        time.sleep(max(0.0, began + part / rate - time.monotonic()))
        line.decide()
    time.sleep(1.0)
    p50, p99 = np.percentile(line.latencies_ms, (50, 99))
    return {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(max(line.latencies_ms), 2),
        "parts": len(line.latencies_ms),
    }


def fill(folder: Path, count: int) -> None:
    """A journal in which nothing has been answered, as an outage leaves it."""
    with closing(Journal(folder)) as journal:
        while journal.next_seq <= count:
            journal.append(verdicts(journal.next_seq, min(2000, count + 1 - journal.next_seq)))


def drain(folder: Path, broker: PrivateBroker, rate: float) -> dict[str, float]:
    """The whole backlog at most at `rate`, with live parts at 10 per second beside it."""
    with closing(Line(folder, broker, rate)) as line:
        before, began = line.journal.pending_count, time.monotonic()
        over = threading.Event()

        def watch() -> None:
            while line.journal.pending_count > 20:
                time.sleep(0.1)
            over.set()

        threading.Thread(target=watch, daemon=True).start()
        line.latencies_ms.clear()
        while not over.wait(0.1):
            line.decide()
        seconds = time.monotonic() - began
        time.sleep(1.0)
        p50, p99 = np.percentile(line.latencies_ms, (50, 99))
        return {
            "verdicts": before,
            "seconds": round(seconds, 1),
            "per_s": round(before / seconds),
            "live_p50_ms": round(float(p50), 2),
            "live_p99_ms": round(float(p99), 2),
            "live_parts": len(line.latencies_ms),
        }


def audited(folder: Path, rounds: int) -> dict[str, float]:
    """Rows per second of the audit, read once before."""
    speeds = []
    for _ in range(rounds):
        began = time.perf_counter()
        report = audit(folder / "journal.sqlite")
        speeds.append(report.checked / (time.perf_counter() - began))
        if report.broken:
            raise SystemExit(f"the audit found {report.findings}")
    return {"rows": report.checked, "rows_per_s": round(statistics.median(speeds[1:]))}


@contextmanager
def _paho(broker: PrivateBroker) -> Iterator[paho.Client]:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _timed(found: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    found.append((time.perf_counter() - began) * 1000)


def _latencies(folder: Path, backlog: int, rounds: int, parts: int) -> dict[str, object]:
    """Live parts alone, and beside a backlog that drains at the default rate, in turns."""
    sides: dict[str, list[dict[str, float]]] = {"alone": [], "beside a backlog": []}
    with PrivateBroker() as broker:
        for number in range(rounds):
            for side, found in sides.items():
                place = folder / f"live-{number}-{side[:5]}"
                if side != "alone":
                    fill(place, backlog)
                with closing(Line(place, broker, backlog_rate=500)) as line:
                    found.append(live(line, parts=parts, rate=10))
    return {side: _medians(found) for side, found in sides.items()}


def _medians(found: Sequence[dict[str, float]]) -> dict[str, object]:
    return {
        **{key: round(statistics.median(each[key] for each in found), 2) for key in found[0]},
        "p99_ms_of_rounds": [each["p99_ms"] for each in found],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--dir", type=Path, help="folder on the disk to measure (default: temporary)"
    )
    parser.add_argument("--backlog", type=int, default=500_000)
    parser.add_argument("--commits", type=int, default=500, help="batches of each size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--parts", type=int, default=300, help="live parts per round, 10 per second"
    )
    arguments = parser.parse_args()
    result = setting("paho-mqtt", "pydantic")
    with tempfile.TemporaryDirectory(dir=arguments.dir) as made:
        folder = Path(made)
        result["commit"] = commits(folder, arguments.commits)
        print(result["commit"], flush=True)
        result["decision_to_puback_at_10_per_s"] = _latencies(
            folder, arguments.parts * 60, arguments.rounds, arguments.parts
        )
        print(result["decision_to_puback_at_10_per_s"], flush=True)
        outage = folder / "outage"
        fill(outage, arguments.backlog)
        size = sum(file.stat().st_size for file in outage.glob("journal.sqlite*"))
        per_verdict = size / arguments.backlog
        result["disk"] = {
            "message_bytes": len(verdicts(1, 1)[0].body),
            "bytes_per_verdict": round(per_verdict),
            "mb_for_72_h_at_2_per_s": round(per_verdict * 72 * 3600 * 2 / 1e6),
        }
        print(result["disk"], flush=True)
        result["audit"] = audited(outage, rounds=4)
        print(result["audit"], flush=True)
        began = time.perf_counter()
        Journal(outage).close()
        result["open_with_backlog_s"] = round(time.perf_counter() - began, 2)
        with PrivateBroker() as broker:
            result["drain_as_fast_as_it_goes"] = drain(outage, broker, rate=1e6)
        print(result["drain_as_fast_as_it_goes"], flush=True)
    print(write_result("durability", result))


if __name__ == "__main__":
    main()
