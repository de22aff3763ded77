"""The judge: a frame's measures against the bundle's limits, the first reason in a fixed order out.

Owns the order and the words. Values in, values out; any thread. The order goes from what spoils every
other measure (no light) to what only looks like its like (a smear, where something covers the part).
"""

from edge_runtime.contracts.quality import Check, Limit, Measure, QualityReference
from edge_runtime.quality.measures import Eye, Readings, Sight

_ORDER = tuple(Check)


class Judge:
    """Holds frames to the limits of one bundle; holds nothing between frames."""

    def __init__(self, reference: QualityReference) -> None:
        self._eye = Eye(reference.appearance)
        self._limits = tuple(
            sorted(
                (limit for limit in reference.limits if limit.off is None),
                key=lambda limit: _ORDER.index(limit.check),
            )
        )

    def rejection(self, frame: Readings) -> str | None:
        """`code: what was seen, the limit`; None for a frame that may be judged."""
        sight = self._eye.look(frame)
        for limit in self._limits:
            if beyond(sight.values[limit.measure], limit):
                return f"{limit.check}: {_words(sight, limit)}"
        return None


def beyond(value: float, limit: Limit) -> bool:
    """Whether a measure is on the wrong side of its limit."""
    return value < limit.value if limit.side == "lowest" else value > limit.value


def _words(sight: Sight, limit: Limit) -> str:
    seen, at = (
        _shown(limit.measure, value) for value in (sight.values[limit.measure], limit.value)
    )
    what = _WHAT[limit.measure]
    if limit.measure is Measure.COVER:
        what = f"{what} {sight.covered}"
    if limit.measure is Measure.SMEAR:
        what = f"{what} {sight.smeared}"
    return f"{what} {seen}, {limit.side} {at}"


_WHAT = {
    Measure.BRIGHTNESS: "mean grey level",
    Measure.HIGHLIGHTS: "saturated pixels",
    Measure.WARMTH: "red over blue",
    Measure.TINT: "green over red and blue",
    Measure.PATTERN: "agreement with the pattern that was taught",
    Measure.COVER: "strange light",
    Measure.CRISPNESS: "steps between pixels, of the light,",
    Measure.SMEAR: "details are missing",
}
_SHARES = {Measure.HIGHLIGHTS, Measure.CRISPNESS}
_RATIOS = {Measure.WARMTH, Measure.TINT}


def _shown(measure: Measure, value: float) -> str:
    if measure is Measure.BRIGHTNESS:
        return f"{value:.0f}"
    if measure in _SHARES:
        return f"{2**value:.1%}"
    return f"{2**value if measure in _RATIOS else value:.2f}"
