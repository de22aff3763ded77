"""What time and suppliers do to a line: an ageing lamp, a dirty lens, a glossier alloy.

Owns what each does to a generation's light and lens; the parts themselves stay as they are, so the same
part can be seen before and after. Values in, values out.
"""

from dataclasses import dataclass, replace

from edge_runtime.errors import UsageError
from edge_runtime.simulation.generations import Generation, Lamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """How far each has come, 0 (as installed) to 1 (nobody would run it so)."""

    lamp: float = 0.0
    """Lamps lose light, blue first: frames get darker and warmer."""
    dirt: float = 0.0
    """Smears on the lens: frames get softer, flatter, darker where they are, and highlights spill."""
    gloss: float = 0.0
    """Another alloy mirrors more: highlights get stronger and wider."""

    def __post_init__(self) -> None:
        for name, value in (("lamp", self.lamp), ("dirt", self.dirt), ("gloss", self.gloss)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} {value:g}: expected a value from 0 to 1")


NEW = Wear()


def worn(generation: Generation, wear: Wear) -> Generation:
    """The generation as it looks then; itself where nothing is worn."""
    if wear == NEW:
        return generation
    light = 1 - 0.45 * wear.lamp
    warmth = (1 + 0.10 * wear.lamp, 1.0, 1 - 0.22 * wear.lamp)
    return replace(
        generation,
        lamps=tuple(_worn(lamp, wear, light, warmth) for lamp in generation.lamps),
        ambient=_tinted(generation.ambient, warmth),
        exposure=generation.exposure * light,
        lens_sigma=generation.lens_sigma + 1.6 * wear.dirt,
        contrast=generation.contrast * (1 - 0.35 * wear.dirt),
        bloom=generation.bloom + 0.5 * wear.dirt,
        sharpening=generation.sharpening * (1 - wear.dirt),
        film=generation.film + 0.75 * wear.dirt,
    )


def _worn(lamp: Lamp, wear: Wear, light: float, warmth: tuple[float, float, float]) -> Lamp:
    return replace(
        lamp,
        colour=_tinted(lamp.colour, warmth),
        strength=lamp.strength * light * (1 + 2.8 * wear.gloss),
        hardness=lamp.hardness * (1 - 0.35 * wear.gloss),
    )


def _tinted(
    colour: tuple[float, float, float], by: tuple[float, float, float]
) -> tuple[float, float, float]:
    red, green, blue = (one * other for one, other in zip(colour, by, strict=True))
    return red, green, blue
