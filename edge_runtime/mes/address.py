"""Broker addresses and the password that goes with them, as text from a user.

An address never carries a password: command lines stand in process lists and configuration files in
backups. Secrets come from the environment or a systemd credential and are nowhere shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from edge_runtime.errors import BrokerError

PASSWORD_VARIABLE = "EDGE_INSPECT_MQTT_PASSWORD"  # noqa: S105 - the name of a variable
PASSWORD_CREDENTIAL = "mqtt-password"  # noqa: S105 - the name of a systemd credential
_DEFAULT_PORT = 1883
_FORM = "expected mqtt://[user@]HOST[:PORT], for example mqtt://mes.local:1883, or memory://NAME"
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttAddress:
    """A broker on the network."""

    host: str
    port: int
    user: str | None = None

    def __str__(self) -> str:
        user = "" if self.user is None else quote(self.user, safe="") + "@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt://{user}{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAddress:
    """A broker within this process, for demonstrations and tests."""

    name: str

    def __str__(self) -> str:
        return f"memory://{self.name}"


Address: TypeAlias = MqttAddress | MemoryAddress


def parse_address(text: str) -> Address:
    """Read an address; raises BrokerError that names the expected form and shows no secret."""
    try:
        parts = urlsplit(text)
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError as exc:
        raise BrokerError(f"broker address {_shown(text)} is malformed: {_FORM}") from exc
    if parts.password is not None:
        raise BrokerError(
            f"broker address {_shown(text)} contains a password: leave it out and put it into "
            f"{PASSWORD_VARIABLE} or the systemd credential {PASSWORD_CREDENTIAL}"
        )
    if parts.scheme == "mqtts":
        raise BrokerError(
            f"broker address {_shown(text)} asks for TLS, which this version cannot: {_FORM}"
        )
    superfluous = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme == "memory" and not superfluous and _NAME.fullmatch(parts.netloc):
        return MemoryAddress(name=parts.netloc)
    if (
        parts.scheme != "mqtt"
        or superfluous
        or host is None
        or not _HOST.fullmatch(host)
        or port == 0
        or user == ""
        or not (user is None or unquote(user).isprintable())
    ):
        raise BrokerError(f"broker address {_shown(text)} is malformed: {_FORM}")
    return MqttAddress(
        host=host,
        port=_DEFAULT_PORT if port is None else port,
        user=None if user is None else unquote(user),
    )


def read_password(environment: Mapping[str, str]) -> str | None:
    """The broker's password from `EDGE_INSPECT_MQTT_PASSWORD`, else from the systemd credential.

    None where neither is set. Raises BrokerError when the credential is there but cannot be read.
    """
    if password := environment.get(PASSWORD_VARIABLE):
        return password
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    credential = Path(folder, PASSWORD_CREDENTIAL)
    try:
        return credential.read_text(encoding="utf-8").rstrip("\r\n") or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise BrokerError(f"{credential}: cannot read the broker's password: {exc}") from exc


def _shown(text: str) -> str:
    """The text for a message, with everything before an `@` hidden: a password may stand there."""
    _, at, rest = text.rpartition("@")
    return repr(f"***@{rest}" if at else text)
