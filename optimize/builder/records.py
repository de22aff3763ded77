"""What a bundle records of its variants: accuracy, latency, golden frames, which one is the default."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime import policy
from edge_runtime.contracts.manifest import (
    AccuracyRecord,
    GoldenFrame,
    LatencyRecord,
    ModelSpec,
    Variant,
)
from optimize import gates, latency, package
from optimize.answers import Answers
from optimize.builder.candidates import Candidate, Source
from optimize.builder.engines import opened
from optimize.builder.kinds import FLOAT, INT8
from optimize.builder.order import Order
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.watch import Watch


def choose_default(timed: Mapping[str, tuple[LatencyRecord, ...]]) -> tuple[str, str]:
    """The precision to run on the CPU unless told otherwise, and why: the fastest one at batch 1."""
    if INT8 not in timed:
        return FLOAT, "float32 is the only variant for the CPU"
    ours, theirs = timed[INT8][0], timed[FLOAT][0]
    ratio = theirs.p50_ms / ours.p50_ms
    if ratio > 1:
        return INT8, f"int8 passed its gate and is {ratio:.2f} times as fast as float32"
    return FLOAT, f"int8 passed its gate but is not faster here ({ratio:.2f} times float32's speed)"


def variants(
    candidates: Sequence[Candidate],
    accuracy: Mapping[str, AccuracyRecord],
    timed: Mapping[str, tuple[LatencyRecord, ...]],
) -> tuple[Variant, ...]:
    """The manifest's rows: float32 first, then the candidates in their order."""
    reference = Variant(
        precision=FLOAT,
        file=file_name(FLOAT),
        accuracy=accuracy.get(FLOAT),
        latency=timed.get(FLOAT, ()),
    )
    rows = [
        Variant(
            precision=made.precision,
            target=made.kind.target,
            file=file_name(made.precision),
            calibration=None if made.method is None else str(made.method),
            float_layers=made.float_layers,
            accuracy=accuracy.get(made.precision),
            latency=timed.get(made.precision, ()),
        )
        for made in candidates
    ]
    return (reference, *rows)


def file_name(precision: str) -> str:
    """A variant's file within the bundle."""
    return f"{precision}.onnx"


def accuracy(
    named: str, spec: ModelSpec, answers: Answers, watch: Watch
) -> dict[str, AccuracyRecord]:
    """What each variant reaches; nothing where the images are not labelled as the model is."""
    if not len(answers) or not set(answers.labels) <= set(spec.labels):
        watch.note("warning: accuracy is not recorded: the images are not labelled as the model is")
        return {}
    before = gates.decisions(answers.logits[FLOAT], spec)
    records = {}
    for precision, logits in answers.logits.items():
        after = gates.decisions(logits, spec)
        flips = gates.count_flips(before, after, spec)
        records[precision] = gates.accuracy(named, answers.labels, after, flips, spec)
    return records


def golden(
    folder: Path,
    order: Order,
    spec: ModelSpec,
    images: Dataset,
    answers: Answers,
    protos: Mapping[str, onnx.ModelProto],
) -> tuple[GoldenFrame, ...]:
    """Write frames that every variant answers alike, with the answers that a replay must repeat."""
    known = {p: _probabilities(logits, spec) for p, logits in answers.logits.items()}
    chosen = package.choose_golden(answers.labels, spec.labels, known)
    picked = images.pick([answers.paths[index] for index in chosen])
    frames = [item for item in read_images(picked, spec.input) if isinstance(item, Image)]
    with opened(protos, spec, order.threads[0], order.engines[0]) as engines:
        expected = {
            precision: [
                _probabilities(engine.infer(f.pixels[None]).logits, spec)[0] for f in frames
            ]
            for precision, engine in engines.items()
        }
    return package.write_golden(
        folder, [f.pixels for f in frames], [f.label for f in frames], expected
    )


def time(
    order: Order, source: Source, candidates: Sequence[Candidate], watch: Watch
) -> dict[str, tuple[LatencyRecord, ...]]:
    """What runs on this machine, on every engine and thread count that was ordered."""
    models = {FLOAT: source.file}
    models |= {made.precision: made.proto for made in candidates if made.kind.target == "cpu"}
    frames = np.stack(source.calibration.pixels[: max(latency.BATCHES)])
    timed: dict[str, tuple[LatencyRecord, ...]] = dict.fromkeys(models, ())
    images = latency.images_per_variant(latency.BATCHES, order.latency_samples)
    rounds = [(engine, threads) for engine in order.engines for threads in order.threads]
    with watch.stage("measuring latency", images * len(rounds)) as advanced:
        for name, threads in rounds:
            with opened(models, source.model.spec, threads, name) as engines:
                rows = latency.measure(
                    engines,
                    frames,
                    threads=threads,
                    samples=order.latency_samples,
                    advanced=advanced,
                )
            timed = {precision: timed[precision] + rows[precision] for precision in models}
    return timed


def _probabilities(logits: npt.NDArray[np.float32], spec: ModelSpec) -> npt.NDArray[np.float32]:
    return policy.probabilities(logits, spec.decision.temperature)
