"""What is done to sound frames to see what the quality gate notices, by kind and severity.

Owns the list. The simulator's own smear averages the sensor's noise away, as a real movement does not;
so there is each blur once as computed and once with the noise put back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.simulation.generations import GEN3
from optimize.quality_limits.trials import covered, defocused, gained, smeared

Damage = Callable[[np.random.Generator, Pixels], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of damage at one severity."""

    name: str
    severity: str
    damage: Damage


def with_noise(damage: Damage) -> Damage:
    """The damage with the sensor's noise put back where the picture was changed."""

    def noisy(rng: np.random.Generator, pixels: Pixels) -> Pixels:
        after = damage(rng, pixels)
        changed = (after != pixels).any(axis=2, keepdims=True)
        noise = rng.normal(0, GEN3.noise * GEN3.contrast, pixels.shape) * changed
        return np.asarray(np.clip(after + noise, 0, 255), np.uint8)

    return noisy


def rolled(pixels: Pixels, share: float) -> Pixels:
    """The frame taken so far off its place, across the seam."""
    return np.ascontiguousarray(np.roll(pixels, round(share * len(pixels)), 0))


def _smear(length: float, extent: float) -> Damage:
    return lambda rng, pixels: smeared(rng, pixels, length, extent)


def _defocus(sigma: float) -> Damage:
    return lambda _, pixels: defocused(pixels, sigma / 256)


def _gain(*gains: float) -> Damage:
    return lambda _, pixels: gained(pixels, *gains)


def _cover(side: float) -> Damage:
    return lambda rng, pixels: covered(rng, pixels, side)


def _roll(share: float) -> Damage:
    return lambda _, pixels: rolled(pixels, share)


def _kinds() -> tuple[Kind, ...]:
    rows: list[tuple[str, str, Damage]] = []
    for length, extent in ((8, 0.5), (16, 0.5), (27, 0.5), (16, 1.0)):
        words = f"{length} px over {extent:.0%}"
        rows.append(("motion", words, _smear(length / 256, extent)))
        rows.append(("motion, noise kept", words, with_noise(_smear(length / 256, extent))))
    for sigma in (1.0, 2.0, 4.0):
        rows.append(("defocus", f"sigma {sigma:g} px", _defocus(sigma)))
        rows.append(("defocus, noise kept", f"sigma {sigma:g} px", with_noise(_defocus(sigma))))
    rows += [("darker", f"light x {gain}", _gain(gain)) for gain in (0.8, 0.6, 0.4, 0.25)]
    rows += [("lighter", f"light x {gain}", _gain(gain)) for gain in (1.25, 1.5, 2.0)]
    rows += [("colour", f"red x {g}, blue / {g}", _gain(g, 1, 1 / g)) for g in (1.1, 1.25)]
    rows += [("colour", f"green x {gain}", _gain(1, gain, 1)) for gain in (1.1, 1.25)]
    rows += [("covered", f"{s:.0%} of each side", _cover(s)) for s in (0.2, 0.35, 0.5, 0.7)]
    rows += [
        ("off its place", f"{share:.0%} of the frame", _roll(share)) for share in (0.125, 0.25, 0.5)
    ]
    return tuple(
        Kind(name=name, severity=severity, damage=damage) for name, severity, damage in rows
    )


KINDS = _kinds()
