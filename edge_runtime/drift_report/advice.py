"""What to do about what has moved, in the words of the line. Text only; decides nothing.

What an image statistic is moved by was tried on simulated lines and is known of cameras in general; on a
line of your own write down what it was in the end.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from edge_runtime.contracts.drift import DriftLevel, Moved
from edge_runtime.drift.series import CERTAINTY, CLASS, NOT_INSPECTED, REVIEW, SCORE
from edge_runtime.drift.statistics import MEASURES

_RISEN: Final = {
    "brightness": "Was the exposure time or the gain changed, a lamp replaced? Does light come in from "
    "outside?",
    "contrast": "Has a lamp moved or a diffuser come off? Is the surface another one?",
    "highlights": "Is the surface glossier (another alloy, oil, another cleaning)? Has a diffuser or "
    "polariser come off? Is the exposure too long?",
    "sharpness": "Is a sharpening filter on in the camera? Is the surface rougher?",
    "noise": "Was the gain raised because light is missing? Is the camera hot, or its compression "
    "stronger?",
    "colour": "Is a lamp ageing, or was it replaced by a warmer one? Is the white balance on automatic?",
    NOT_INSPECTED: "Read the reasons of the last ones (`edge-inspect tail`): is the view blocked, the "
    "mount bent, the cable loose?",
    REVIEW: "The model is in doubt more often: look at the last parts for review before anything else.",
    SCORE: "The model sees more that looks like a defect: look at the last rejected parts.",
}
_FALLEN: Final = {
    "brightness": "Is a lamp old, dirty or partly dark? Are lens and window clean? Was the exposure "
    "time or the gain changed?",
    "contrast": "Is the lens or its window dirty or fogged? Does stray light come in?",
    "highlights": "Is a lamp weaker, or the surface duller? Was the exposure time shortened?",
    "sharpness": "Is the lens out of focus, dirty or fogged? Has the distance to the part changed? Does "
    "something vibrate, or is the exposure too long for the speed?",
    "noise": "Is a noise filter on in the camera? Is the lens out of focus?",
    "colour": "Was a lamp replaced by a colder one? Is the white balance on automatic? Does daylight "
    "come in?",
    NOT_INSPECTED: "Fewer parts are turned away than in training: nothing to mend.",
    REVIEW: "The model is in doubt more seldom. Have parts that passed looked at: it may be sure and "
    "wrong.",
    SCORE: "The model sees less that looks like a defect: have parts that passed looked at.",
}


_IMAGES_ALONE: Final = (
    "The images have changed and the verdicts have not yet: light, lens, camera or surface. Mended now, "
    "it costs no part."
)
_ANSWERS_ALONE: Final = (
    "The images look as in training and the verdicts have changed: so the parts have, or the batch is "
    "bad. Ask the process before the camera."
)
_BOTH: Final = (
    "Images and verdicts have changed together: the verdicts may be the images' fault. Mend the image "
    "first, then look at the verdicts again."
)


def cause(moved: Sequence[Moved]) -> str | None:
    """What kind of change it is by what moved and what did not; None where nothing did."""
    images = any(each.statistic in MEASURES for each in moved)
    answers = any(each.statistic not in MEASURES for each in moved)
    if images and answers:
        return _BOTH
    if images:
        return _IMAGES_ALONE
    return _ANSWERS_ALONE if answers else None


_TO_BUILD: Final = (
    "Build the bundle again with --validation, so that the station knows what training looked like, and "
    "leave drift_watch on."
)
_NOTHING: Final = "Nothing. Verdicts are given on images like those of training."
_INSPECT_AGAIN: Final = (
    "Verdicts may be wrong. Have a random share of the parts that passed since the change inspected "
    "again, until the cause is found."
)
_FIND_THE_CAUSE: Final = (
    "Verdicts go on. Find the cause within the shift, and write down what it was."
)
_TEACH: Final = (
    "If the cause stays (a new alloy, a new lamp that is meant), the model has to learn it: collect "
    "labels of parts from now and train it further. Nothing is trained by itself."
)


def what_to_do(level: DriftLevel, moved: Sequence[Moved]) -> tuple[str, ...]:
    """Steps in their order, for the shift lead; `moved` in the order in which to look."""
    match level:
        case DriftLevel.NOT_MONITORED:
            return (_TO_BUILD,)
        case DriftLevel.OK:
            return (_NOTHING,)
        case DriftLevel.WARNING:
            return (*_looks(moved), _FIND_THE_CAUSE)
        case DriftLevel.ALARM:
            return (_INSPECT_AGAIN, *_looks(moved), _TEACH)


def _looks(moved: Sequence[Moved]) -> Iterator[str]:
    """Where to look for each; classes, whose shares move together, in one step."""
    classes = [each for each in moved if each.statistic.startswith(CLASS)]
    for each in moved:
        if each.statistic.startswith(CERTAINTY):
            yield _of_certainty(each)
        elif each not in classes:
            yield (_RISEN if each.effect > 0 else _FALLEN)[each.statistic]
        elif each is classes[0]:
            yield _of_classes(classes)


def _of_certainty(moved: Moved) -> str:
    name = moved.statistic.removeprefix(CERTAINTY).replace("_", " ")
    if moved.effect > 0:
        return (
            f"The model is surer of {name} than in training: have some of the last ones looked at, it "
            "may be sure and wrong."
        )
    return (
        f"The model is less sure of {name} than in training: look at the last ones. A defect that it "
        "has not been taught often begins so."
    )


def _of_classes(moved: Sequence[Moved]) -> str:
    found = ", ".join(
        f"{each.statistic.removeprefix(CLASS).replace('_', ' ')} "
        f"{'more' if each.effect > 0 else 'less'} often"
        for each in moved
    )
    return (
        f"The model finds {found}: have the last ones looked at. If they are what it says, the process "
        "has changed, and the camera is not to blame."
    )
