"""Brokers that are not mosquitto, each a process of its own on a free loopback port.

Where one is not installed, `start` skips the test and says what to install.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.peers.node import ENVIRONMENT, interpreter


class PeerBroker:
    """A broker process; use as a context manager. `port` stays the same over `kill` and `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The command line, its configuration written; skips where the program is missing."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables that it needs besides our own."""
        return {}

    @property
    def log(self) -> Path:
        """What it wrote to stdout and stderr, over all starts."""
        return self.folder / "broker.log"

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        command = self.command()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.kill()
        raise RuntimeError(f"{command[0]} did not start: {self.log.read_text(errors='replace')}")

    def kill(self) -> None:
        """SIGKILL to it and its children."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


class Ejabberd(PeerBroker):
    """ProcessOne's server in Erlang, Debian package `ejabberd`: MQTT 5 and 3.1.1.

    Every user with any password may enter, and publish below `inspection/` and `spBv1.0/` alone. It
    keeps retained messages on disk and sessions in memory.
    """

    PASSWORD = "any"  # noqa: S105 - it takes every one
    ENVIRONMENT: Mapping[str, str] = {"EDGE_INSPECT_MQTT_PASSWORD": PASSWORD}

    def address(self, user: str) -> str:
        """`mqtt://USER@127.0.0.1:PORT`; the password stands in the environment, as ever."""
        return f"mqtt://{user}@127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        erlang = shutil.which("erl")
        if erlang is None or not list(Path("/usr/lib").glob("*/ejabberd-*/ebin/mod_mqtt.beam")):
            pytest.skip("ejabberd is not installed: apt install ejabberd")
        listener = {"port": self.port, "ip": "127.0.0.1", "module": "mod_mqtt"}
        access = {topics: [{"allow": "all"}] for topics in ("inspection/#", "spBv1.0/#")}
        configuration = {
            "hosts": ["localhost"],
            "loglevel": "warning",
            "listen": [listener],
            "auth_method": ["anonymous"],
            "anonymous_protocol": "login_anon",
            "allow_multiple_connections": True,
            "modules": {"mod_mqtt": {"access_publish": access, "max_queue": 100_000}},
        }
        # JSON is YAML.
        (self.folder / "ejabberd.yml").write_text(json.dumps(configuration), encoding="utf-8")
        return [erlang, "-noinput", "-mnesia", "dir", f'"{self.folder}/db"', "-s", "ejabberd"]

    def environment(self) -> Mapping[str, str]:
        (libraries,) = {path.parent for path in Path("/usr/lib").glob("*/ejabberd-*")}
        return {
            "ERL_LIBS": str(libraries),
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_CRASH_DUMP": str(self.folder / "crash.dump"),
        }


class Amqtt(PeerBroker):
    """The pure-Python broker `amqtt` from PyPI: MQTT 3.1.1 alone."""

    def command(self) -> list[str]:
        program = shutil.which("amqtt")
        if program is None:
            pytest.skip("amqtt is not on the PATH: pipx install amqtt")
        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        configuration = {"listeners": {"default": listener}, "plugins": anonymous}
        file = self.folder / "amqtt.yml"
        file.write_text(json.dumps(configuration), encoding="utf-8")
        return [program, "-c", str(file)]


class Aedes(PeerBroker):
    """The Node broker `aedes` from npm: MQTT 3.1.1 alone."""

    PROGRAM = (
        "require('aedes').Aedes.createBroker().then(broker => "
        "require('net').createServer(broker.handle).listen(+process.argv[1], '127.0.0.1'))"
    )

    def command(self) -> list[str]:
        return [interpreter("aedes"), "-e", self.PROGRAM, str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {"NODE_PATH": ENVIRONMENT["NODE_PATH"]}
