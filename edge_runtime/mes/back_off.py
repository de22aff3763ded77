"""How long a publisher waits before its next attempt to connect.

Full jitter: uniform between zero and a bound that doubles with every attempt in a row that led to
nothing lasting. So a hundred stations do not return to a restarted broker in step. A connection
that is accepted and soon lost counts as nothing lasting: mosquitto ends the older of two clients
with one id without a word, and the two would otherwise chase each other for ever.
"""

import random

_LASTING_S = 5.0
_SUSPICIOUS = 3


class BackOff:
    """Remembers how the last attempts went; seconds throughout."""

    def __init__(self, *, base_s: float, cap_s: float) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._fruitless = 0
        self._brief = 0

    @property
    def bound_s(self) -> float:
        """The longest wait before the next attempt."""
        return min(self._cap_s, self._base_s * 2.0 ** min(self._fruitless, 32))

    @property
    def remark(self) -> str:
        """What the pattern of the last attempts suggests, to be put after the problem; often
        empty."""
        if self._brief < _SUSPICIOUS:
            return ""
        return (
            f" ({self._brief} times in a row soon after connecting: same client id in use twice?)"
        )

    def attempted(self, lasted_s: float | None) -> None:
        """An attempt is over: how long the connection lasted, or None if none was accepted."""
        if lasted_s is not None and lasted_s >= _LASTING_S:
            self._fruitless = self._brief = 0
        else:
            self._fruitless += 1
            if lasted_s is not None:
                self._brief += 1

    def delay_s(self) -> float:
        """How long to wait now."""
        return random.uniform(0, self.bound_s)
