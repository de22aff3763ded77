"""The recipe for the npm package `mqtt` receives what a station sent, each verdict once.

Needs node and the package (MIT), see `tests.peers.node`.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.contracts.verdict import Lane, VerdictMessage, committed
from edge_runtime.mes.private_broker import PrivateBroker
from tests.peers.node import ENVIRONMENT, interpreter
from tests.scripted_station import TOPICS, ScriptedStation

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "verdicts.cjs"


@pytest.fixture
def node() -> str:
    return interpreter("mqtt")


@contextmanager
def client(node: str, address: str, count: int) -> Iterator[subprocess.Popen[str]]:
    """The recipe once it has connected; it ends after `count` verdicts."""
    with subprocess.Popen(
        [node, str(RECIPE), address, "plant-1", "mes-node-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT | {"COUNT": str(count)},
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline().startswith("connected, session ")
            yield process
        finally:
            process.kill()


def test_verdicts_come_once_and_to_the_byte(node: str, broker: PrivateBroker) -> None:
    with ScriptedStation(broker.address) as station:
        station.commit(1, 6)
        with client(node, broker.address, 4) as first:
            # Until its subscription is in force it hears nothing: all is sent until it has enough.
            while running(first):
                station.say(TOPICS.verdict, b"nonsense")
                station.send(1, 3, 3)
                station.say(TOPICS.verdict, b"nonsense")
                station.send(2, lane=Lane.BACKLOG)
                station.send(4)
            out, remarks = first.communicate(timeout=20)
        assert sorted(json.loads(line)["seq"] for line in out.splitlines()) == [1, 2, 3, 4]
        assert "not JSON" in remarks
        # While it was away the broker kept what came.
        station.send(5, 6)
        late: list[str] = []
        with client(node, broker.address, 1_000_000) as second:
            assert second.stdout is not None
            while not late or json.loads(late[-1])["seq"] != 6:
                late.append(second.stdout.readline())
    assert [json.loads(line)["seq"] for line in late][-2:] == [5, 6]
    for line in (*out.splitlines(), *late):
        verdict = VerdictMessage.model_validate_json(line)
        assert json.loads(committed(line.strip().encode())) == json.loads(
            station.bodies[verdict.seq]
        )


def running(process: subprocess.Popen[str]) -> bool:
    """Still, after a fifth of a second."""
    try:
        process.wait(0.2)
    except subprocess.TimeoutExpired:
        return True
    return False
