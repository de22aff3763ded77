"""What differs between the two generations of the simulated line: process, light, lens and sensor.

Figures only; what they mean to a picture is decided in `seam.py` (metal) and `exposure.py` (light to
pixels). `gen2` is the older line: a warm, broad lamp, a soft lens, a quiet sensor and a stable process.
`gen3` is its successor: two hard, cool LED bars that leave strong highlights, a sharper and noisier
sensor at another magnification, and a process that still moves. Lengths are in pixels of a 256-pixel
crop and scale with the crop's size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_runtime.errors import UsageError

NO_DEFECT = "no_defect"
DEFECTS = ("micro_crack", "contamination", "misaligned_weld", "porosity", "spatter")
LABELS = (NO_DEFECT, *DEFECTS)
"""Every label of the simulated line, in the order of a model's outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """One light bar, parallel to the seam."""

    colour: tuple[float, float, float]
    """Red, green, blue gain; 1 is neutral."""
    strength: float
    """Specular peak, as radiance: 1 is the sensor's full scale."""
    tilt: float
    """Surface slope across the seam that mirrors this lamp into the lens at the crop's middle."""
    hardness: float
    """Inverse width of the highlight across the seam, per unit of slope; large is a narrow, hard one."""
    nearness: float
    """Change of the mirroring slope from the crop's middle to its edge; a near lamp has much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Generation:
    """Everything that makes a generation look and behave as it does."""

    name: str
    code: int
    """Enters every random seed, so that generations share nothing."""
    lamps: tuple[Lamp, ...]
    ambient: tuple[float, float, float]
    """Diffuse light by channel."""
    relief: float
    """How strongly slopes modulate the diffuse light: 0 under a dome, 1 under a raking lamp."""
    magnification: float
    """Scale of everything on the part, against gen2."""
    lens_sigma: float
    """Standard deviation of the lens blur, pixels."""
    vignetting: float
    """Share of the light lost in the corners."""
    bloom: float
    """Share of the clipped light that spills around a highlight."""
    sharpening: float
    """Amount of the camera's unsharp mask."""
    exposure: float
    """Gain before the tone curve."""
    contrast: float
    """Gain about mid-grey, after the tone curve's square root; 1 is none."""
    noise: float
    """Standard deviation in 8-bit counts, after sharpening and before contrast."""
    row_noise: float
    """Standard deviation of a whole row's offset, likewise."""
    colour_noise: bool
    """Whether each channel has noise of its own, as with a Bayer mosaic, or all share one."""
    jpeg_quality: int
    glints: float
    """Expected number of stray reflections of fixtures in a crop."""
    process_drift: float
    """How far the process wanders over weeks: 0 is not at all, 1 is as far as a good part allows."""
    lamp_ageing: float
    """Share of the light that the lamps lose in the end."""
    class_shares: Mapping[str, float]
    corrupt_share: float
    blurred_share: float
    mislabelled_share: float
    first_day: str
    """Date of the first module, ISO 8601, midnight UTC."""
    film: float = 0.0
    """Share of the light that smears on the lens swallow where they are thickest; each scatters some."""


GEN2 = Generation(
    name="gen2",
    code=2,
    lamps=(Lamp(colour=(1.06, 1.0, 0.86), strength=0.46, tilt=-0.24, hardness=4.4, nearness=0.20),),
    ambient=(1.05, 1.0, 0.88),
    relief=0.55,
    magnification=1.0,
    lens_sigma=0.95,
    vignetting=0.22,
    bloom=0.0,
    sharpening=0.0,
    exposure=1.0,
    contrast=1.06,
    noise=2.0,
    row_noise=0.0,
    colour_noise=False,
    jpeg_quality=88,
    glints=0.3,
    process_drift=0.25,
    lamp_ageing=0.06,
    class_shares=MappingProxyType(
        {
            "no_defect": 0.950,
            "contamination": 0.018,
            "spatter": 0.013,
            "porosity": 0.009,
            "misaligned_weld": 0.006,
            "micro_crack": 0.004,
        }
    ),
    corrupt_share=0.003,
    blurred_share=0.02,
    mislabelled_share=0.01,
    first_day="2024-03-04",
)

GEN3 = Generation(
    name="gen3",
    code=3,
    lamps=(
        Lamp(colour=(0.92, 1.0, 1.12), strength=1.15, tilt=-0.42, hardness=7.5, nearness=0.34),
        Lamp(colour=(0.90, 1.0, 1.16), strength=0.85, tilt=0.38, hardness=8.5, nearness=0.40),
    ),
    ambient=(0.84, 0.98, 1.16),
    relief=0.80,
    magnification=1.14,
    lens_sigma=0.55,
    vignetting=0.10,
    bloom=0.30,
    sharpening=0.7,
    exposure=0.86,
    contrast=1.22,
    noise=4.6,
    row_noise=0.7,
    colour_noise=True,
    jpeg_quality=92,
    glints=1.4,
    process_drift=0.9,
    lamp_ageing=0.10,
    class_shares=MappingProxyType(
        {
            "no_defect": 0.920,
            "contamination": 0.030,
            "spatter": 0.022,
            "porosity": 0.015,
            "misaligned_weld": 0.010,
            "micro_crack": 0.003,
        }
    ),
    corrupt_share=0.015,
    blurred_share=0.08,
    mislabelled_share=0.025,
    first_day="2025-02-03",
)

GENERATIONS: Mapping[str, Generation] = MappingProxyType({"gen2": GEN2, "gen3": GEN3})


def generation(name: str) -> Generation:
    """The generation of that name; raises UsageError that lists the known ones."""
    try:
        return GENERATIONS[name]
    except KeyError:
        known = ", ".join(GENERATIONS)
        raise UsageError(f"unknown generation {name!r}: choose one of {known}") from None
