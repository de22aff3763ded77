"""The mosquitto configuration and its access list, as they lie in `systemd/`, at a real mosquitto.

A whole daemon runs against them: with them it can do all it needs, and nobody else can speak for it.
"""

import getpass
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from edge_runtime.assembly.station import open_station
from edge_runtime.cli.main import main
from edge_runtime.config import StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.replay import ReplayAnswer
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.credentials import PASSWORD_VARIABLE, Credentials, read_credentials
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from tests.certificates import Authority, Certificate
from tests.patience import eventually, listen_until

EXAMPLES = Path(__file__).parents[2] / "systemd" / "mosquitto"
COMMAND = [sys.executable, "-m", "edge_runtime.cli"]
BASE = "inspection/plant-2/L07/S3"
SECRETS = {"L07-S3": "geheim-der-station", "mes": "geheim-des-mes"}


@dataclass(frozen=True)
class Factory:
    """A broker set up by the examples, and what its users show it."""

    broker: PrivateBroker
    authority: Authority
    certificates: dict[str, Certificate]
    """By user; empty where passwords are asked for."""

    def address(self, user: str) -> str:
        return f"mqtts://{user}@127.0.0.1:{self.broker.port}"

    def credentials(self, user: str) -> Credentials:
        if user in self.certificates:
            own = self.certificates[user]
            return Credentials(
                ca=self.authority.certificate, certificate=own.certificate, key=own.key
            )
        return Credentials(ca=self.authority.certificate, password=SecretStr(SECRETS[user]))

    def listen(self, user: str, topic_filter: str) -> Subscriber:
        return open_subscriber(self.address(user), topic_filter, credentials=self.credentials(user))


@pytest.fixture(params=["password", "certificate"])
def by(request: pytest.FixtureRequest) -> str:
    """How users prove who they are; the examples have both."""
    return str(request.param)


@pytest.fixture
def factory(by: str, mosquitto: Callable[..., PrivateBroker], tmp_path: Path) -> Factory:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not on the PATH")
    authority = Authority(tmp_path, "factory")
    own = authority.issue("broker")
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    for user, secret in SECRETS.items():
        subprocess.run([program, "-b", str(passwords), user, secret], check=True)
    access = tmp_path / "edge-inspect.acl"
    lines, switched = re.subn(
        "^#topic", "topic", (EXAMPLES / "edge-inspect.acl").read_text(), flags=re.MULTILINE
    )
    assert switched == 2, "the lines for the Sparkplug mirror"
    access.write_text(lines)
    access.chmod(0o600)
    text = (EXAMPLES / "edge-inspect.conf").read_text()
    for there, here in {
        "/etc/mosquitto/certs/ca.pem": authority.certificate,
        "/etc/mosquitto/certs/broker.pem": own.certificate,
        "/etc/mosquitto/certs/broker.key": own.key,
        "password_file /etc/mosquitto/passwords": f"password_file {passwords}",
        "/etc/mosquitto/edge-inspect.acl": access,
        # Its place is taken by the listener of the test's broker.
        "listener 8883\n": "",
    }.items():
        assert text.count(there) == 1, there
        text = text.replace(there, str(here))
    certificates = {}
    if by == "certificate":
        text, switched = re.subn(
            r"^#(require_certificate|use_identity_as_username)", r"\1", text, flags=re.MULTILINE
        )
        assert switched == 2
        certificates = {user: authority.issue(user) for user in SECRETS}
    # As root it would drop to a user of its own, who cannot read the test's folder.
    broker = mosquitto(extra_config=f"user {getpass.getuser()}\n{text}")
    return Factory(broker=broker, authority=authority, certificates=certificates)


@dataclass(frozen=True)
class Daemon:
    """A running station, and the folder that it keeps."""

    process: subprocess.Popen[str]
    state: Path


