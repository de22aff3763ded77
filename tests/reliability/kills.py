"""Kill station and broker at random moments while parts flow, then ask for every verdict.

    python -m tests.reliability.kills --kills 1000 --out docs/results/kills.json

Two halves on one journal. In the first the station alone is killed, and every verdict must arrive by
itself. In the second the broker dies as well. What mosquitto had acknowledged and not yet passed on or
written down dies with it: a PUBACK is no durability, and no station can know. Such gaps are counted, and
the consumer closes them by asking the station's journal for a replay.
"""

import argparse
import logging
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from benchmarks.setting import setting, write_json
from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import Station, broken_program
from tests.reliability.reckoning import Reckoning, reckon
from tests.tiny_bundle import write_bundle

_LOG = logging.getLogger(__name__)
_EARLY = 0.2
"""Share of kills that do not wait for parts to flow: they fall on imports, recovery and connecting."""


class Kill(StrEnum):
    """What dies."""

    STATION = "station"
    STATION_MID_SEND = "station mid-send"
    """The broker stands still for a moment first, so verdicts are on their way when the station dies."""
    BROKER = "broker"
    BOTH = "both"
    BROKER_WHILE_AWAY = "broker while the consumer is away"
    """What it took and acknowledged meanwhile, and has not written down, dies with it."""


