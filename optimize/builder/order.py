"""What is asked of a build, and what comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.manifest import BundleManifest
from edge_runtime.contracts.quality import QualityReference
from optimize.builder.kinds import Kind
from optimize.calibration.ranges import Method
from optimize.data.manifest import Columns, Condition
from optimize.data.sealed import Sealed
from optimize.gate_report.record import GateReport
from optimize.gates import Limits
from optimize.quality_limits.setting import COST


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build."""

    model: Path
    calibration: Path
    validation: Path | None
    """None: nothing is judged, and so nothing but float32 may be built."""
    target: Path
    """The folder NAME/VERSION; must not exist."""
    kinds: tuple[Kind, ...]
    """What is built besides float32."""
    method: Method | None
    """How int8 ranges are taken; None: each is tried, the one with the fewest flips is kept."""
    limits: Limits
    sensitivity: bool = False
    """Whether layers are ranked even where the gate passes at once."""
    engines: tuple[str, ...] = ("onnxruntime",)
    """To measure on; verdicts are compared on the first."""
    threads: tuple[int, ...]
    """Thread counts to measure; everything else runs with the first."""
    latency_samples: int
    columns: Columns = field(default_factory=Columns)
    """Of the manifests of both."""
    where: tuple[Condition, ...] = ()
    """Rows of both manifests that are meant."""
    line_mix: bool = False
    """Whether the validation images have the mix of classes that the line makes."""
    quality_cost: float = COST
    """Share of undamaged frames that the limits of the frame quality gate may turn away."""
    sealed: Sealed = field(default_factory=Sealed)
    """Test images that neither may hold, besides those that the model itself names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bundle that was written."""

    path: Path
    manifest: BundleManifest
    nodes: Mapping[str, int]
    """Operators per precision; `source` is the file as it came."""
    report: GateReport | None
    """None where nothing was judged."""
    reason: str
    """Why the default variant is the default."""
    drift: DriftReference | None
    """None where there were no validation images, or too few."""
    quality: QualityReference | None
    """Likewise."""
