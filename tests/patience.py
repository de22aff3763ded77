"""Waiting in tests for what other threads and processes do: short, and bounded all the same."""

import time
from collections.abc import Callable

from edge_runtime.mes.base import Message, Subscriber


def eventually(condition: Callable[[], object], timeout_s: float = 15.0) -> bool:
    """True as soon as the condition holds, False if it never does within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def listen_until(
    subscriber: Subscriber, enough: Callable[[list[Message]], bool], timeout_s: float = 15.0
) -> list[Message]:
    """All messages up to the one with which it is enough; what there is when the time is over."""
    messages: list[Message] = []
    deadline = time.monotonic() + timeout_s
    while not enough(messages) and time.monotonic() < deadline:
        message = subscriber.receive(0.1)
        if message is not None:
            messages.append(message)
    return messages
