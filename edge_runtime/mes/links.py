"""Opens the publisher or subscriber that an address asks for."""

from edge_runtime.mes.address import MemoryAddress, parse_address
from edge_runtime.mes.base import Publisher, Subscriber
from edge_runtime.mes.memory import MemoryBroker, MemoryPublisher, MemorySubscriber
from edge_runtime.mes.mqtt import MqttPublisher
from edge_runtime.mes.subscriber import MqttSubscriber


def open_publisher(
    address: str, *, client_id: str, availability_topic: str, password: str | None = None
) -> Publisher:
    """A publisher for `mqtt://...` or `memory://...`, not started; raises BrokerError if
    malformed."""
    parsed = parse_address(address)
    if isinstance(parsed, MemoryAddress):
        return MemoryPublisher(
            MemoryBroker.named(parsed.name),
            client_id=client_id,
            availability_topic=availability_topic,
        )
    return MqttPublisher(
        parsed, client_id=client_id, availability_topic=availability_topic, password=password
    )


def open_subscriber(address: str, topic_filter: str, *, password: str | None = None) -> Subscriber:
    """A live subscription; raises BrokerError if the address or the broker does not allow it."""
    parsed = parse_address(address)
    if isinstance(parsed, MemoryAddress):
        return MemorySubscriber(MemoryBroker.named(parsed.name), topic_filter)
    return MqttSubscriber(parsed, topic_filter, password=password)
