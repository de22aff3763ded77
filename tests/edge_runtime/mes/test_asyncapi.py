"""The published interface description is the one that topics and contracts make."""

import json
from pathlib import Path

from edge_runtime.contracts.station_id import StationId
from edge_runtime.mes.asyncapi import document
from edge_runtime.mes.topics import Topics

FOLDER = Path(__file__).parents[3] / "docs" / "schemas"


def test_the_published_document_is_up_to_date() -> None:
    published = (FOLDER / "asyncapi.json").read_text(encoding="utf-8")
    assert published == document(), "run `make schemas`"


def test_every_topic_of_a_station_is_described_and_every_schema_is_there() -> None:
    topics = Topics(site="{site}", station=StationId(line="{line}", station="{station}"))
    channels = json.loads(document())["channels"]
    names = [name for name, kind in vars(Topics).items() if isinstance(kind, property)]
    addresses = {getattr(topics, name) for name in names if not name.startswith("_")}
    assert {channel["address"] for channel in channels.values()} == addresses
    for name, channel in channels.items():
        payload = channel["messages"][name]["payload"]
        assert "enum" in payload or (FOLDER / payload["$ref"]).exists()
