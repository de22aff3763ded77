"""One MQTT connection of the mirror through paho, from the attempt to its end; used once.

paho's own thread serves the network. Its callbacks write down what happened under the mirror's
condition and notify it; they decide nothing.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import ClassVar, Final

from paho.mqtt import client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.client import connect, new_client, refusal_text
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.sparkplug.session import SparkplugMessage

_UNSENT_LIMIT: Final = 32
_COMMAND_LIMIT: Final = 8


class Link:
    """What the mirror sees of a connection. Read and write its attributes under the condition."""

    PATIENCE_S: ClassVar[float] = 10.0
    """How long the broker may take for its answers to CONNECT and SUBSCRIBE together."""

    def __init__(
        self,
        address: MqttAddress,
        client_id: str,
        will: SparkplugMessage,
        command_topic: str,
        changed: threading.Condition,
    ) -> None:
        self.ended: str | None = None
        """Why it is over, in words for a user; None while it is not."""
        self.subscribed = False
        """The broker accepted the connection and answered the subscription to commands."""
        self.commands: list[bytes] = []
        """Payloads of commands, not looked at yet. A host that sends more of them is not heard."""
        self.remarked = False
        """A command that is none was logged already."""
        self._address = address
        self._command_topic = command_topic
        self._changed = changed
        self._unsent: deque[SparkplugMessage] = deque()
        """Written to the network in this order."""
        self._accepted_at: float | None = None
        self._client = new_client(client_id)
        self._client.will_set(will.topic, will.payload, qos=1, retain=False)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect

    @property
    def lasted_s(self) -> float | None:
        """Seconds since the broker accepted it; None if it did not."""
        return None if self._accepted_at is None else time.monotonic() - self._accepted_at

    @property
    def unsent(self) -> int:
        """Messages that have not left this process; at QoS 0 nobody knows more about them."""
        return len(self._unsent)

    @property
    def unsent_verdicts(self) -> int:
        """Those of them that carry a verdict."""
        return sum(message.kind == "DDATA" for message in self._unsent)

    @property
    def congested(self) -> bool:
        """The network takes less than it is given: hand over no verdicts for now."""
        return self.unsent >= _UNSENT_LIMIT

    def open(self, credentials: Credentials) -> None:
        """Reach the broker, without waiting for its answer; raises BrokerError."""
        # A clean start and no expiry: tck-id-principles-persistence-clean-session-50
        connect(self._client, self._address, credentials, session_expiry_s=0)
        self._client.loop_start()

    def send(self, messages: Iterable[SparkplugMessage]) -> None:
        """Hand messages to the network: QoS 0, not retained."""
        for message in messages:
            with self._changed:
                self._unsent.append(message)
            self._client.publish(message.topic, message.payload, qos=0, retain=False)

    def bid_farewell(self, timeout_s: float) -> None:
        """Disconnect in order once everything is sent: the broker then keeps the will to itself."""
        with self._changed:
            self._changed.wait_for(lambda: not self.unsent or self.ended is not None, timeout_s)
            if self.unsent or self.ended is not None:
                return
        self._client.disconnect()
        with self._changed:
            self._changed.wait_for(lambda: self.ended is not None, timeout_s)

    def close(self) -> None:
        """End the connection if it still stands, and paho's thread, and let go of everything."""
        link = self._client.socket()
        if isinstance(link, socket.socket):
            # paho's thread would otherwise stay until the last message is written, or keep-alive ends.
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()
        # Callbacks tie client and link into a cycle, which would wait for the garbage collector.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None
        self._client.on_publish = self._client.on_disconnect = None

    # --- paho's thread -----------------------------------------------------------------------------

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # paho calls this for a refusal as well.
        if reason.is_failure:
            self._end(refusal_text(reason))
            return
        with self._changed:
            self._accepted_at = time.monotonic()
        client.subscribe(self._command_topic, qos=1)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        if reasons[0].is_failure:
            self._end(f"{refusal_text(reasons[0])}: subscription to {self._command_topic}")
            return
        with self._changed:
            self.subscribed = True
            self._changed.notify()

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        with self._changed:
            if len(self.commands) < _COMMAND_LIMIT:
                self.commands.append(bytes(message.payload))
                self._changed.notify()

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        _reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        with self._changed:
            self._unsent.popleft()
            self._changed.notify()

    def _on_disconnect(
        self,
        client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        # paho's thread would connect again by itself, with the will of this connection.
        client.disconnect()
        if flags.is_disconnect_packet_from_server:
            self._end(f"disconnected the mirror: {reason} (0x{reason.value:02X})")
        elif reason.getName() == "Keep alive timeout":
            self._end("no longer answers (keep-alive ran out)")
        else:
            self._end(
                "closed the connection" if self._accepted_at is None else "lost the connection"
            )

    def _end(self, why: str) -> None:
        with self._changed:
            if self.ended is None:
                self.ended = why
            self._changed.notify()
