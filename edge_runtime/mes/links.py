"""Opens the publisher, mirror or subscriber that an address asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import UsageError
from edge_runtime.mes.address import MemoryAddress, parse_address
from edge_runtime.mes.base import Publisher, Subscriber
from edge_runtime.mes.credentials import ANONYMOUS, Credentials
from edge_runtime.mes.memory import MemoryBroker, MemoryPublisher, MemorySubscriber
from edge_runtime.mes.mqtt import MqttPublisher
from edge_runtime.mes.subscriber import MqttSubscriber
from edge_runtime.mes.tls import require_fit

if TYPE_CHECKING:
    from edge_runtime.mes.sparkplug.mirror import SparkplugMirror


def open_publisher(
    address: str,
    *,
    client_id: str,
    availability_topic: str,
    credentials: Credentials = ANONYMOUS,
) -> Publisher:
    """A publisher for `mqtt://...`, `mqtts://...` or `memory://...`, not started.

    Raises BrokerError if the address is malformed or the credentials do not go with it.
    """
    parsed = parse_address(address)
    require_fit(parsed, credentials)
    if isinstance(parsed, MemoryAddress):
        return MemoryPublisher(
            MemoryBroker.named(parsed.name),
            client_id=client_id,
            availability_topic=availability_topic,
        )
    return MqttPublisher(
        parsed, client_id=client_id, availability_topic=availability_topic, credentials=credentials
    )


def open_mirror(
    address: str,
    *,
    group: str,
    station: StationId,
    client_id: str,
    state_dir: Path,
    credentials: Credentials = ANONYMOUS,
) -> "SparkplugMirror":
    """A Sparkplug mirror beside the publisher with that client id, not started.

    Raises BrokerError as `open_publisher` does, and UsageError if the extra `sparkplug` is not
    installed or there is no network in the address.
    """
    from edge_runtime.mes.sparkplug.mirror import SparkplugMirror

    parsed = parse_address(address)
    require_fit(parsed, credentials)
    if isinstance(parsed, MemoryAddress):
        raise UsageError(
            f"mqtt_sparkplug_group is set, but {parsed} reaches no Sparkplug host: give a broker "
            "as mqtt://HOST or mqtts://HOST, or leave the group out"
        )
    return SparkplugMirror(
        parsed,
        group=group,
        station=station,
        client_id=client_id,
        state_dir=state_dir,
        credentials=credentials,
    )


def open_subscriber(
    address: str,
    topic_filter: str,
    *,
    credentials: Credentials = ANONYMOUS,
    client_id: str | None = None,
) -> Subscriber:
    """A live subscription; raises BrokerError if address, credentials or broker do not allow it.

    Over MQTT a `client_id` makes the broker keep the session beyond `close`.
    """
    parsed = parse_address(address)
    require_fit(parsed, credentials)
    if isinstance(parsed, MemoryAddress):
        return MemorySubscriber(MemoryBroker.named(parsed.name), topic_filter)
    return MqttSubscriber(parsed, topic_filter, credentials=credentials, client_id=client_id)
