"""What the tests of this folder share: a bundle that starts fast, and a station at a broker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.daemon import Station
from tests.reliability.kills import DURABLE
from tests.tiny_bundle import write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, written once."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def broker(mosquitto: Callable[..., PrivateBroker]) -> PrivateBroker:
    """A mosquitto that writes down what it knows whenever that changes."""
    return mosquitto(persistence=True, extra_config=DURABLE)


@pytest.fixture
def station(broker: PrivateBroker, bundle: Path, tmp_path: Path) -> Callable[..., Station]:
    """A station at that broker: `station(rate=..., flags=..., ...)`."""

    def make(**differences: Any) -> Station:
        known: dict[str, Any] = {"folder": tmp_path, "broker": broker.address, "bundle": bundle}
        return Station(**(known | differences))

    return make
