"""Brokers for tests: private mosquittos on free loopback ports, gone when the test is over."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from edge_runtime.mes.private_broker import PrivateBroker, find_mosquitto


@pytest.fixture
def mosquitto() -> Iterator[Callable[..., PrivateBroker]]:
    """Starts a broker of one's own: `mosquitto(persistence=..., extra_config=...)`."""
    if find_mosquitto() is None:
        pytest.skip("mosquitto is neither on the PATH nor in /usr/sbin")
    with ExitStack() as brokers:

        def start(*, persistence: bool = False, extra_config: str = "") -> PrivateBroker:
            return brokers.enter_context(
                PrivateBroker(persistence=persistence, extra_config=extra_config)
            )

        yield start


@pytest.fixture
def broker(mosquitto: Callable[..., PrivateBroker]) -> PrivateBroker:
    """A running broker with mosquitto's defaults."""
    return mosquitto()
