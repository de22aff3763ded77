"""The line itself: an endless, repeatable stream of parts with their labels, times and faults.

Owns what happens to a part in which order, and the random streams. Part `i` depends on the seed, the
generation and `i` alone, so a stream may be entered anywhere and split over processes. Nothing here
sleeps or reads a clock: `captured_at` is the simulated line's own time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import UsageError
from edge_runtime.simulation.corruption import CORRUPTIONS, corrupt, jpeg
from edge_runtime.simulation.defects import MARKS, glints, harmless, misaligned_offset
from edge_runtime.simulation.exposure import photograph, smear
from edge_runtime.simulation.generations import LABELS, NO_DEFECT, generation
from edge_runtime.simulation.seam import (
    CROPS_PER_MODULE,
    Module,
    Process,
    forge,
    good_offset,
    weld,
)
from edge_runtime.simulation.wear import NEW, Wear, worn

SMALLEST, LARGEST = 64, 1024
STATIONS = tuple(StationId(line="L07", station=f"S{number}") for number in range(1, 5))

_CONFUSIONS: Mapping[str, Mapping[str, float]] = {
    # What people mistake for what. Good parts are mistaken for dirty ones because heat tint looks so.
    NO_DEFECT: {
        "contamination": 0.58,
        "spatter": 0.20,
        "porosity": 0.15,
        "misaligned_weld": 0.05,
        "micro_crack": 0.02,
    },
    "micro_crack": {NO_DEFECT: 0.8, "porosity": 0.2},
    "contamination": {NO_DEFECT: 0.7, "spatter": 0.3},
    "misaligned_weld": {NO_DEFECT: 0.9, "contamination": 0.1},
    "porosity": {NO_DEFECT: 0.6, "spatter": 0.4},
    "spatter": {NO_DEFECT: 0.5, "porosity": 0.3, "contamination": 0.2},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What chance has in store for a part."""

    label: str
    true_label: str
    blurred: bool
    corruption: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPart:
    """One crop as the line's camera delivers it, with what only a simulation can know."""

    index: int
    """Place in the stream, from 0."""
    serial: str
    """The module; its crops share texture and must stay together in a split."""
    part_id: str
    """The serial and the crop's number; unique in the stream."""
    station: StationId
    label: str
    """As a person labelled it; wrong in a few cases."""
    true_label: str
    """What was drawn; for audits, never for training."""
    captured_at: datetime
    """UTC, in the line's own time; increases with the index."""
    blurred: bool
    """Whether a side of the picture is smeared by motion."""
    corruption: str | None
    """What is wrong with the file, one of `corruption.CORRUPTIONS`; None for a sound one."""
    encoded: bytes
    """The file as stored, damaged where `corruption` says so."""
    extension: str
    """Of the file's name, with its dot; a lie where `corruption` is wrong_extension."""