DURABLE = "autosave_on_changes true"
"""Mosquitto's configuration for writing down what it knows whenever that changes."""
REPLAYING = {"EDGE_INSPECT_MQTT_REPLAY": "true"}
"""Environment of a station that sends verdicts again on request."""
OF_THE_STATION = (Kill.STATION, Kill.STATION_MID_SEND)
OF_THE_BROKER = (Kill.BROKER, Kill.BOTH, Kill.BROKER_WHILE_AWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the verdicts."""

    kills: dict[str, int]
    kills_while_parts_flowed: int
    """Those with at least one new verdict since the kill before."""
    lost_by_the_broker: int
    """Acknowledged by a broker that was then killed, and never passed on; sent again on request."""
    ended_unasked: tuple[str, ...]
    """Last words of every run that ended without being killed or stopped."""
    reckoning: Reckoning

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words; empty when the promise was kept."""
        pruned = self.reckoning.pruned
        unasked = (f"{pruned} verdicts pruned, though there was room",) if pruned else ()
        return (*self.reckoning.faults, *self.ended_unasked, *unasked)


class Killer:
    """Keeps a station and its broker running, and kills them."""

    def __init__(
        self, station: Station, broker: PrivateBroker, consumer: Consumer, seed: int
    ) -> None:
        self._station = station
        self._broker = broker
        self._consumer = consumer
        self._random = random.Random(seed)
        self._daemon = station.start()
        self._kills: Counter[str] = Counter()
        self._while_parts_flowed = 0
        self._ended_unasked: list[str] = []

    def kill(self, kinds: Sequence[Kill], times: int) -> None:
        """Kill `times` times, each at a random moment."""
        for _ in range(times):
            known = self._consumer.last_seq
            if self._random.random() >= _EARLY:
                self._consumer.wait(partial(self._goes_on, known), 30.0)
            time.sleep(self._random.uniform(0.0, 0.4))
            kind = self._random.choice(kinds)
            self._kill(kind)
            self._kills[kind] += 1
            self._while_parts_flowed += self._consumer.last_seq > known
            _LOG.info(
                "kill %d (%s): %d verdicts at the consumer",
                self._kills.total(),
                kind,
                self._consumer.count,
            )

    def _goes_on(self, known: int, consumer: Consumer) -> bool:
        return consumer.last_seq > known or not self._daemon.running

    def _kill(self, kind: Kill) -> None:
        if kind is Kill.BROKER_WHILE_AWAY:
            with self._consumer.away():
                time.sleep(self._random.uniform(0.2, 0.8))
                self._broker.kill()
                self._broker.start()
            return
        if kind is Kill.STATION_MID_SEND:
            os.kill(self._broker.pid, signal.SIGSTOP)
            time.sleep(self._random.uniform(0.0, 0.2))
        if kind is Kill.BROKER or kind is Kill.BOTH:
            self._broker.kill()
        if kind is not Kill.BROKER:
            self._note_the_end()
            self._daemon.kill()
        if kind is Kill.STATION_MID_SEND:
            os.kill(self._broker.pid, signal.SIGCONT)
        if kind is Kill.BROKER or kind is Kill.BOTH:
            time.sleep(self._random.uniform(0.0, 0.3))
            self._broker.start()
        if kind is not Kill.BROKER:
            self._daemon = self._station.start()

    def settle(self, *, replay: bool, replayed_within_s: float) -> Outcome:
        """Let the station deliver what it has, stop it in order, and reckon up.

        With `replay` the consumer asks for what a killed broker has lost, and waits so long for it.
        """
        self._stop_in_order()
        lost = self._awaited()
        if replay and lost:
            self._daemon = self._station.start()
            self._consumer.wait_for_more(1)
            self._consumer.ask(lost)
            self._consumer.wait(lambda consumer: not consumer.missing(lost[-1]), replayed_within_s)
            self._stop_in_order()
            self._awaited()
        return Outcome(
            kills=dict(self._kills),
            kills_while_parts_flowed=self._while_parts_flowed,
            lost_by_the_broker=len(lost) if replay else 0,
            ended_unasked=tuple(self._ended_unasked),
            reckoning=reckon(self._station.state_dir, self._consumer),
        )

    def _stop_in_order(self) -> None:
        # After a kill of the broker the station may be waiting out its back-off.
        enough = self._consumer.last_seq + 20
        self._consumer.wait(partial(self._goes_on, enough), 60.0)
        self._note_the_end()
        if exit_code := self._daemon.stop():
            self._ended_unasked.append(f"stopped in order, exit code {exit_code}")

    def _note_the_end(self) -> None:
        if not self._daemon.running:
            words = self._daemon.words().strip().splitlines() or ["it said nothing"]
            self._ended_unasked.append(f"ended by itself: {words[-1]}")

    def _awaited(self, quiet_s: float = 2.0) -> list[int]:
        """What is missing once the broker has nothing more for the consumer."""
        self._consumer.wait(lambda consumer: time.monotonic() > consumer.heard_at + quiet_s, 60.0)
        last_seq = reckon(self._station.state_dir, self._consumer).last_seq
        return self._consumer.missing(last_seq)

    def resume(self) -> None:
        """Start the station again after `settle`."""
        self._daemon = self._station.start()

    def close(self) -> None:
        """End the station."""
        self._daemon.kill()


def run(
    station: Station,
    broker: PrivateBroker,
    plan: Sequence[tuple[Sequence[Kill], int]],
    *,
    seed: int,
    replayed_within_s: float = 60.0,
) -> Iterator[Outcome]:
    """Go through the plan (kinds of kills, and how many), with an outcome after each of its parts."""
    with (
        Consumer(broker.port) as consumer,
        closing(Killer(station, broker, consumer, seed)) as killer,
    ):
        for part, (kinds, times) in enumerate(plan):
            if part:
                killer.resume()
            killer.kill(kinds, times)
            yield killer.settle(
                replay=any(kind in OF_THE_BROKER for kind in kinds),
                replayed_within_s=replayed_within_s,
            )


def main() -> None:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="in all (default 1000)")
    parser.add_argument("--part", type=int, default=50, help="kills between two reckonings")
    parser.add_argument("--controls", type=int, default=10, help="runs of each broken station")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result: dict[str, object] = {"setting": setting("paho-mqtt")}
    with tempfile.TemporaryDirectory(prefix="edge-inspect-kills-") as folder:
        bundle = write_bundle(Path(folder))
        parts = arguments.kills // arguments.part
        plan = [((OF_THE_STATION, OF_THE_BROKER)[n % 2], arguments.part) for n in range(parts)]
        lost, began = 0, time.monotonic()
        # It writes down once a second, so that it has something to lose.
        with PrivateBroker(persistence=True) as broker:
            station = Station(
                folder=Path(folder),
                broker=broker.address,
                bundle=bundle,
                environment=REPLAYING,
            )
            for outcome in run(station, broker, plan, seed=arguments.seed):
                lost += outcome.lost_by_the_broker
                result |= {
                    "duration_s": round(time.monotonic() - began),
                    "kills": outcome.kills,
                    "kills_while_parts_flowed": outcome.kills_while_parts_flowed,
                    "verdicts": outcome.reckoning.last_seq,
                    "at_the_consumer": outcome.reckoning.received,
                    "duplicates_removed": outcome.reckoning.duplicates,
                    "acknowledged_then_lost_by_a_killed_broker_and_replayed": lost,
                    "faults": outcome.faults,
                }
                _write(result, arguments.out)
        result["controls"] = {
            mistake: _control(mistake, arguments.controls, Path(folder), bundle)
            for mistake in ("publish-before-commit", "clear-on-send")
        }
    _write(result, arguments.out)


def _control(mistake: str, runs: int, folder: Path, bundle: Path) -> dict[str, int]:
    """How often the same kills find out a broken station."""
    caught, kills = 0, 8
    for seed in range(runs):
        own = folder / f"{mistake}-{seed}"
        own.mkdir()
        with PrivateBroker(persistence=True, extra_config=DURABLE) as broker:
            station = Station(folder=own, broker=broker.address, bundle=bundle)
            broken = replace(station, program=broken_program(mistake))
            (outcome,) = run(broken, broker, [(OF_THE_STATION, kills)], seed=seed)
        _LOG.info("control %s: %s", mistake, outcome.faults)
        caught += bool(outcome.faults)
    return {"runs": runs, "kills_each": kills, "caught": caught}


def _write(result: dict[str, object], path: Path | None) -> None:
    if path is not None:
        write_json(path, result)
    _LOG.info("%s", {key: value for key, value in result.items() if key != "setting"})


if __name__ == "__main__":
    main()
