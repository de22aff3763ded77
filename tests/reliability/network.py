"""Break the network between station and broker while parts flow, mend it, and ask for every verdict.

    python -m tests.reliability.network --out docs/results/network.json

Each fault has a station, a broker and a proxy of its own, and all are endured at the same time: most of
them consist of waiting.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.setting import setting, write_json
from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import PRODUCT, Station
from tests.reliability.proxy import Fault, Proxy
from tests.reliability.reckoning import reckon
from tests.tiny_bundle import write_bundle

SHORT_S = 4.0
UNNOTICED_S = 36.0
"""Longer than the station waits for an acknowledgement, so it must find out by itself."""
HOLDS: Mapping[Fault, float] = {
    Fault.CUT: SHORT_S,
    Fault.RESET: SHORT_S,
    Fault.STALL: SHORT_S,
    Fault.DRIP: SHORT_S,
    Fault.DELAY: SHORT_S,
    Fault.LATE_ACKNOWLEDGEMENTS: 8.0,
    Fault.BLACK_HOLE: UNNOTICED_S,
    Fault.NO_WAY_OUT: UNNOTICED_S,
    Fault.NO_WAY_BACK: UNNOTICED_S,
    Fault.NO_ACKNOWLEDGEMENTS: UNNOTICED_S,
}
"""How long each fault lasts, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How a station came through one fault."""

    fault: str
    held_s: float
    recovery_s: float | None
    """From the mending to the first verdict decided after it; None if none came."""
    verdicts: int
    lost: int
    """Verdicts of the journal that never came to the consumer."""
    duplicates: int
    words: tuple[str, ...]
    """What the station said about its connection."""
    faults: tuple[str, ...]
    """What became of the verdicts; empty when all is well."""


def endure(fault: Fault, held_s: float, folder: Path, bundle: Path, **station: object) -> Recovery:
    """Let parts flow, break, mend, and reckon up."""
    folder.mkdir(parents=True)
    with (
        PrivateBroker() as broker,
        Consumer(broker.port) as consumer,
        Proxy(broker.port) as proxy,
        Station(
            folder=folder,
            broker=proxy.address,
            bundle=bundle,
            **{"rate": 20.0, "program": PRODUCT} | station,  # type: ignore[arg-type]
        ).start() as daemon,
    ):
        flowed = consumer.wait_for_more(20, timeout_s=60.0)
        proxy.inflict(fault)
        time.sleep(held_s)
        known, mended = consumer.last_seq, time.monotonic()
        proxy.heal()
        # What is decided from now on has a higher number than all that was held up.
        held_up = known + round(20 * held_s)
        recovered = consumer.wait(lambda consumer: consumer.last_seq > held_up, 60.0)
        recovery_s = round(time.monotonic() - mended, 2) if recovered else None
        exit_code = daemon.stop()
        consumer.wait(lambda consumer: time.monotonic() > consumer.heard_at + 1.0)
        result = reckon(folder / "state", consumer)
        faults = list(result.faults)
        if exit_code or not flowed:
            faults.append(f"exit code {exit_code}; parts flowed before: {flowed}")
        return Recovery(
            fault=fault,
            held_s=held_s,
            recovery_s=recovery_s,
            verdicts=result.last_seq,
            lost=len(result.missing),
            duplicates=result.duplicates,
            words=tuple(
                line.partition(" WARNING ")[2]
                for line in daemon.words().splitlines()
                if " WARNING broker" in line
            ),
            faults=tuple(faults),
        )


def endure_all(folder: Path, bundle: Path) -> dict[Fault, Recovery]:
    """Every fault, all at the same time."""
    with ThreadPoolExecutor(len(HOLDS)) as pool:
        running = {
            fault: pool.submit(endure, fault, held_s, folder / fault.replace(" ", "-"), bundle)
            for fault, held_s in HOLDS.items()
        }
        return {fault: recovery.result() for fault, recovery in running.items()}


def main() -> None:
    """Every fault once; the result with the time of recovery as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the result")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stated = setting("paho-mqtt")
    with tempfile.TemporaryDirectory(prefix="edge-inspect-network-") as folder:
        recoveries = endure_all(Path(folder), write_bundle(Path(folder)))
    write_json(
        arguments.out,
        {"setting": stated, "faults": [asdict(recovery) for recovery in recoveries.values()]},
    )


if __name__ == "__main__":
    main()
