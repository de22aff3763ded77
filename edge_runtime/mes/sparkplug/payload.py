"""Sparkplug B payloads as bytes: metrics in, protobuf out.

The message types are those of Eclipse Tahu's `sparkplug_b.proto` (Sparkplug 3.0.0, chapter 6.4.1,
https://github.com/eclipse-tahu/tahu, EPL-2.0): field numbers and types are taken over as facts, for
the fields that are used here; a decoder keeps or skips the rest. They are described to protobuf when
this module is imported, in a pool of their own, so that neither a compiler is needed nor another
copy of the same definition in this process gets in the way.

Needs the extra `sparkplug`; without it the import raises UsageError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

from edge_runtime.errors import UsageError

try:
    from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
except ImportError as exc:
    raise UsageError(
        "mqtt_sparkplug_group is set, but protobuf is not installed: "
        "pip install 'edge-inspect[sparkplug]'"
    ) from exc


class DataType(IntEnum):
    """The Sparkplug datatypes in use, with their numbers."""

    INT64 = 4
    UINT64 = 8
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    """Milliseconds since 1970, UTC."""
    UUID = 15


Value: TypeAlias = int | float | bool | str | None

REBIRTH: Final = "Node Control/Rebirth"
_LARGEST_COMMAND: Final = 4096
"""Bytes of a command that is looked at; a rebirth request takes about 40."""

_VALUE_FIELD: Final = {
    DataType.INT64: "long_value",
    DataType.UINT64: "long_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.DATETIME: "long_value",
    DataType.UUID: "string_value",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One named value at one time."""

    name: str
    alias: int | None = None
    """Stands for the name in data messages; unique within the edge node."""
    datatype: DataType
    value: Value
    """None is sent as an explicit null."""
    timestamp: int
    """When the value came about: milliseconds since 1970, UTC."""
    historical: bool = False
    """Not the current value: it waited for a connection."""


def encode(
    metrics: Sequence[Metric], *, timestamp: int, seq: int | None, by_alias: bool = False
) -> bytes:
    """A payload's bytes. `timestamp` is the time of sending; an NDEATH has no `seq`.

    `by_alias` leaves out the names, which a birth has given. The datatypes stay, two bytes each, though
    Sparkplug 3.0 would rather do without them in data (tck-id-payloads-metric-datatype-not-req): hosts
    of before, and npm's `sparkplug-payload` 1.0 to this day, read nulls where there is none.
    """
    payload = _Payload(timestamp=timestamp)
    if seq is not None:
        payload.seq = seq
    for metric in metrics:
        wired = payload.metrics.add(timestamp=metric.timestamp, datatype=metric.datatype)
        if not by_alias:
            wired.name = metric.name
        if metric.alias is not None:
            wired.alias = metric.alias
        if metric.historical:
            wired.is_historical = True
        if metric.value is None:
            wired.is_null = True
        else:
            setattr(wired, _VALUE_FIELD[metric.datatype], metric.value)
    encoded: bytes = payload.SerializeToString()
    return encoded


def asks_for_rebirth(payload: bytes) -> bool:
    """Whether a command's payload asks for new births; ValueError if it is no Sparkplug payload."""
    if len(payload) > _LARGEST_COMMAND:
        raise ValueError(f"{len(payload)} bytes, and a command has {_LARGEST_COMMAND} at most")
    try:
        command = _Payload.FromString(payload)
    except message.DecodeError as exc:
        raise ValueError("it is not a Sparkplug B payload") from exc
    return any(metric.name == REBIRTH and metric.boolean_value for metric in command.metrics)


# Field number, type; a field whose third item is True belongs to the oneof `value`.
_METRIC_FIELDS: Final = {
    "name": (1, "STRING", False),
    "alias": (2, "UINT64", False),
    "timestamp": (3, "UINT64", False),
    "datatype": (4, "UINT32", False),
    "is_historical": (5, "BOOL", False),
    "is_null": (7, "BOOL", False),
    "int_value": (10, "UINT32", True),
    "long_value": (11, "UINT64", True),
    "float_value": (12, "FLOAT", True),
    "double_value": (13, "DOUBLE", True),
    "boolean_value": (14, "BOOL", True),
    "string_value": (15, "STRING", True),
    "bytes_value": (16, "BYTES", True),
}


def _payload_class() -> Any:
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf", syntax="proto2"
    )
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for name, (number, kind, is_value) in _METRIC_FIELDS.items():
        described = metric.field.add(
            name=name, number=number, type=field.Type.Value(f"TYPE_{kind}"), label=1
        )
        if is_value:
            described.oneof_index = 0
    payload.field.add(name="timestamp", number=1, type=field.TYPE_UINT64, label=1)
    payload.field.add(
        name="metrics",
        number=2,
        type=field.TYPE_MESSAGE,
        label=field.LABEL_REPEATED,
        type_name=".org.eclipse.tahu.protobuf.Payload.Metric",
    )
    payload.field.add(name="seq", number=3, type=field.TYPE_UINT64, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.Payload"))


_Payload: Final = _payload_class()
