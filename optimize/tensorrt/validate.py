"""Validation on the device: engines built there, held against the CPU's verdicts, timed, recorded.

Owns the order of the steps. Until the last one nothing of the bundle is touched; then plans, record and
manifest come in together (`package.amending`). Prints nothing: a `Watch` hears how it goes.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.device import DeviceRecord, EngineRecord, LatencyRecord
from edge_runtime.contracts.manifest import Variant
from edge_runtime.decoding import decode
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import BundleError, EngineError
from optimize import gates, latency
from optimize.answers import Answers, answer
from optimize.data.dataset import open_dataset
from optimize.data.images import Fault, Image, read_images
from optimize.data.manifest import Columns, Condition
from optimize.errors import GateFailed, ModelError, TooSlow
from optimize.tensorrt.acceptance import Judgement, Limits, batch_limit, choose, judge
from optimize.tensorrt.record import append, engine_record
from optimize.tensorrt.workbench import Workbench
from optimize.watch import Watch

REFERENCE = "float32"
_REFERENCE_ENGINE = "onnxruntime"
SAMPLES = 3000
"""Batches of every size that are timed unless asked otherwise; 20 at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to validate."""

    bundle: Path
    validation: Path | None
    """Labelled images to compare verdicts on beside the golden frames."""
    max_flips: float
    """Share of images, 0..1, whose verdict an engine may change."""
    max_ms_per_image: float | None
    """At the largest batch; None: what is agreed for the device, if anything."""
    samples: int = SAMPLES
    threads: int = 1
    """CPU threads of the reference."""
    columns: Columns = field(default_factory=Columns)
    where: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Engine:
    """A plan on its way into the bundle."""

    plan: Plan
    engine: InferenceEngine


def validate(order: Order, bench: Workbench, watch: Watch) -> DeviceRecord:
    """Carry out the order; returns the record that the bundle now holds.

    Raises GateFailed when no engine gives the agreed verdicts and TooSlow when those that do are too
    slow; the bundle is then as it was, as it is whenever this raises.
    """
    bundle = open_bundle(order.bundle)
    variants = [v for v in bundle.manifest.variants if v.target == "tensorrt"]
    if not variants:
        raise BundleError(
            f"{bundle.path} has no variant for TensorRT: build one with "
            "`optimize build --target tensorrt`"
        )
    reference = bundle.variant(REFERENCE)
    with tempfile.TemporaryDirectory(prefix="optimize-") as scratch, ExitStack() as stack:
        built, refused = _build(bundle, variants, Path(scratch), bench, stack, watch)
        cpu = stack.enter_context(
            closing(
                open_engine(
                    _REFERENCE_ENGINE,
                    bundle.model_file(reference),
                    bundle.manifest.model,
                    order.threads,
                )
            )
        )
        engines = {precision: item.engine for precision, item in built.items()}
        dataset, answers = _compare(order, bundle, {REFERENCE: cpu, **engines}, watch)
        timed = _time(order, bundle, engines, bench, watch)
        driver = bench.ask_driver()  # at once: the clocks are still those of the measuring
        limits = Limits(
            flips=int(order.max_flips * len(answers) + 1e-9),
            batch_ms=batch_limit(bench.facts.name, order.max_ms_per_image),
        )
        judged = _judge(bundle, built, answers, timed, limits)
        records = (*(record for record, _ in judged), *refused)
        chosen = choose(records)
        if chosen is None:
            raise _failure(bench, judged, refused)
        record = DeviceRecord(
            name=bench.facts.name,
            compute_capability=bench.facts.compute_capability,
            driver=driver.driver,
            cuda=bench.facts.cuda,
            tensorrt=bench.tensorrt,
            clocks=driver.clocks,
            reference=f"{REFERENCE} on {cpu.name}",
            dataset=dataset,
            engines=records,
            chosen=chosen.precision,
            validated_at=datetime.now(UTC),
        )
        append(bundle, record, {key: item.plan for key, item in built.items()})
    return record


def _build(
    bundle: Bundle,
    variants: Sequence[Variant],
    scratch: Path,
    bench: Workbench,
    stack: ExitStack,
    watch: Watch,
) -> tuple[dict[str, _Engine], list[EngineRecord]]:
    """Engines by precision, and a record of each that could not be built."""
    built: dict[str, _Engine] = {}
    refused: list[EngineRecord] = []
    for variant in variants:
        watch.note(f"building {variant.precision} for {bench.facts.name}: takes minutes")
        try:
            data = bench.build(bundle.model_file(variant))
            plan = Plan(
                file=scratch / f"{variant.precision}.plan",
                sha256=hashlib.sha256(data).hexdigest(),
                device=bench.facts.name,
                compute_capability=bench.facts.compute_capability,
                tensorrt=bench.tensorrt,
            )
            plan.file.write_bytes(data)
            engine = stack.enter_context(closing(bench.open(plan, bundle.manifest.model)))
        except (ModelError, EngineError) as exc:
            watch.note(f"warning: no engine for {variant.precision}: {exc}")
            refused.append(
                engine_record(variant.precision, None, 0, 0, (), Judgement(False, False, str(exc)))
            )
            continue
        built[variant.precision] = _Engine(plan=plan, engine=engine)
    return built, refused


def _compare(
    order: Order, bundle: Bundle, engines: Mapping[str, InferenceEngine], watch: Watch
) -> tuple[str, Answers]:
    """What the images are called, and what every engine says about them."""
    model = bundle.manifest.model
    named, total = "golden frames", len(bundle.manifest.golden)
    images: Iterator[Image | Fault] = _golden(bundle)
    if order.validation is not None:
        dataset = open_dataset(order.validation, order.columns, order.where)
        named += f" and {dataset.named()}"
        images = chain(images, read_images(dataset, model.input))
        total += len(dataset.samples)
    else:
        watch.note("warning: no --validation: verdicts are compared on the golden frames alone")
    with watch.stage("comparing verdicts", total) as advanced:
        answers = answer(images, engines, len(model.labels), advanced)
    if answers.faults:
        first = answers.faults[0]
        watch.note(
            f"warning: {len(answers.faults)} images cannot be used; the first is {first.path}: "
            f"{first.reason}"
        )
    if not len(answers):
        raise GateFailed(
            f"{bundle.path}: no image to compare verdicts on: name some with --validation"
        )
    return named, answers


def _time(
    order: Order,
    bundle: Bundle,
    engines: Mapping[str, InferenceEngine],
    bench: Workbench,
    watch: Watch,
) -> dict[str, tuple[LatencyRecord, ...]]:
    """Latency records by precision: as many batches of every size, the engines taking turns."""
    size = bundle.manifest.model.input
    frames = [image.pixels for image in _golden(bundle)] or [
        np.zeros((size.height, size.width, 3), np.uint8)
    ]
    if not engines:
        return {}
    total = latency.images_per_variant(latency.BATCHES, order.samples, full=True)
    with watch.stage("measuring latency", total) as advanced:
        return latency.measure(
            engines,
            np.stack(frames),
            threads=1,  # one feeds the device, whatever the reference had
            samples=order.samples,
            full=True,
            advanced=advanced,
            # Driver and clocks stand in the device's record, asked for right after.
            machine=latency.Machine(device=bench.facts.name, load=latency.processor().load),
        )


def _judge(
    bundle: Bundle,
    built: Mapping[str, _Engine],
    answers: Answers,
    timed: Mapping[str, tuple[LatencyRecord, ...]],
    limits: Limits,
) -> list[tuple[EngineRecord, Judgement]]:
    spec = bundle.manifest.model
    before = gates.decisions(answers.logits[REFERENCE], spec)
    judged = []
    for precision, item in built.items():
        after = gates.decisions(answers.logits[precision], spec)
        flips = gates.count_flips(before, after, spec)
        found = judge(len(answers), flips, timed[precision], limits)
        kept = item.plan if found.passed else None
        record = engine_record(precision, kept, len(answers), flips, timed[precision], found)
        judged.append((record, found))
    return judged


def _failure(
    bench: Workbench,
    judged: Sequence[tuple[EngineRecord, Judgement]],
    refused: Sequence[EngineRecord],
) -> GateFailed | TooSlow:
    """The error for when no engine may run: its speed is at fault where one gave the right verdicts."""
    records = [*(record for record, _ in judged), *refused]
    reasons = "; ".join(f"{record.precision}: {record.reason}" for record in records)
    message = f"no engine may run on {bench.facts.name}, the bundle stays as it was: {reasons}"
    return TooSlow(message) if any(found.slow for _, found in judged) else GateFailed(message)


def _golden(bundle: Bundle) -> Iterator[Image]:
    """The golden frames as images, one at a time."""
    for frame in bundle.manifest.golden:
        pixels = decode((bundle.path / frame.file).read_bytes())
        yield Image(path=frame.file, label=frame.label, group=frame.file, pixels=pixels)