@pytest.fixture
def daemon(factory: Factory, make_bundle: Callable[..., Path], tmp_path: Path) -> Iterator[Daemon]:
    """`edge-inspect run` as under systemd: secrets from credentials, the rest from flags."""
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    # As the unit has them: blank where the machine has no such file.
    (credentials / "mqtt-password").write_text("\n")
    (credentials / "mqtt-key").write_text("\n")
    flags = {
        "station": "L07-S3",
        "site": "plant-2",
        "bundle": str(make_bundle()),
        "source": "simulated:gen3?seed=7&rate=50",
        "broker": factory.address("L07-S3"),
        "state-dir": str(tmp_path / "state"),
        "mqtt-ca": str(factory.authority.certificate),
    }
    if factory.certificates:
        own = factory.certificates["L07-S3"]
        (credentials / "mqtt-key").write_bytes(own.key.read_bytes())
        flags["mqtt-certificate"] = str(own.certificate)
    else:
        (credentials / "mqtt-password").write_text(f"{SECRETS['L07-S3']}\n")
    process = subprocess.Popen(
        [*COMMAND, *(f"--{flag}={value}" for flag, value in flags.items())],
        env={
            **os.environ,
            "CREDENTIALS_DIRECTORY": str(credentials),
            "EDGE_INSPECT_MQTT_REPLAY": "true",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Daemon(process=process, state=tmp_path / "state")
        process.kill()


def said(messages: list[Message], topic: str) -> list[bytes]:
    return [message.payload for message in messages if message.topic == f"{BASE}/{topic}"]


def test_a_station_does_all_it_needs_and_shows_no_secret(factory: Factory, daemon: Daemon) -> None:
    with closing(factory.listen("mes", "inspection/#")) as mes:
        messages = listen_until(mes, lambda messages: len(said(messages, "verdict")) >= 20)
        with publishing(factory, "mes") as ask:
            assert ask(f"{BASE}/replay/set", b'{"from_seq": 2, "to_seq": 4}') is None
            messages += listen_until(mes, lambda messages: len(said(messages, "replay")) == 3)
        command_line = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        daemon.process.send_signal(signal.SIGTERM)
        messages += listen_until(
            mes, lambda messages: said(messages, "availability")[-1:] == [b"stopped"]
        )
        _, log = daemon.process.communicate(timeout=30)
    assert said(messages, "availability")[-1] == b"stopped"
    assert b"online" in said(messages, "availability")
    seqs = [json.loads(payload)["seq"] for payload in said(messages, "verdict")]
    assert seqs == list(range(1, len(seqs) + 1))
    replayed = [json.loads(payload)["seq"] for payload in said(messages, "replay")]
    assert replayed == [2, 3, 4]
    (answer,) = said(messages, "replay/answer")
    assert ReplayAnswer.model_validate_json(answer).refusal is None
    assert JournalHead.model_validate_json(said(messages, "journal")[-1]).last_seq == len(seqs)
    health = Health.model_validate_json(said(messages, "health")[-1])
    assert (health.refused, health.pending) == (0, 0)
    assert "refused" not in log
    stored = b"".join(file.read_bytes() for file in daemon.state.rglob("*") if file.is_file())
    spoken = b"".join(message.payload for message in messages)
    assert b"L07-S3" in command_line
    for place in (command_line, log.encode(), stored, spoken):
        for secret in (*SECRETS.values(), "PRIVATE KEY"):
            assert secret.encode() not in place


def test_the_last_will_of_a_killed_station_is_said(factory: Factory, daemon: Daemon) -> None:
    with closing(factory.listen("mes", f"{BASE}/availability")) as mes:
        assert listen_until(mes, lambda heard: heard[-1:] != [] and heard[-1].payload == b"online")
        daemon.process.kill()
        heard = listen_until(mes, lambda heard: said(heard, "availability") == [b"offline"])
    assert said(heard, "availability") == [b"offline"]


def test_a_request_reaches_the_station_that_is_asked_and_no_other(factory: Factory) -> None:
    request = b'{"from_seq":1,"to_seq":2}'
    with (
        closing(factory.listen("L07-S3", "inspection/#")) as station,
        publishing(factory, "mes") as ask,
    ):
        assert ask("inspection/plant-2/L07/S4/replay/set", request) is None
        assert ask("inspection/plant-2/L07/S4/verdict", request) == "Not authorized (0x87)"
        assert ask(f"{BASE}/replay/set", request) is None
        assert ask(f"{BASE}/trigger", b'{"part_id":"M1"}') is None
        message = station.receive(5.0)
        assert message is not None
        assert (message.topic, message.payload) == (f"{BASE}/replay/set", request)
        announced = station.receive(5.0)
        assert announced is not None
        assert announced.topic == f"{BASE}/trigger"
        assert station.receive(0.3) is None


@pytest.mark.parametrize(
    ("topic", "refusal"),
    [
        (f"{BASE}/verdict", None),
        (f"{BASE}/replay", None),
        (f"{BASE}/replay/answer", None),
        (f"{BASE}/journal", None),
        (f"{BASE}/drift", None),
        ("spBv1.0/plant-2/NBIRTH/L07-S3", None),
        ("spBv1.0/plant-2/DDATA/L07-S3/inspection", None),
        ("spBv1.0/plant-2/NBIRTH/L07-S4", "Not authorized (0x87)"),
        (f"{BASE}/replay/set", "Not authorized (0x87)"),
        (f"{BASE}/trigger", "Not authorized (0x87)"),
        (f"{BASE}/other", "Not authorized (0x87)"),
        ("inspection/plant-2/L07/S4/verdict", "Not authorized (0x87)"),
        ("inspection/plant-3/L07/S3/verdict", "Not authorized (0x87)"),
        ("elsewhere", "Not authorized (0x87)"),
    ],
)
def test_a_station_speaks_on_its_own_topics_only(
    factory: Factory, topic: str, refusal: str | None
) -> None:
    with publishing(factory, "L07-S3") as publish:
        assert publish(topic, b"{}") == refusal


def test_verdicts_that_the_access_list_refuses_are_kept_and_counted(
    factory: Factory, make_bundle: Callable[..., Path], folder_of_parts: Path, tmp_path: Path
) -> None:
    # Station S4 with the account of S3: as if somebody had copied a configuration.
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mqtt-password").write_text(SECRETS["L07-S3"])
    own = factory.credentials("L07-S3")
    config = StationConfig(
        station="L07-S4",
        site="plant-2",
        bundle=str(make_bundle()),
        source=f"dir:{folder_of_parts}",
        broker=factory.address("L07-S3"),
        mqtt_ca=own.ca,
        mqtt_certificate=own.certificate,
        mqtt_key=own.key,
        state_dir=tmp_path / "state",
    )
    with closing(factory.listen("mes", "inspection/#")) as mes:
        with open_station(config, {"CREDENTIALS_DIRECTORY": str(credentials)}) as station:
            health = station.run(threading.Event())
        assert mes.receive(0.3) is None
    assert (health.frames, health.refused, health.acknowledged, health.pending) == (13, 13, 0, 0)
    with closing(Journal(config.state_dir)) as journal:
        assert (journal.refused_count, journal.head.last_seq) == (13, 13)


def test_check_is_content_with_the_examples_and_names_a_stranger(
    factory: Factory,
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = factory.credentials("L07-S3")
    file = tmp_path / "station.toml"
    file.write_text(
        f'station = "L07-S3"\nsite = "plant-2"\nbundle = "{make_bundle()}"\n'
        f'source = "dir:{folder_of_parts}"\nbroker = "{factory.address("L07-S3")}"\n'
        f'state_dir = "{tmp_path}"\n[mqtt]\nca = "{own.ca}"\n'
        + (f'certificate = "{own.certificate}"\nkey = "{own.key}"\n' if own.key else "")
    )
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRETS["L07-S3"])
    assert main(["check", "--config", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("accepts connections")
    stranger = Authority(tmp_path, "stranger").certificate
    assert main(["check", "--config", str(file), "--mqtt-ca", str(stranger)]) == 6
    assert "no trusted CA vouches for" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("by", ["password"])
def test_a_password_that_is_corrected_in_its_file_lets_the_running_station_in(
    factory: Factory, tmp_path: Path
) -> None:
    password = tmp_path / "mqtt-password"
    password.write_text("wrong\n")
    publisher = open_publisher(
        factory.address("L07-S3"),
        client_id="s3",
        availability_topic=f"{BASE}/availability",
        credentials=read_credentials(
            {"CREDENTIALS_DIRECTORY": str(tmp_path)}, ca=factory.authority.certificate
        ),
    )
    publisher.start(lambda _answer: None)
    try:
        assert eventually(lambda: "Not authorized" in (publisher.problem or ""))
        assert "the systemd credential mqtt-password" in (publisher.problem or "")
        password.unlink()
        password.mkdir()
        assert eventually(lambda: "cannot read" in (publisher.problem or "")), publisher.problem
        password.rmdir()
        password.write_text(f"{SECRETS['L07-S3']}\n")
        assert eventually(lambda: publisher.connected, 30.0), publisher.problem
    finally:
        publisher.stop(2.0)


@contextmanager
def publishing(factory: Factory, user: str) -> Iterator[Callable[[str, bytes], str | None]]:
    """Publishes as this user: `publish(topic, payload)` gives the refusal."""
    publisher = open_publisher(
        factory.address(user),
        client_id=f"tests-{user}",
        availability_topic=f"{BASE}/availability",
        credentials=factory.credentials(user),
    )
    refusals: list[str | None] = []
    publisher.start(lambda answer: refusals.append(answer.refusal))

    def publish(topic: str, payload: bytes) -> str | None:
        before = len(refusals)
        assert eventually(lambda: publisher.publish(before + 1, topic, payload))
        assert eventually(lambda: len(refusals) > before)
        return refusals[before]

    try:
        yield publish
    finally:
        publisher.stop(2.0)
