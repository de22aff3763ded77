"""Broker addresses, as text from a user.

An address never carries a password: command lines stand in process lists and configuration files in
backups. Secrets are the business of `edge_runtime.mes.credentials`.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from edge_runtime.errors import BrokerError
from edge_runtime.mes.credentials import PASSWORD_CREDENTIAL, PASSWORD_VARIABLE

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = (
    "expected mqtt://[user@]HOST[:PORT], for example mqtt://mes.local:1883, mqtts:// for TLS, or "
    "memory://NAME"
)
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttAddress:
    """A broker on the network."""

    host: str
    port: int
    user: str | None = None
    tls: bool = False

    def __str__(self) -> str:
        user = "" if self.user is None else quote(self.user, safe="") + "@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{user}{host}:{self.port}"


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
    superfluous = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme == "memory" and not superfluous and _NAME.fullmatch(parts.netloc):
        return MemoryAddress(name=parts.netloc)
    if (
        parts.scheme not in _DEFAULT_PORTS
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
        port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
        user=None if user is None else unquote(user),
        tls=parts.scheme == "mqtts",
    )


def _shown(text: str) -> str:
    """The text for a message, with everything before an `@` hidden: a password may stand there."""
    _, at, rest = text.rpartition("@")
    return repr(f"***@{rest}" if at else text)
