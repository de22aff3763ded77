"""What was measured on one device: latencies, and the engines that were built there for it.

A TensorRT engine (a plan file) belongs to the GPU's compute capability and to the TensorRT version that
built it, so a bundle carries one record per device that it was validated on. `optimize validate` writes
them, `edge_runtime.engines.tensorrt` loads what they name.
"""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime

Milliseconds = Annotated[float, Field(gt=0)]


class LatencyRecord(Contract):
    """A latency measured on one device; milliseconds per image."""

    device: str
    engine: str
    engine_version: str
    batch: Annotated[int, Field(ge=1)]
    threads: Annotated[int, Field(ge=1)]
    samples: Annotated[int, Field(ge=1)]
    """Batches that were timed."""
    p50_ms: Milliseconds
    p95_ms: Milliseconds
    p99_ms: Milliseconds
    max_ms: Milliseconds | None = None
    """The slowest batch that was timed; null in older records, as are the next four."""
    driver: str | None = None
    """Of an accelerator; null on a CPU."""
    clock_mhz: float | None = None
    governor: str | None = None
    """How the system chooses the clock: `performance`, `powersave`, ...; null where it does not say."""
    load: float | None = None
    """Processes that wanted the CPU, 1-minute average before measuring: what else the machine did."""
    measured_at: UtcTime


class Clocks(Contract):
    """A GPU's clocks in MHz as its driver tells them, right after the measuring and at most."""

    sm_mhz: Annotated[int, Field(ge=0)] | None = None
    memory_mhz: Annotated[int, Field(ge=0)] | None = None
    max_sm_mhz: Annotated[int, Field(ge=0)] | None = None
    max_memory_mhz: Annotated[int, Field(ge=0)] | None = None


class EngineRecord(Contract):
    """One variant's engine on the device: what it answered, how fast, and whether it may run."""

    precision: Name
    """The variant it was built from."""
    plan: str | None
    """Path of the plan file within the bundle; null where the engine may not run and was not kept."""
    sha256: Sha256 | None
    """Of the plan file."""
    images: Annotated[int, Field(ge=0)]
    """Images whose verdict was compared with the reference's; 0 where no engine could be built."""
    flips: Annotated[int, Field(ge=0)]
    """Verdicts that differ from the reference's."""
    latency: tuple[LatencyRecord, ...]
    passed: bool
    """Whether it kept within its flips and its latency limits."""
    reason: str
    """Why it passed or did not, in words."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.plan is None) != (self.sha256 is None):
            raise ValueError(f"{self.precision}: a plan and its sha256 come together")
        if self.passed and self.plan is None:
            raise ValueError(f"{self.precision} passed and names no plan")
        if self.passed and not self.images:
            raise ValueError(f"{self.precision} passed without an image compared")
        if self.flips > self.images:
            raise ValueError(f"{self.precision}: {self.flips} flips of {self.images} images")
        return self


class DeviceRecord(Contract):
    """A bundle's engines on one GPU, validated there."""

    name: Annotated[str, StringConstraints(min_length=1)]
    """As the driver calls it, `Tesla T4`."""
    compute_capability: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")]
    driver: str
    """Version of the NVIDIA driver; `unknown` where it could not be asked."""
    cuda: str
    """The newest CUDA that this driver runs, `12.8`."""
    tensorrt: str
    clocks: Clocks
    reference: str
    """The variant and engine whose verdicts were the measure, `float32 on onnxruntime 1.23.2`."""
    dataset: str
    """The images that verdicts were compared on."""
    engines: Annotated[tuple[EngineRecord, ...], Field(min_length=1)]
    chosen: Name
    """The precision to run on this device: the fastest that passed."""
    validated_at: UtcTime

    @model_validator(mode="after")
    def _chosen_passed(self) -> Self:
        precisions = [engine.precision for engine in self.engines]
        if len(set(precisions)) != len(precisions):
            raise ValueError(f"engines repeat: {', '.join(precisions)}")
        if self.chosen not in [engine.precision for engine in self.engines if engine.passed]:
            raise ValueError(f"chosen {self.chosen!r} is no engine that passed on {self.name}")
        return self

    @property
    def key(self) -> tuple[str, str, str]:
        """What a bundle has one record for: name, compute capability, TensorRT version."""
        return self.name, self.compute_capability, self.tensorrt
