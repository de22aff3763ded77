"""A Sparkplug host application for tests: reads protobuf by hand and holds an edge node to the rules.

It knows nothing of the product's code: field numbers and rules are from Sparkplug 3.0.0 (chapters 5
and 6). `Host.hear` raises AssertionError at the first message that breaks one.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_LONG_TYPES = (4, 8, 13)
_TEXT_TYPES = (12, 15)


@dataclass
class Metric:
    """A metric as it stood on the wire; None for what was not sent."""

    name: str | None = None
    alias: int | None = None
    timestamp: int | None = None
    datatype: int | None = None
    is_historical: bool = False
    is_null: bool = False
    field: int | None = None
    """Number of the field that the value stood in."""
    value: int | float | bool | str | None = None


@dataclass
class Payload:
    """A payload as it stood on the wire."""

    timestamp: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def decode(data: bytes) -> Payload:
    """Read a payload; ValueError if a field is none that a station should send."""
    payload = Payload()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            payload.timestamp = value
        elif number == 2 and isinstance(value, bytes):
            payload.metrics.append(_metric(value))
        elif number == 3 and isinstance(value, int):
            payload.seq = value
        else:
            raise ValueError(f"field {number} in a payload")
    return payload


def _metric(data: bytes) -> Metric:
    metric = Metric()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            metric.name = value.decode()
        elif number in (2, 3, 4) and isinstance(value, int):
            setattr(metric, {2: "alias", 3: "timestamp", 4: "datatype"}[number], value)
        elif number == 5:
            metric.is_historical = bool(value)
        elif number == 7:
            metric.is_null = bool(value)
        elif number in (11, 13, 14, 15):
            metric.field = number
            match number, value:
                case 11, int():
                    metric.value = value
                case 13, bytes():
                    metric.value = struct.unpack("<d", value)[0]
                case 14, int():
                    metric.value = bool(value)
                case 15, bytes():
                    metric.value = value.decode()
        else:
            raise ValueError(f"field {number} in a metric")
    return metric


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = 8
        if kind == 2:
            size, at = _varint(data, at)
        elif kind != 1:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def rebirth_command(*, value: bool = True) -> bytes:
    """The payload of an NCMD that asks for births, as protobuf by hand."""
    name = b"Node Control/Rebirth"
    metric = b"\x0a" + bytes([len(name)]) + name + b"\x20\x0b" + b"\x70" + bytes([value])
    return b"\x08\x01" + b"\x12" + bytes([len(metric)]) + metric


class Host:
    """What a host knows of one edge node, and whether it may believe it."""

    def __init__(self, group: str = "VoltForge", node: str = "L07-S3") -> None:
        self.online = False
        self.device_online = False
        self.bd_seq: int | None = None
        self.births = 0
        self.parts: list[dict[str, object]] = []
        """What each DDATA said, by metric name, with `historical`."""
        self.current: dict[str, object] = {}
        """Values that are not historical, as an operator would see them."""
        self._topics = {
            f"spBv1.0/{group}/{kind}/{node}" + ("/inspection" if kind.startswith("D") else ""): kind
            for kind in ("NBIRTH", "DBIRTH", "DDATA", "DDEATH", "NDEATH")
        }
        self._aliases: dict[int, Metric] = {}
        self._seq: int | None = None

    def hear(self, topic: str, data: bytes) -> str:
        """Take a message in and return its kind."""
        kind = self._topics[topic]
        payload = decode(data)
        assert payload.timestamp is not None
        if kind == "NDEATH":
            self._node_dies(payload)
            return kind
        self._check_order(kind, payload)
        if kind in ("NBIRTH", "DBIRTH"):
            for metric in payload.metrics:
                _check_definition(metric)
        if kind == "NBIRTH":
            self._node_is_born(payload)
        elif kind == "DBIRTH":
            self._device_is_born(payload)
        elif kind == "DDATA":
            self._take_data(payload)
        else:
            assert payload.metrics == []
            self.device_online = False
        return kind

    def _check_order(self, kind: str, payload: Payload) -> None:
        if kind == "NBIRTH":
            assert payload.seq == 0
        else:
            assert self.online, f"{kind} before NBIRTH"
            assert self._seq is not None
            assert payload.seq == (self._seq + 1) % 256
        if kind in ("DDATA", "DDEATH"):
            assert self.device_online, f"{kind} before DBIRTH"
        self._seq = payload.seq

    def _node_is_born(self, payload: Payload) -> None:
        named = {metric.name: metric for metric in payload.metrics}
        rebirth, bd_seq = named["Node Control/Rebirth"], named["bdSeq"]
        assert (rebirth.datatype, rebirth.value, rebirth.alias) == (11, False, None)
        assert bd_seq.datatype == 4
        assert isinstance(bd_seq.value, int)
        assert 0 <= bd_seq.value <= 255
        self.online, self.device_online = True, False
        self.bd_seq = bd_seq.value
        self.births += 1
        self._aliases = {}

    def _device_is_born(self, payload: Payload) -> None:
        for metric in payload.metrics:
            assert metric.alias is not None
            assert metric.name is not None
            assert metric.alias not in self._aliases, "alias in use"
            self._aliases[metric.alias] = metric
            self.current[metric.name] = metric.value
        self.device_online = True

    def _take_data(self, payload: Payload) -> None:
        part: dict[str, object] = {}
        for metric in payload.metrics:
            assert metric.name is None
            assert metric.timestamp is not None
            assert metric.alias in self._aliases, "alias that no birth gave"
            definition = self._aliases[metric.alias]
            assert definition.name is not None
            assert metric.datatype == definition.datatype
            _check_value(metric, definition.datatype)
            part[definition.name] = metric.value
            if not metric.is_historical:
                self.current[definition.name] = metric.value
            part["historical"] = metric.is_historical
        self.parts.append(part)

    def _node_dies(self, payload: Payload) -> None:
        assert payload.seq is None
        (metric,) = payload.metrics
        assert metric.name == "bdSeq"
        if metric.value == self.bd_seq:
            self.online = self.device_online = False


def _check_definition(metric: Metric) -> None:
    assert metric.name
    assert metric.timestamp is not None
    assert metric.datatype is not None
    _check_value(metric, metric.datatype)


def _check_value(metric: Metric, datatype: int | None) -> None:
    assert datatype is not None
    if metric.is_null:
        assert metric.field is None
        return
    expected = 11 if datatype in _LONG_TYPES else 15 if datatype in _TEXT_TYPES else None
    assert metric.field == (expected or {10: 13, 11: 14}[datatype])
