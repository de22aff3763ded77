"""Run the station for long and see that its memory does not grow and every part is delivered.

python -m tests.reliability.soak --minutes 60 --rate 50 --out docs/results/soak.json
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.setting import setting, write_json
from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import PRODUCT, Station, broken_program
from tests.reliability.reckoning import Reckoning, reckon
from tests.tiny_bundle import write_bundle

GROWTH_LIMIT_MB = 20.0
_SHOWN = 20
"""Samples written into the result at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What was seen."""

    seconds: float
    """After the warm-up."""
    at: tuple[float, ...] = field(repr=False)
    """When memory was looked at, seconds after the warm-up."""
    resident_mb: tuple[float, ...] = field(repr=False)
    """Resident memory at these times, MB."""
    exit_code: int
    reckoning: Reckoning

    @property
    def trend_mb(self) -> float:
        """Growth over the whole time along the straight line that fits best."""
        return float(np.polyfit(self.at, self.resident_mb, 1)[0] * self.seconds)

    @property
    def spread_mb(self) -> float:
        """Between the lowest and the highest sample."""
        return max(self.resident_mb) - min(self.resident_mb)

    def faults(self, limit_mb: float) -> tuple[str, ...]:
        """What is wrong, in words; empty when memory stayed and all was delivered."""
        faults = list(self.reckoning.faults)
        if self.trend_mb > limit_mb or self.spread_mb > limit_mb:
            faults.append(
                f"memory grew by {self.trend_mb:.1f} MB (spread {self.spread_mb:.1f} MB) in "
                f"{self.seconds:.0f} s: at most {limit_mb:g} MB are allowed"
            )
        if self.exit_code:
            faults.append(f"exit code {self.exit_code}")
        return tuple(faults)


def soak(
    folder: Path,
    bundle: Path,
    *,
    rate: float,
    warm_up_s: float,
    seconds: float,
    program: tuple[str, ...] = PRODUCT,
) -> Soak:
    """Run a station, looking at its memory about 300 times, or each second of a longer time."""
    at, resident_mb = [], []
    with PrivateBroker() as broker, Consumer(broker.port) as consumer:
        station = Station(
            folder=folder, broker=broker.address, bundle=bundle, rate=rate, program=program
        )
        with station.start() as daemon:
            consumer.wait_for_more(1)
            time.sleep(warm_up_s)
            began = time.monotonic()
            while (now := time.monotonic() - began) < seconds:
                at.append(now)
                resident_mb.append(daemon.resident_mb())
                time.sleep(min(1.0, seconds / 300))
            exit_code = daemon.stop()
        consumer.wait(lambda consumer: time.monotonic() > consumer.heard_at + 1.0)
        return Soak(
            seconds=seconds,
            at=tuple(at),
            resident_mb=tuple(resident_mb),
            exit_code=exit_code,
            reckoning=reckon(station.state_dir, consumer),
        )


def main() -> None:
    """The long form, and the leaking control for a tenth of its time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="after five of warm-up")
    parser.add_argument("--rate", type=float, default=50.0, help="parts per second")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the result")
    arguments = parser.parse_args()
    stated = setting("paho-mqtt", "numpy", "opencv-python-headless")
    seconds = arguments.minutes * 60
    with tempfile.TemporaryDirectory(prefix="edge-inspect-soak-") as name:
        folder = Path(name)
        bundle = write_bundle(folder)
        result: dict[str, object] = {"setting": stated}
        for title, program, share in (
            ("station", PRODUCT, 1.0),
            ("leaking control", broken_program("leak"), 0.1),
        ):
            own = folder / title.replace(" ", "-")
            own.mkdir()
            seen = soak(
                own,
                bundle,
                rate=arguments.rate,
                warm_up_s=min(300.0, share * seconds / 2),
                seconds=share * seconds,
                program=program,
            )
            result[title] = _summary(seen)
            write_json(arguments.out, result)


def _summary(seen: Soak) -> dict[str, object]:
    step = max(1, -(-len(seen.at) // _SHOWN))
    return {
        "seconds": seen.seconds,
        "verdicts": seen.reckoning.last_seq,
        "at_the_consumer": seen.reckoning.received,
        "trend_mb": round(seen.trend_mb, 2),
        "spread_mb": round(seen.spread_mb, 2),
        "limit_mb": GROWTH_LIMIT_MB,
        "resident_mb": [round(value, 1) for value in seen.resident_mb[::step]],
        "faults": seen.faults(GROWTH_LIMIT_MB),
    }


if __name__ == "__main__":
    main()
