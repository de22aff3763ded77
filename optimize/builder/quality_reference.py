"""The bundle's quality limits: validation images read and damaged on trial, `quality.json` written.

Owns which images are looked at; how limits follow from them is the business of
`optimize.quality_limits`. Pixels are read one at a time, so memory stays flat.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from edge_runtime.bundle import QUALITY
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.quality.measures import Readings, read
from edge_runtime.quality.tiles import LEAST_SIDE
from optimize.calibration.strata import thin
from optimize.data.dataset import Dataset
from optimize.data.images import Fault, Image, read_images
from optimize.quality_limits.setting import Observed, after_trials, set_limits
from optimize.quality_limits.trials import TRIALS, Trial
from optimize.watch import Watch

FEWEST = 50
"""Images; fewer do not show what good frames look like."""
MOST = 3000
"""More are thinned out evenly: limits no longer move, and time grows on."""
TRIED = 200
"""Images that are damaged on trial: enough to tell a limit that catches much from an idle one."""
MOST_ASIDE = 0.25
"""Share of damaged images up to which the others are recognised."""
_SEED = 20240304
_TOO_FEW = (
    "warning: the quality of frames will not be checked: {} validation images say too little of what "
    f"good frames look like, {FEWEST} are the fewest"
)


def write_limits(
    folder: Path, images: Dataset, named: str, spec: InputSpec, watch: Watch, *, cost: float
) -> QualityReference | None:
    """Write `quality.json` from validation images; `named` is their name and content hash.

    Where there are too few, or they are too small, there is none, which is said and answered with None.
    """
    if min(spec.height, spec.width) < LEAST_SIDE:
        watch.note(
            f"warning: the quality of frames will not be checked: {spec.width}x{spec.height} pixels are "
            f"too few for it, {LEAST_SIDE} a side are the fewest"
        )
        return None
    thinned = images.at(thin(list(images.column("label")), MOST))
    with watch.stage("setting quality limits", len(thinned.samples)) as advanced:
        observed = observe(read_images(thinned, spec), len(thinned.samples), advanced)
    if len(observed.readings) < FEWEST:
        watch.note(_TOO_FEW.format(len(observed.readings)))
        return None
    made = set_limits(named, observed, cost)
    for limit in made.limits:
        if limit.off is not None:
            watch.note(
                f"warning: frames are not held to {limit.measure} ({limit.check}): {limit.off}"
            )
    if made.set_aside > MOST_ASIDE * made.images:
        watch.note(
            f"warning: {made.set_aside} of {made.images} validation images look damaged themselves: "
            "so many cannot be told from good ones, see docs/quality.md"
        )
    (folder / QUALITY).write_text(made.to_json(indent=2) + "\n", encoding="utf-8")
    return made


def observe(
    images: Iterable[Image | Fault], count: int, advanced: Callable[[int], None]
) -> Observed:
    """Read `count` images, one at a time, and some of them once more after each trial's damage."""
    rng = np.random.default_rng(_SEED)
    every = max(1, count // TRIED)
    readings: list[Readings] = []
    labels: list[str] = []
    groups: list[str] = []
    tried: list[int] = []
    trials: dict[Trial, list[Readings]] = {trial: [] for trial in TRIALS}
    for place, item in enumerate(images):
        if isinstance(item, Image):
            if place % every == 0:
                tried.append(len(readings))
                for trial, after in after_trials(rng, item.pixels).items():
                    trials[trial].append(after)
            readings.append(read(item.pixels))
            labels.append(item.label)
            groups.append(item.group)
        advanced(1)
    return Observed(readings=readings, labels=labels, groups=groups, tried=tried, trials=trials)