class SimulatedLine:
    """Renders parts of one generation; iterating starts at part 0 and never ends.

    `class_shares` replaces the generation's (label to probability, sum 1). `corrupt`, `blurred` and
    `mislabelled` replace its shares of damaged files, smeared pictures and wrong labels. A module passes
    every `module_interval_s` of the line's own time, which is what process drift follows. `wear` is what
    has become of light, lens and alloy; the parts are the same ones whatever it is.
    """

    def __init__(
        self,
        generation_name: str,
        seed: int,
        *,
        class_shares: Mapping[str, float] | None = None,
        size: int = 256,
        corrupt: float | None = None,
        blurred: float | None = None,
        mislabelled: float | None = None,
        module_interval_s: float = 3600.0,
        stations: tuple[StationId, ...] = STATIONS,
        wear: Wear = NEW,
    ) -> None:
        self.generation = worn(generation(generation_name), wear)
        if seed < 0:
            raise UsageError(f"seed {seed} is negative: give a whole number from 0")
        if not SMALLEST <= size <= LARGEST:
            raise UsageError(
                f"image size {size} is out of range: give {SMALLEST} to {LARGEST} pixels"
            )
        if module_interval_s <= 0:
            raise UsageError(f"module interval {module_interval_s} s must be above 0")
        own = self.generation
        self.seed = seed
        self.size = size
        self._shares = _checked(own.class_shares if class_shares is None else class_shares)
        self._corrupt = _share("corrupt", own.corrupt_share if corrupt is None else corrupt)
        self._blurred = _share("blurred", own.blurred_share if blurred is None else blurred)
        self._mislabelled = _share(
            "mislabelled", own.mislabelled_share if mislabelled is None else mislabelled
        )
        self._interval = module_interval_s
        self._stations = stations
        self._first = datetime.fromisoformat(own.first_day).replace(tzinfo=UTC)
        # A handful of modules: a stream needs one, a random reader a few.
        self._module = lru_cache(maxsize=4)(self._forge)

    def __iter__(self) -> Iterator[SimulatedPart]:
        return self.parts()

    def parts(self, start: int = 0) -> Iterator[SimulatedPart]:
        """The stream from part `start` on, without end."""
        index = start
        while True:
            yield self.part(index)
            index += 1

    def part(self, index: int) -> SimulatedPart:
        """Part `index`, the same however it is reached."""
        number, crop = divmod(index, CROPS_PER_MODULE)
        rng = self._random(number, 1 + crop)
        fate = self._fate(rng)
        pixels = self._picture(rng, number, crop, fate.true_label, fate.blurred)
        quality = self.generation.jpeg_quality
        if fate.corruption is None:
            encoded, extension = jpeg(pixels, quality), ".jpg"
        else:
            encoded, extension = corrupt(rng, pixels, fate.corruption, quality)
        serial = f"{self.generation.name.upper()}-{self.seed:04d}-{number:06d}"
        return SimulatedPart(
            index=index,
            serial=serial,
            part_id=f"{serial}-{crop}",
            station=self._stations[number % len(self._stations)],
            label=fate.label,
            true_label=fate.true_label,
            captured_at=self._captured_at(number, crop),
            blurred=fate.blurred,
            corruption=fate.corruption,
            encoded=encoded,
            extension=extension,
        )

    def fate(self, index: int) -> Fate:
        """What is drawn for part `index`, a hundred times faster than drawing its picture."""
        number, crop = divmod(index, CROPS_PER_MODULE)
        return self._fate(self._random(number, 1 + crop))

    def render(self, index: int, label: str) -> Pixels:
        """The picture of part `index` if it had `label`: sharp, undamaged, RGB (size, size, 3)."""
        number, crop = divmod(index, CROPS_PER_MODULE)
        rng = self._random(number, 1 + crop)
        self._fate(rng)
        return self._picture(rng, number, crop, label, blurred=False)

    def _fate(self, rng: np.random.Generator) -> Fate:
        # Every draw is made whether it is used or not: a share that changes moves no other draw.
        true_label = _draw(rng, self._shares)
        mislabelled = rng.uniform() < self._mislabelled
        mistaken = _draw(rng, _CONFUSIONS[true_label])
        blurred = bool(rng.uniform() < self._blurred)
        corruption = CORRUPTIONS[rng.integers(len(CORRUPTIONS))]
        damaged = rng.uniform() < self._corrupt
        return Fate(
            label=mistaken if mislabelled else true_label,
            true_label=true_label,
            blurred=blurred,
            corruption=corruption if damaged else None,
        )

    def _picture(
        self, rng: np.random.Generator, number: int, crop: int, label: str, blurred: bool
    ) -> Pixels:
        own = self.generation
        module = self._module(number)
        if label == "misaligned_weld":
            offset = misaligned_offset(rng)
        else:
            offset = good_offset(rng, module.process)
        surface = weld(rng, module, crop, offset)
        harmless(rng, surface, scratches=module.scratches)
        if label in MARKS:
            centre = MARKS[label](rng, surface)
        else:
            centre = (self.size / 2, float(surface.centre[self.size // 2]))
        reflections = glints(rng, surface, expected=own.glints)
        pixels = photograph(rng, surface, own, light=module.process.light, glints=reflections)
        return smear(rng, pixels, centre) if blurred else pixels

    def _forge(self, number: int) -> Module:
        return forge(self._random(number, 0), self.generation, self.size, self._process(number))

    def _random(self, number: int, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.generation.code, number, stream])

    def _captured_at(self, number: int, crop: int) -> datetime:
        # The crops of a module are taken one after the other in the first half of its interval.
        seconds = (number + 0.5 * crop / CROPS_PER_MODULE) * self._interval
        return self._first + timedelta(seconds=seconds)

    def _process(self, number: int) -> Process:
        """Slow drift: the torch wanders over weeks, gas and heat over days, lamps only age."""
        own = self.generation
        weeks = number * self._interval / (7 * 86400)
        return Process(
            offset=0.045 * own.process_drift * float(np.sin(2 * np.pi * weeks / 5.3 + self.seed)),
            heat=own.process_drift
            * (
                0.13 * float(np.sin(2 * np.pi * weeks / 3.1))
                + 0.05 * float(np.sin(2 * np.pi * weeks * 7 / 1.3))
            ),
            light=1 - own.lamp_ageing * float(1 - np.exp(-weeks / 6)),
        )


def _draw(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    names = tuple(shares)
    edges = np.cumsum(list(shares.values()))
    place = int(np.searchsorted(edges, rng.uniform() * edges[-1], side="right"))
    return names[min(place, len(names) - 1)]


def _checked(shares: Mapping[str, float]) -> Mapping[str, float]:
    unknown = sorted(set(shares) - set(LABELS))
    if unknown:
        raise UsageError(f"unknown label {unknown[0]!r}: the line makes {', '.join(LABELS)}")
    total = sum(shares.values())
    if min(shares.values(), default=-1) < 0 or abs(total - 1) > 1e-6:
        raise UsageError(f"class shares must be 0 or more and sum to 1, got a sum of {total:g}")
    return {name: share for name, share in shares.items() if share > 0}


def _share(what: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise UsageError(f"the {what} share must lie between 0 and 1, got {value:g}")
    return value
