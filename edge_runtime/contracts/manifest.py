"""What travels with a model: labels, input, decision rule, provenance, records, and file hashes.

`ModelSpec` is the part that training decides; `train export` writes it into the ONNX file's metadata
(key `MODEL_SPEC_KEY`) and `optimize build` carries it over into the `BundleManifest`. The runtime knows
labels, thresholds and sizes from here and from nowhere else.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime
from edge_runtime.contracts.device import DeviceRecord
from edge_runtime.contracts.device import LatencyRecord as LatencyRecord

MODEL_SPEC_KEY = "edge_inspect.model_spec"
MANIFEST_SCHEMA: Literal["edge-inspect/bundle/1"] = "edge-inspect/bundle/1"

Probability = Annotated[float, Field(ge=0, le=1)]


class InputSpec(Contract):
    """The model's input tensor: (N, height, width, 3) uint8 RGB.

    Normalisation `(x - zero_point) * scale` stands inside the graph as one DequantizeLinear; the fields
    record it so that training and runtime can be checked to use the same formula.
    """

    height: Annotated[int, Field(ge=8, le=4096)] = 256
    width: Annotated[int, Field(ge=8, le=4096)] = 256
    zero_point: Annotated[int, Field(ge=0, le=255)] = 128
    scale: Annotated[float, Field(gt=0)] = 1 / 127.5


class Thresholds(Contract):
    """Limits on the defect score `1 - sum of probabilities of the ok labels`."""

    review_from: Probability
    """From here on the part is at least for review."""
    defect_from: Probability
    """From here on the part is a defect."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.review_from > self.defect_from:
            raise ValueError(
                f"review_from ({self.review_from}) must not lie above defect_from ({self.defect_from})"
            )
        return self


class DecisionRule(Contract):
    """How logits become a verdict; see `edge_runtime.policy`, the only code that applies it."""

    ok_labels: tuple[str, ...]
    """Labels of good parts; empty where every class is a defect."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Logits are divided by this before the softmax."""
    thresholds: Thresholds


class ModelSpec(Contract):
    """Everything about a trained model that its float weights do not say."""

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    """Class names in the order of the model's outputs."""
    input: InputSpec
    decision: DecisionRule
    provenance: Mapping[str, str]
    """Free facts about the origin: backbone, data hash, seed, command, versions."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels repeat: {', '.join(self.labels)}")
        unknown = set(self.decision.ok_labels) - set(self.labels)
        if unknown:
            raise ValueError(f"ok_labels name no class of this model: {', '.join(sorted(unknown))}")
        return self


class AccuracyRecord(Contract):
    """What a variant reached on labelled validation data, at the deployed decision rule."""

    dataset: str
    """Which data: its name and content hash."""
    images: Annotated[int, Field(ge=1)]
    macro_f1: Probability
    defect_recall: Probability | None
    """Share of defective parts answered `defect` or `review`; null without ok labels or defects."""
    false_positive_rate: Probability | None
    """Share of good parts answered `defect`; null where no good part was seen."""
    review_rate: Probability
    flips: Annotated[int, Field(ge=0)]
    """Verdicts that differ from the float32 variant's on the same images."""


class Variant(Contract):
    """One runnable form of the model."""

    precision: Name
    """`float32`, `int8`, `int8-tensorrt`, ...: the name it is chosen by."""
    target: Literal["cpu", "tensorrt"] = "cpu"
    """The kind of engine that it is made for; the file of another kind would be slow or refused."""
    file: str
    """Path within the bundle."""
    calibration: str | None = None
    """How its ranges were taken from the calibration images; null where nothing is quantised."""
    float_layers: tuple[str, ...] = ()
    """Layers of a quantised variant that stayed float, since the gate would not pass without."""
    accuracy: AccuracyRecord | None
    latency: tuple[LatencyRecord, ...]


class GoldenFrame(Contract):
    """A frame whose answer is known; replayed whenever the bundle is loaded."""

    file: str
    """Path of a lossless PNG within the bundle, already at the input size."""
    label: str
    """The class it was drawn or labelled as."""
    probabilities: Mapping[str, tuple[Probability, ...]]
    """Per variant (by precision): expected probabilities in the order of `labels`."""


class BundleManifest(Contract):
    """`manifest.json` of a bundle `NAME/VERSION/`."""

    schema_: Annotated[Literal["edge-inspect/bundle/1"], Field(alias="schema")] = MANIFEST_SCHEMA
    name: Name
    version: Name
    created_at: UtcTime
    model: ModelSpec
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)]
    default_variant: Name
    """The precision that the runtime takes unless told otherwise; for the CPU."""
    golden: tuple[GoldenFrame, ...]
    golden_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Largest absolute difference of a probability that a replay may show: engines and processors
    round differently; a wrong model or preprocessing is off by far more."""
    devices: tuple[DeviceRecord, ...] = ()
    """GPUs that the bundle was validated on, each with the engines built there."""
    files: Mapping[str, Sha256]
    """Every other file of the bundle with its hash."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        precisions = [variant.precision for variant in self.variants]
        if len(set(precisions)) != len(precisions):
            raise ValueError(f"variants repeat: {', '.join(precisions)}")
        if self.default_variant not in precisions:
            raise ValueError(
                f"default_variant {self.default_variant!r} is none of {', '.join(precisions)}"
            )
        if self.variant(self.default_variant).target != "cpu":
            raise ValueError(f"default_variant {self.default_variant!r} is not made for the CPU")
        named = [v.file for v in self.variants] + [g.file for g in self.golden]
        missing = [file for file in named if file not in self.files]
        if missing:
            raise ValueError(f"files without a hash: {', '.join(missing)}")
        self._check_devices()
        for frame in self.golden:
            if frame.label not in self.model.labels:
                raise ValueError(f"golden frame {frame.file} has the unknown label {frame.label!r}")
            for precision, row in frame.probabilities.items():
                if len(row) != len(self.model.labels):
                    raise ValueError(
                        f"golden frame {frame.file} has {len(row)} probabilities for {precision}, "
                        f"expected {len(self.model.labels)}"
                    )
        return self

    def _check_devices(self) -> None:
        keys = [device.key for device in self.devices]
        if len(set(keys)) != len(keys):
            raise ValueError(f"devices repeat: {', '.join(' '.join(key) for key in keys)}")
        for engine in (engine for device in self.devices for engine in device.engines):
            if engine.precision not in {
                v.precision for v in self.variants if v.target == "tensorrt"
            }:
                raise ValueError(f"an engine of {engine.precision!r}, which is no TensorRT variant")
            if engine.plan is not None and self.files.get(engine.plan) != engine.sha256:
                raise ValueError(f"plan {engine.plan} is not among the files with its sha256")

    def variant(self, precision: str) -> Variant:
        """The variant of that precision; raises KeyError that names those there are."""
        for variant in self.variants:
            if variant.precision == precision:
                return variant
        raise KeyError(
            f"no variant {precision!r}; this bundle has {', '.join(v.precision for v in self.variants)}"
        )
