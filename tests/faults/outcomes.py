"""A strict MES that also remembers what was said of each part."""

import json
import time

from tests.reliability.consumer import Consumer


class Outcomes(Consumer):
    """As its base; of the newest verdicts it keeps what was decided."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.port = port
        self.outcomes: dict[str, tuple[str, str]] = {}
        """By part: the verdict, and its reason or nothing."""
        self.inspected_at = 0.0
        """When the last verdict came that is not `not_inspected`, monotonic seconds."""

    def _take(self, payload: bytes) -> None:
        super()._take(payload)
        verdict = json.loads(payload)
        self.outcomes[verdict["part_id"]] = (verdict["verdict"], verdict["reason"] or "")
        if verdict["verdict"] != "not_inspected":
            self.inspected_at = time.monotonic()
