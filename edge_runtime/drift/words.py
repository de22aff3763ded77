"""What has moved, in words that an engineer at the line understands. Text only; decides nothing."""

import math
from collections.abc import Sequence
from datetime import datetime

from edge_runtime.contracts.drift import Moved
from edge_runtime.contracts.performance import Figures

_GREY_LEVELS = "grey levels"
_NAMES = {
    "contrast": "the contrast",
    "highlights": "the area of highlights",
    "sharpness": "the sharpness",
    "noise": "the noise",
}


def in_unit(measure: str, value: float) -> tuple[float, str]:
    """A measure's value as an engineer reads it, and its unit."""
    if measure == "colour":
        return 1e6 / value, "K"
    if measure == "brightness":
        return value, _GREY_LEVELS
    return 2.0**value, "share of pixels" if measure == "highlights" else _GREY_LEVELS


def of_measure(measure: str, reference: float, now: float, affected: float) -> str:
    """A shift of a measure's mean, both on the measure's own scale: `600 K colder than in training`."""
    parts = f"{affected:.0%} of parts outside the usual range"
    if measure == "colour":
        kelvin = round(1e6 / now - 1e6 / reference, -1)
        side = "colder (bluer)" if kelvin > 0 else "warmer (redder)"
        return f"frames are {abs(kelvin):.0f} K {side} than in training; {parts}"
    if measure == "brightness":
        side = "brighter" if now > reference else "darker"
        return f"frames are {abs(now - reference):.0f} grey levels {side} than in training; {parts}"
    return f"frames have {2.0 ** (now - reference):.2g}x {_NAMES[measure]} of training; {parts}"


def of_share(name: str, reference: float, now: float) -> str:
    """A shift of a share or of the mean score: `review: 8.1 % of parts, 2.0 % in training`."""
    if name == "defect_score":
        return f"the mean defect score is {now:.3f}, {reference:.3f} in training"
    if name.startswith("certainty:"):
        what = name.removeprefix("certainty:").replace("_", " ")
        return f"the model is {_percent(now)} sure of {what}, {_percent(reference)} in training"
    what = name.removeprefix("class:").replace("_", " ")
    return f"{what}: {_percent(now)} of parts, {_percent(reference)} in training"


def of_features(name: str, reference: float, now: float) -> str:
    """A shift of what the network sees: `what the network sees has moved: ...`."""
    what = name.removeprefix("features:")
    if what == "centre":
        return (
            f"what the network sees has moved: on average by {now:.1f} standard deviations from parts "
            "of training that were decided alike"
        )
    if what == "distance":
        return (
            f"what the network sees scatters {'wider' if now > reference else 'less'}: parts lie "
            f"{now:.2g}x as far from the middle of their class as in training"
        )
    if what == "residual":
        side = "new in kind" if now > reference else "plainer"
        return (
            f"what the network sees is {side}: {now:.2g}x as much of it lies in directions that "
            "training did not have"
        )
    return (
        f"{_percent(now)} of parts look to the network like hardly any of training "
        f"({_percent(reference)} there)"
    )


def of_figures(how: str, found: Figures, unreliable: str | None) -> str:
    """Figures as a sentence: `estimated: macro F1 0.96 (0.93 to 0.98), ...`."""
    named = (
        ("macro F1", found.macro_f1),
        ("defect recall", found.defect_recall),
        ("false positives", found.false_positive_rate),
    )
    said = [
        f"{name} {each.value:.3f} ({each.low:.3f} to {each.high:.3f})"
        for name, each in named
        if each is not None
    ]
    doubt = f"; unreliable: {unreliable}" if unreliable else ""
    return f"{how}: {', '.join(said) or 'nothing'}{doubt}"


def summary(moved: Sequence[Moved], since: datetime | None) -> str:
    """One line about all that has moved."""
    if not moved or since is None:
        return "as in training"
    return f"since {since:%Y-%m-%d %H:%M} UTC: " + "; ".join(each.words for each in moved)


def _percent(share: float) -> str:
    digits = 1 if share >= 0.01 or not share else min(4, 1 - math.floor(math.log10(share * 100)))
    return f"{share * 100:.{digits}f} %"
