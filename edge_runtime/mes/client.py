"""What the station's and the MES's ends share of paho: how a client is made and connected, and what
a broker's refusal means in words.
"""

import socket
from typing import Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.credentials import PASSWORD_CREDENTIAL, PASSWORD_VARIABLE, Credentials
from edge_runtime.mes.tls import TlsSocket, client_context, handshake_failure

KEEP_ALIVE_S: Final = 15
CONNECT_TIMEOUT_S: Final = 5.0
"""For the TCP connection, for the TLS handshake, and for the answer to CONNECT, each."""
_SESSION_EXPIRY_S: Final = 24 * 3600
"""How long the broker keeps the session of a client that is away."""
_BAD_CREDENTIALS: Final = frozenset({0x86, 0x87, 0x8C})
_UNSUPPORTED_VERSION: Final = 0x84
"""Also what paho makes of the answer of a broker that knows only MQTT 3.1.1."""


def new_client(client_id: str) -> paho.Client:
    """A paho client for MQTT v5 that is not connected yet."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    return client


def connect(
    client: paho.Client,
    address: MqttAddress,
    credentials: Credentials,
    *,
    session_expiry_s: int = _SESSION_EXPIRY_S,
) -> socket.socket | None:
    """Reach the host, agree on TLS where the address asks for it, and send CONNECT, once per client.

    Secrets and certificates are read from their files now. Returns the socket, for its options and
    for `closed_early`. Raises BrokerError that continues "broker ADDRESS ...". A session that ends
    with its connection, expiry 0, also starts clean.
    """
    if address.tls:
        client.tls_set_context(client_context(credentials))
    if address.user is not None:
        client.username_pw_set(address.user, credentials.read_password())
    # No clean start for a lasting one: mosquitto 2.0 does not write down a session that began so.
    try:
        client.connect(
            address.host,
            address.port,
            keepalive=KEEP_ALIVE_S,
            clean_start=session_expiry_s == 0,
            properties=_session_properties(session_expiry_s),
        )
    except OSError as exc:
        if address.tls:
            raise BrokerError(handshake_failure(exc, address)) from exc
        raise BrokerError(f"cannot be reached: {exc.strerror or exc}") from exc
    link = client.socket()
    if not isinstance(link, socket.socket):
        return None
    # Messages are small and each waits for its answer: Nagle's delay would be felt in full.
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def closed_early(address: MqttAddress, link: socket.socket | None) -> str:
    """A connection that ended without an answer to CONNECT, in words, with what the user can check."""
    if isinstance(link, TlsSocket) and link.alert is not None:
        return link.alert
    text = "closed the connection before accepting it"
    if address.tls:
        # Its alert may have been lost to the reset that follows it.
        return f"{text}: does it ask for a client certificate that it trusts (mqtt_certificate)?"
    return f"{text}: does it ask for TLS on this port (mqtts://)?"


def refusal_text(reason: ReasonCode) -> str:
    """A refused connection or subscription in words, with what the user can check."""
    text = f"refused: {reason} (0x{reason.value:02X})"
    if reason.value in _BAD_CREDENTIALS:
        text += (
            f"; check the user in the address and {PASSWORD_VARIABLE} or the systemd credential "
            f"{PASSWORD_CREDENTIAL}"
        )
    elif reason.value == _UNSUPPORTED_VERSION:
        text += (
            "; it speaks no MQTT 5, without which nobody knows what it refuses: use one that does"
        )
    return text


def _session_properties(expiry_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho's gap
    properties.SessionExpiryInterval = expiry_s
    return properties
