"""Our Sparkplug payloads read, and a host's command written, by Eclipse Tahu's JavaScript library.

Needs node and the npm package `sparkplug-payload` (EPL-2.0), see `tests.peers.node`.
"""

import json
from typing import Any

from edge_runtime.mes.sparkplug.session import EdgeNode, SparkplugSession
from tests.peers.node import answer
from tests.sample_verdicts import sample_verdict

NOW = 1_768_466_000_000
LIBRARY = "const payloads = require('sparkplug-payload').get('spBv1.0');"
READ = f"""{LIBRARY}
const read = payloads.decodePayload(Buffer.from(process.argv[1], 'hex'));
const plain = (key, value) =>
    value !== null && typeof value === 'object' && 'unsigned' in value ? Number(value) : value;
console.log(JSON.stringify(read, plain));"""
WRITE = f"""{LIBRARY}
const metric = {{name: 'Node Control/Rebirth', type: 'Boolean', value: true, timestamp: 1}};
const bytes = payloads.encodePayload({{timestamp: 1, metrics: [metric]}});
console.log(Buffer.from(bytes).toString('hex'));"""


def read(payload: bytes) -> Any:
    return json.loads(answer("sparkplug-payload", READ, payload.hex()))


def values(payload: Any) -> dict[Any, tuple[str, Any]]:
    """Type and value by name, or by alias where there is no name."""
    return {
        metric.get("name") or metric["alias"]: (metric["type"], metric["value"])
        for metric in payload["metrics"]
    }


def test_births_data_and_deaths_are_read_as_they_were_meant() -> None:
    session = SparkplugSession(EdgeNode(group="VoltForge", node="L07-S3"))
    will = session.begin(41, now=NOW)
    session.births(now=NOW, clock=0.0)
    verdict = sample_verdict(7)
    node_birth, device_birth, data = session.data(verdict, now=NOW, clock=1.0)
    device_death, _ = session.deaths(now=NOW)
    assert values(read(node_birth.payload)) == {
        "bdSeq": ("Int64", 41),
        "Node Control/Rebirth": ("Boolean", False),
    }
    born, changed = read(device_birth.payload), read(data.payload)
    names = {metric["name"]: metric["alias"] for metric in born["metrics"]}
    by_alias = values(changed)
    assert values(born) == {name: by_alias[alias] for name, alias in names.items()}
    decided_at = int(verdict.decided_at.timestamp() * 1000)
    for name, expected in {
        "seq": ("UInt64", 7),
        "part_id": ("String", "P-7"),
        "is_simulated": ("Boolean", True),
        "decided_at": ("DateTime", decided_at),
        "verdict": ("String", "defect"),
        "reason": ("String", None),
        "scores/micro_crack": ("Double", 0.9),
    }.items():
        assert values(born)[name] == expected
    assert [read(message.payload).get("seq") for message in (node_birth, device_birth)] == [0, 1]
    assert [changed["seq"], read(device_death.payload)["seq"]] == [2, 3]
    assert values(read(will.payload)) == {"bdSeq": ("Int64", 41)}
    assert "seq" not in read(will.payload)


def test_its_rebirth_command_is_understood() -> None:
    session = SparkplugSession(EdgeNode(group="VoltForge", node="L07-S3"))
    session.receive(bytes.fromhex(answer("sparkplug-payload", WRITE)))
    assert session.rebirth_wanted
