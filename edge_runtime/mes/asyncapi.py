"""The station's MQTT interface as an AsyncAPI 3.0 document: `python -m edge_runtime.mes.asyncapi FILE`.

Generated from the topics and pointing to the contracts' schemas beside it, so that nothing is written
twice. It describes the station: what it sends, and the little that it receives.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_runtime.contracts.station_id import StationId
from edge_runtime.mes.topics import Topics

_VERSION: Final = "1.2.0"
"""Of the interface: the major number changes when a consumer must be changed."""
_TOPICS: Final = Topics(site="{site}", station=StationId(line="{line}", station="{station}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Channel:
    """A topic with what goes over it."""

    name: str
    address: str
    summary: str
    schema: str | None
    """File of the payload's JSON Schema; None for plain text."""
    retained: bool = False


_CHANNELS: Final = (
    _Channel(
        name="verdict",
        address=_TOPICS.verdict,
        summary="One message per part, live or left over from an outage (`delivery.lane`).",
        schema="verdict",
    ),
    _Channel(
        name="availability",
        address=_TOPICS.availability,
        summary="Whether the station is there; `offline` is its last will.",
        schema=None,
        retained=True,
    ),
    _Channel(
        name="health",
        address=_TOPICS.health,
        summary="Counters and what is wrong at present.",
        schema="health",
        retained=True,
    ),
    _Channel(
        name="journal",
        address=_TOPICS.journal,
        summary="Head of the journal's hash chain: who keeps it can tell a cut journal.",
        schema="journal",
        retained=True,
    ),
    _Channel(
        name="drift",
        address=_TOPICS.drift,
        summary="Whether the station still sees what its model was trained on; what moved since when.",
        schema="drift",
        retained=True,
    ),
    _Channel(
        name="retrain",
        address=_TOPICS.retrain,
        summary="Open requests to teach the model anew, and how the rules behind them stand.",
        schema="retrain",
        retained=True,
    ),
    _Channel(
        name="trigger",
        address=_TOPICS.trigger,
        summary="Announces a part, where the station was told to wait for that (`trigger = mqtt`).",
        schema="trigger",
    ),
    _Channel(
        name="replayAnswer",
        address=_TOPICS.replay_answer,
        summary="What becomes of a replay request, said before the verdicts themselves.",
        schema="replay-answer",
    ),
    _Channel(
        name="replay",
        address=_TOPICS.replay,
        summary="Verdicts sent again on request, to the byte as committed.",
        schema="verdict",
    ),
    _Channel(
        name="replayRequest",
        address=_TOPICS.replay_set,
        summary="Asks the station to send a range of verdicts again.",
        schema="replay-request",
    ),
    _Channel(
        name="labelAnswer",
        address=_TOPICS.label_answer,
        summary="What became of a label, said once it is kept.",
        schema="label-answer",
    ),
    _Channel(
        name="label",
        address=_TOPICS.label,
        summary="What a part truly was, from rework or re-inspection.",
        schema="label",
    ),
)
_ANSWERED_ON: Final = {
    "replayRequest": "replayAnswer",
    "label": "labelAnswer",
    "trigger": "verdict",
}
"""What the station receives, and where it answers."""
_PARAMETERS: Final = {
    "site": {"description": "The factory, as configured (`site`)."},
    "line": {"description": "The line, `L07`.", "examples": ["L07"]},
    "station": {"description": "The station of the line, `S3`.", "examples": ["S3"]},
}


def document() -> str:
    """The whole document as JSON text."""
    return (
        json.dumps(
            {
                "asyncapi": "3.0.0",
                "info": {
                    "title": "edge-inspect station",
                    "version": _VERSION,
                    "description": "Verdicts of a visual inspection station over MQTT v5. Every message "
                    "comes at least once; consumers de-duplicate verdicts by `seq` per station.",
                    "license": {"name": "Apache-2.0"},
                },
                "defaultContentType": "application/json",
                "channels": {channel.name: _channel(channel) for channel in _CHANNELS},
                "operations": {
                    _operation_name(channel): _operation(channel) for channel in _CHANNELS
                },
            },
            indent=2,
        )
        + "\n"
    )


def _channel(channel: _Channel) -> dict[str, Any]:
    if channel.schema is None:
        content_type = "text/plain"
        payload: dict[str, Any] = {"type": "string", "enum": ["online", "stopped", "offline"]}
    else:
        content_type, payload = "application/json", {"$ref": f"{channel.schema}.schema.json"}
    return {
        "address": channel.address,
        "summary": channel.summary,
        "parameters": _PARAMETERS,
        "messages": {
            channel.name: {
                "name": channel.name,
                "contentType": content_type,
                "payload": payload,
            }
        },
    }


def _operation_name(channel: _Channel) -> str:
    verb = "receive" if channel.name in _ANSWERED_ON else "send"
    return f"{verb}{channel.name[0].upper()}{channel.name[1:]}"


def _operation(channel: _Channel) -> dict[str, Any]:
    reference = {"$ref": f"#/channels/{channel.name}"}
    message = {"$ref": f"#/channels/{channel.name}/messages/{channel.name}"}
    operation: dict[str, Any] = {
        "action": "receive" if channel.name in _ANSWERED_ON else "send",
        "channel": reference,
        "summary": channel.summary,
        "messages": [message],
        "bindings": {"mqtt": {"qos": 1, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }
    if (answer := _ANSWERED_ON.get(channel.name)) is not None:
        operation["reply"] = {"channel": {"$ref": f"#/channels/{answer}"}}
    return operation


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(document(), encoding="utf-8")
