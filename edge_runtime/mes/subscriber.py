"""The MES's end of MQTT v5: a subscription that consumers, the demo, `check` and tests listen with.

paho's own thread receives into a bounded buffer. A message is acknowledged to the broker when the
next one is asked for, so that one whose receiver dies over it is delivered again. When the buffer is
full the thread waits: the broker then keeps the rest in this client's session, and nothing is
dropped here.
"""

import queue
import socket
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.base import Message
from edge_runtime.mes.client import closed_early, connect, new_client, refusal_text
from edge_runtime.mes.credentials import ANONYMOUS, Credentials

_BUFFERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Received:
    """A message with what its acknowledgement needs."""

    message: Message
    mid: int
    qos: int
    connection: int
    """Which of this client's connections it came over: identifiers mean nothing beyond it."""


class MqttSubscriber:
    """A subscription at QoS 1, live when the constructor returns; BrokerError when it cannot be.

    A lost connection is taken up again with the same session, so nothing that the broker kept
    meanwhile is missed. `close` ends the session, unless it has a `client_id` of its own: then the
    next subscriber of that name goes on with it.
    """

    def __init__(
        self,
        address: MqttAddress,
        topic_filter: str,
        *,
        credentials: Credentials = ANONYMOUS,
        client_id: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._keeps_session = client_id is not None
        self._topic_filter = topic_filter
        self._messages: queue.Queue[_Received] = queue.Queue(_BUFFERED)
        self._in_hand: _Received | None = None
        self._connections = 0
        self._closed = threading.Event()
        self._answered = threading.Event()
        self._address = address
        self._link: socket.socket | None = None
        self._problem: str | None = f"gave no answer within {timeout_s:.0f} s"
        client = new_client(client_id or f"edge-inspect-tail-{uuid.uuid4().hex[:12]}")
        client.manual_ack_set(True)
        client.reconnect_delay_set(min_delay=1, max_delay=5)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client: paho.Client | None = client
        try:
            self._link = connect(client, address, credentials)
        except BrokerError as exc:
            self.close()
            raise BrokerError(f"broker {address} {exc}") from exc
        client.loop_start()
        self._answered.wait(timeout_s)
        if self._problem is not None:
            self.close()
            raise BrokerError(f"broker {address} {self._problem}")

    @property
    def problem(self) -> str | None:
        return None if self._problem is None else f"broker {self._address} {self._problem}"

    def receive(self, timeout_s: float) -> Message | None:
        self.acknowledge()
        try:
            self._in_hand = self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None
        return self._in_hand.message

    def acknowledge(self) -> None:
        received, self._in_hand = self._in_hand, None
        # What came over an earlier connection the broker delivers again, under another identifier.
        if received is not None and received.connection == self._connections and self._client:
            self._client.ack(received.mid, received.qos)

    def publish(self, topic: str, payload: bytes) -> bool:
        if self._client is None or self._problem is not None:
            return False
        return self._client.publish(topic, payload, qos=1).rc is MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        self._closed.set()
        client, self._client = self._client, None
        if client is None:
            return
        over = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call] # paho's gap
        if not self._keeps_session:
            over.SessionExpiryInterval = 0
        client.disconnect(properties=over)
        client.loop_stop()
        # Callbacks tie client and subscriber into a cycle, which would wait for the garbage collector.
        client.on_connect = client.on_disconnect = client.on_subscribe = client.on_message = None

    def _on_connect(
        self,
        client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._problem = refusal_text(reason)
            self._answered.set()
            return
        self._connections += 1
        # A session that survived must not bring the retained messages a second time.
        retained = (
            SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
            if self._connections == 1
            else SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        )
        client.subscribe(
            self._topic_filter, options=SubscribeOptions(qos=1, retainHandling=retained)
        )

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._answered.is_set():
            self._problem = self._problem or "lost the connection"
        else:
            self._problem = closed_early(self._address, self._link)
            self._answered.set()

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._problem = (
                f"did not allow to subscribe to {self._topic_filter}: {refusal_text(refused[0])}"
            )
        else:
            self._problem = None
        self._answered.set()

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        arrived = _Received(
            message=Message(
                topic=message.topic, payload=bytes(message.payload), retained=message.retain
            ),
            mid=message.mid,
            qos=message.qos,
            connection=self._connections,
        )
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._messages.put(arrived, timeout=0.2)
                return
