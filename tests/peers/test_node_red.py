"""The recipe for Node-RED writes down what a station sent, each verdict once.

Needs `node-red` (Apache-2.0) on the PATH: npm install -g node-red.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_runtime.contracts.verdict import Lane
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import eventually
from tests.scripted_station import TOPICS, ScriptedStation

RECIPE = Path(__file__).parents[2] / "docs" / "recipes" / "node-red-flow.json"
SETTINGS = "module.exports = { uiHost: '127.0.0.1', httpAdminRoot: false, httpNodeRoot: false };"


@contextmanager
def node_red(folder: Path, broker: PrivateBroker) -> Iterator[None]:
    """The recipe as it stands, but for the broker's port and the folder of its file."""
    program = shutil.which("node-red")
    if program is None:
        pytest.skip("node-red is not installed: npm install -g node-red")
    flow = json.loads(RECIPE.read_text(encoding="utf-8"))
    for node in flow:
        if node["type"] == "mqtt-broker":
            node["port"] = str(broker.port)
    (folder / "flow.json").write_text(json.dumps(flow), encoding="utf-8")
    (folder / "settings.js").write_text(SETTINGS, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    here = ("--userDir", str(folder), "--settings", str(folder / "settings.js"), "--port", port)
    with (
        (folder / "log").open("ab") as log,
        subprocess.Popen(
            [program, *here, "--no-telemetry", str(folder / "flow.json")],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield
        finally:
            process.kill()


def test_each_verdict_is_written_once(broker: PrivateBroker, tmp_path: Path) -> None:
    def written() -> list[str]:
        file = tmp_path / "verdicts.csv"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []

    def come(*seqs: int) -> Callable[[], bool]:
        return lambda: set(seqs) <= {int(line.split(",")[0]) for line in written()}

    with ScriptedStation(broker.address) as station:
        station.commit(1, 6)
        with node_red(tmp_path, broker):
            # Until its subscription is in force it hears nothing.
            for _ in range(100):
                station.send(1)
                if eventually(come(1), timeout_s=0.3):
                    break
            station.send(3, 3)
            station.say(TOPICS.verdict, b"nonsense")
            station.send(1, 2, 3, lane=Lane.BACKLOG)
            station.send(4)
            log = tmp_path / "log"
            assert eventually(come(1, 2, 3, 4)), log.read_text(encoding="utf-8")
        assert [line.split(",") for line in written()] == [
            [str(seq), f"P-{seq}", "defect", "micro_crack", lane]
            for seq, lane in ((1, "live"), (3, "live"), (2, "backlog"), (4, "live"))
        ]
        # While it was away the broker kept what came.
        station.send(5, 6)
        with node_red(tmp_path, broker):
            assert eventually(come(5, 6)), log.read_text(encoding="utf-8")
