"""Where passwords and keys come from, and that they show nowhere."""

import traceback
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import SecretStr

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.connection import Connection
from edge_runtime.mes.credentials import Credentials, read_credentials
from edge_runtime.mes.links import open_publisher


def test_the_password_comes_from_the_environment_before_the_credential(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("from-file\n", encoding="utf-8")
    both = {"EDGE_INSPECT_MQTT_PASSWORD": "from-env", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_credentials(both).read_password() == "from-env"
    assert read_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}).read_password() == "from-file"


def test_without_either_there_is_no_password(tmp_path: Path) -> None:
    assert read_credentials({}).read_password() is None
    assert read_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}).read_password() is None


def test_a_credential_that_changes_is_read_anew(tmp_path: Path) -> None:
    credentials = read_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert credentials.read_password() is None
    (tmp_path / "mqtt-password").write_text("later\n", encoding="utf-8")
    assert credentials.read_password() == "later"


def test_a_credential_that_cannot_be_read_is_named_and_not_shown(tmp_path: Path) -> None:
    credentials = read_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    (tmp_path / "mqtt-password").write_bytes(b"geheim\xff")
    with pytest.raises(BrokerError, match=r"mqtt-password: cannot read.*UTF-8") as caught:
        credentials.read_password()
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    (tmp_path / "mqtt-password").unlink()
    (tmp_path / "mqtt-password").mkdir()
    with pytest.raises(BrokerError, match=r"mqtt-password: cannot read.*Is a directory"):
        credentials.read_password()


def test_the_key_is_the_named_one_before_the_credential_and_a_blank_one_is_none(
    tmp_path: Path,
) -> None:
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    credential = tmp_path / "mqtt-key"
    assert read_credentials(environment).key is None
    credential.write_text("\n", encoding="utf-8")
    assert read_credentials(environment).key is None
    credential.write_text("-----BEGIN PRIVATE KEY-----\n", encoding="utf-8")
    assert read_credentials(environment).key == credential
    assert read_credentials(environment, key=Path("/named")).key == Path("/named")


def test_no_text_of_credentials_shows_the_password() -> None:
    credentials = Credentials(password=SecretStr("geheim"))
    assert "geheim" not in f"{credentials} {credentials!r} {asdict(credentials)}"


def test_nothing_that_holds_credentials_shows_the_password() -> None:
    publisher = open_publisher(
        "mqtt://s3@127.0.0.1:1",
        client_id="s3",
        availability_topic="availability",
        credentials=Credentials(password=SecretStr("geheim")),
    )
    connection = Connection(
        MqttAddress(host="127.0.0.1", port=1, user="s3"),
        "s3",
        "availability",
        Credentials(password=SecretStr("geheim")),
    )
    try:
        for holder in (publisher, connection):
            assert "geheim" not in f"{holder!r} {vars(holder)}"
    finally:
        connection.drop()
