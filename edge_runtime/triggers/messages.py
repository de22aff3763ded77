"""Triggers that come over MQTT, on `.../trigger`.

What comes is read and stamped on the publisher's thread and waits here until the station asks. The
queue is bounded; drop policy: the newest, counted and logged. That a trigger came before is not known
here but where parts are kept.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.trigger import Trigger
from edge_runtime.mes.base import Message
from edge_runtime.triggers.base import Announcement, Shown

_LOG = logging.getLogger(__name__)
WAITING = 1024
"""Triggers that the station has not asked for; it asks fifty times a second, unless the disk refuses."""
LARGEST = 4096
"""Bytes of a trigger at most."""


class TriggerMessages:
    """Parts as somebody announces them; frames announce nothing and belong to whom they are exposed
    for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrived: deque[Announcement] = deque()
        self._ignored = 0

    @property
    def ignored(self) -> int:
        with self._lock:
            return self._ignored

    def hear(self, message: Message) -> None:
        """Take a message in; for the publisher's thread."""
        at, triggered_at = time.monotonic(), datetime.now(UTC)
        try:
            if len(message.payload) > LARGEST:
                raise ValueError(f"{len(message.payload)} bytes, limit {LARGEST}")  # noqa: TRY301
            trigger = Trigger.model_validate_json(message.payload)
        except (ValidationError, ValueError) as exc:
            self._ignore(f"a trigger could not be read: {_words(exc)}")
            return
        announcement = Announcement(
            key=trigger.trigger_id or trigger.part_id,
            part_id=trigger.part_id,
            at=at,
            triggered_at=triggered_at,
            allowed_s=None if trigger.deadline_ms is None else trigger.deadline_ms / 1000,
        )
        with self._lock:
            full = len(self._arrived) >= WAITING
            if not full:
                self._arrived.append(announcement)
        if full:
            self._ignore(f"the trigger of part {trigger.part_id} found {WAITING} waiting")

    def arrived(self) -> Sequence[Announcement]:
        with self._lock:
            arrived = tuple(self._arrived)
            self._arrived.clear()
        return arrived

    def shown(self, frame: Frame) -> Shown:  # noqa: ARG002 - see the class
        return Shown()

    def _ignore(self, why: str) -> None:
        with self._lock:
            self._ignored += 1
            first = self._ignored == 1
        # Whoever sends one that cannot be read sends more: the counter has them, the log the first.
        _LOG.log(logging.WARNING if first else logging.DEBUG, "%s; it has no verdict", why)


def _words(exc: ValueError) -> str:
    if not isinstance(exc, ValidationError):
        return str(exc)
    error = exc.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, error["loc"])) or "payload"
    return f"{where}: {error['msg']}"
