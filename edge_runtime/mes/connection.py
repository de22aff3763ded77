"""One MQTT v5 connection through paho, from the attempt to its end.

Driven by a single thread, which alone touches paho: select, read, write, keep-alive. A connection
is used once; the next attempt makes a new one, so nothing of a failed attempt reaches it.
"""

import logging
import selectors
import socket
import ssl
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.base import Message
from edge_runtime.mes.client import (
    CONNECT_TIMEOUT_S,
    closed_early,
    connect,
    new_client,
    refusal_text,
)
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.window import OFFLINE, Outgoing

_LOG = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S: Final = 30.0
"""A broker that acknowledges nothing for so long is left and tried anew: MQTT v5 re-sends only
then."""
_QUIET_S: Final = 8.0
"""After so long without an acknowledgement it is said, though the connection is still believed in."""
_FAREWELL_S: Final = 1.0

_OVER_MESSAGE: Final = frozenset({0x81, 0x82, 0x83, 0x90, 0x95, 0x99})
"""Reasons of a DISCONNECT that blame what was sent: malformed, too large, bad topic or payload."""


class Connection:
    """A connection attempt of a publisher and, if accepted, the connection."""

    def __init__(
        self,
        address: MqttAddress,
        client_id: str,
        will_topic: str,
        credentials: Credentials,
        listen_to: Collection[str] = (),
    ) -> None:
        self.ended = "could not be asked"
        """Why it is over, in words for a user; meaningful once `alive` is False."""
        self.over_message = False
        """The broker ended it because of what was sent."""
        self.quota = 0
        """Unanswered messages that the broker allows: its Receive Maximum."""
        self._address = address
        self._credentials = credentials
        self._link: socket.socket | None = None
        self._refused = False
        self._largest: int | None = None
        self._given_up = False
        self._on_wire: dict[int, Outgoing] = {}
        self._answers: list[tuple[Outgoing, str | None]] = []
        self._listen_to = listen_to
        self._arrived: list[Message] = []
        self._selector = selectors.DefaultSelector()
        self._quiet_since = time.monotonic()
        self._accepted_at: float | None = None
        self._client = new_client(client_id)
        # 0 lifts paho's own limit: the window counts, and paho need not scan its queue at each PUBACK.
        self._client.max_inflight_messages = 0
        self._client.will_set(will_topic, OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    @property
    def accepted(self) -> bool:
        """The broker answered CONNECT with success; stays True after the end."""
        return self._accepted_at is not None

    @property
    def lasted_s(self) -> float | None:
        """Seconds since it was accepted; None if it was not."""
        return None if self._accepted_at is None else time.monotonic() - self._accepted_at

    @property
    def alive(self) -> bool:
        """From a successful `open` until the end, accepted or not yet."""
        return not self._given_up and self._client.socket() is not None

    @property
    def quiet(self) -> bool:
        """It is open, and leaves what was sent unanswered for long."""
        return bool(self._on_wire) and time.monotonic() - self._quiet_since > _QUIET_S

    def open(self) -> None:
        """Reach the host and send CONNECT; `serve` sees the answer. A failure leaves it not
        alive."""
        try:
            self._link = connect(self._client, self._address, self._credentials)
        except BrokerError as exc:
            self.ended = str(exc)

    def serve(self, wakened: socket.socket, timeout_s: float) -> None:
        """Wait for the network or the wake-up socket, and handle what came."""
        link: Any = self._client.socket()
        events = selectors.EVENT_READ
        if self._client.want_write():
            events |= selectors.EVENT_WRITE
        if not self._selector.get_map():
            self._selector.register(wakened, selectors.EVENT_READ)
            self._selector.register(link, events)
        elif self._selector.get_key(link).events != events:
            self._selector.modify(link, events)
        for key, ready in self._selector.select(timeout_s):
            if key.fileobj is wakened:
                with suppress(BlockingIOError):
                    wakened.recv(4096)
                continue
            if ready & selectors.EVENT_READ:
                self._read()
            if ready & selectors.EVENT_WRITE:
                self._heed(self._client.loop_write())
        self._heed(self._client.loop_misc())
        self._check_patience()

    def send(self, item: Outgoing) -> str | None:
        """Send one message; the refusal if it cannot be sent to this broker at all."""
        # Fixed header of up to 5 bytes, topic with its length, packet identifier, no properties.
        size = 5 + 2 + len(item.topic.encode()) + 2 + 1 + len(item.payload)
        if self._largest is not None and size > self._largest:
            return f"message of {size} bytes, but the broker takes at most {self._largest}"
        if not self._on_wire:
            self._quiet_since = time.monotonic()
        retain = item.number is None
        info = self._client.publish(item.topic, item.payload, qos=1, retain=retain)
        self._on_wire[info.mid] = item
        return None

    def take_answers(self) -> list[tuple[Outgoing, str | None]]:
        """Messages answered since the last call, each with its refusal or None."""
        answers, self._answers = self._answers, []
        return answers

    def take_arrived(self) -> list[Message]:
        """Messages that came since the last call."""
        arrived, self._arrived = self._arrived, []
        return arrived

    def bid_farewell(self) -> None:
        """Disconnect in order: the broker then keeps the last will to itself."""
        self._client.disconnect()
        deadline = time.monotonic() + _FAREWELL_S
        while self.alive and self._client.want_write() and time.monotonic() < deadline:
            self._client.loop_write()

    def drop(self) -> None:
        """Close the socket if it is still open, and let go of everything."""
        self._given_up = True
        link = self._client.socket()
        if link is not None:
            link.close()
        self._selector.close()
        # Callbacks tie client and connection into a cycle, which would wait for the garbage collector.
        self._client.on_connect = self._client.on_publish = self._client.on_disconnect = None
        self._client.on_subscribe = self._client.on_message = None

    def _read(self) -> None:
        self._heed(self._client.loop_read())
        # What TLS has already decrypted, `select` does not see.
        while self.alive and isinstance(self._link, ssl.SSLSocket) and self._link.pending():
            self._heed(self._client.loop_read())

    def _heed(self, result: MQTTErrorCode) -> None:
        if result is MQTTErrorCode.MQTT_ERR_PROTOCOL and self.accepted:
            # paho could not read an answer; mosquitto's PUBACK 0x95 (too large) is one it does not know.
            self.over_message = True
            self.ended = "sent an answer that could not be read (protocol error)"

    def _check_patience(self) -> None:
        quiet_s = time.monotonic() - self._quiet_since
        if not self.accepted and quiet_s > CONNECT_TIMEOUT_S:
            self._give_up(
                f"has not answered CONNECT within {CONNECT_TIMEOUT_S:.0f} s: does it speak MQTT 5?"
            )
        elif self._on_wire and quiet_s > _ANSWER_TIMEOUT_S:
            self._give_up(f"has acknowledged nothing for {_ANSWER_TIMEOUT_S:.0f} s")

    def _give_up(self, why: str) -> None:
        if self.alive:
            self._given_up = True
            self.ended = why

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        # paho calls this for a refusal as well.
        if reason.is_failure:
            self._refused = True
            self.ended = refusal_text(reason)
            return
        self.quota = getattr(properties, "ReceiveMaximum", 65_535)
        self._largest = getattr(properties, "MaximumPacketSize", None)
        self._accepted_at = time.monotonic()
        self.ended = "lost the connection"
        for topic in self._listen_to:
            # A command that the broker retains would be heard again at every connection.
            fresh = SubscribeOptions(
                qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND, retainAsPublished=True
            )
            client.subscribe(topic, options=fresh)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                # Verdicts flow all the same; whoever asks for a replay gets no answer.
                _LOG.warning(
                    "broker %s: listening to %s was %s",
                    self._address,
                    ", ".join(self._listen_to),
                    refusal_text(reason),
                )

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        if not message.retain:
            self._arrived.append(
                Message(topic=message.topic, payload=bytes(message.payload), retained=False)
            )

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        # Success includes 0x10, "no matching subscribers": the broker has taken the message.
        refusal = f"{reason} (0x{reason.value:02X})" if reason.is_failure else None
        self._answers.append((self._on_wire.pop(mid), refusal))
        self._quiet_since = time.monotonic()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.over_message = reason.value in _OVER_MESSAGE
            self.ended = f"disconnected this station: {reason} (0x{reason.value:02X})"
        elif reason.getName() == "Keep alive timeout":
            self.ended = "no longer answers (keep-alive ran out)"
        elif not (self.accepted or self._refused):
            self.ended = closed_early(self._address, self._link)
