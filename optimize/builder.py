"""The build: from one float ONNX file and two folders of images to a bundle, or to a refusal.

Owns the order of the steps and nothing of their substance. Prints nothing: whoever asks for a build
passes a `Watch` and hears through it. Every engine is the one the runtime would use, so what is compared
and timed here is what runs on the line.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime import __version__, policy
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import (
    AccuracyRecord,
    BundleManifest,
    GoldenFrame,
    LatencyRecord,
    ModelSpec,
    Variant,
)
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.errors import EngineError
from optimize import gates, latency, package, quantize, report
from optimize.calibration.concerns import concerns
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.calibration.strata import thin
from optimize.comparison import Answers, answer
from optimize.data.dataset import Dataset, open_dataset
from optimize.data.images import Fault, Image, read_images
from optimize.data.manifest import Columns, Condition
from optimize.data.sealed import refuse_sealed
from optimize.errors import CalibrationError, GateFailed, ModelError
from optimize.gates import GateResult
from optimize.graph import FloatModel, read_model, simplify

FLOAT = "float32"
INT8 = "int8"
_ENGINE = "onnxruntime"
_NAMED_FAULTS = 5


class Watch(Protocol):
    """Who hears how a build goes."""

    def note(self, text: str) -> None:
        """One line worth reading: a warning, a choice and its reason."""
        ...

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of `total` steps; the function it gives is told of each few done."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to build."""

    model: Path
    calibration: Path
    validation: Path | None
    """None: verdicts are compared on the calibration images, which flatters, and that is said."""
    target: Path
    """The folder NAME/VERSION; must not exist."""
    int8: bool
    method: Method | None
    """How int8 ranges are taken; None: each is tried, the one with the fewest flips is kept."""
    max_flips: float
    """Share of images, 0..1, whose verdict int8 may change."""
    threads: tuple[int, ...]
    """Thread counts to measure; everything else runs with the first."""
    latency_samples: int
    columns: Columns = field(default_factory=Columns)
    """Of the manifests of both."""
    where: tuple[Condition, ...] = ()
    """Rows of both manifests that are meant."""
    sealed: frozenset[bytes] = frozenset()
    """SHA-256 of images that neither may hold: those of a sealed test set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bundle that was written."""

    path: Path
    manifest: BundleManifest
    nodes: Mapping[str, int]
    """Operators per precision; `source` is the file as it came."""
    gate: GateResult | None
    reason: str
    """Why the default variant is the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    named: str
    dataset: Dataset
    images: tuple[Image, ...]

    @property
    def pixels(self) -> list[Pixels]:
        return [image.pixels for image in self.images]


def build(order: Order, watch: Watch) -> Built:
    """Carry out the order; raises an EdgeInspectError and leaves nothing behind when it cannot."""
    package.refuse_existing(order.target)
    source = read_model(order.model)
    _check_runs(source)
    model = simplify(source)
    calibration = _read_calibration(order, model.spec, watch)
    nodes = {"source": source.nodes, FLOAT: model.nodes}
    facts = {"source_sha256": model.sha256, "optimize": __version__}
    with package.staging(order.target) as folder:
        files = {FLOAT: "float32.onnx"}
        onnx.save(model.proto, folder / files[FLOAT])
        if order.int8:
            quantised, method = _quantise(order, model, calibration, watch)
            files[INT8] = "int8.onnx"
            onnx.save(quantised, folder / files[INT8])
            nodes[INT8] = len(quantised.graph.node)
            facts |= {"calibration": calibration.named, "calibration_method": method}
        paths = {precision: folder / file for precision, file in files.items()}
        with _engines(paths, model.spec, order.threads[0]) as engines:
            named, images, answers = _compare(order, model.spec, calibration, engines, watch)
            gate = _judge(order, model.spec, answers, watch) if order.int8 else None
            accuracy = _accuracy(named, model.spec, answers, watch)
            golden = _golden(folder, model.spec, images, answers, engines)
        timed = _time(order, model.spec, calibration, paths, watch)
        default, reason = choose_default(timed)
        spec = model.spec.model_copy(update={"provenance": {**model.spec.provenance, **facts}})
        manifest = BundleManifest(
            name=order.target.parent.name,
            version=order.target.name,
            created_at=datetime.now(UTC),
            model=spec,
            variants=tuple(
                Variant(
                    precision=precision,
                    file=file,
                    accuracy=accuracy.get(precision),
                    latency=timed[precision],
                )
                for precision, file in files.items()
            ),
            default_variant=default,
            golden=golden,
            files=package.hash_files(folder),
        )
        (folder / package.CARD).write_text(report.model_card(manifest, reason), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": package.hash_files(folder)})
        package.seal(folder, manifest)
    return Built(path=order.target, manifest=manifest, nodes=nodes, gate=gate, reason=reason)


def choose_default(timed: Mapping[str, tuple[LatencyRecord, ...]]) -> tuple[str, str]:
    """The precision to run unless told otherwise, and why: the fastest one at batch 1."""
    if INT8 not in timed:
        return FLOAT, "float32 is the only variant"
    ours, theirs = timed[INT8][0], timed[FLOAT][0]
    ratio = theirs.p50_ms / ours.p50_ms
    if ratio > 1:
        return INT8, f"int8 passed its gate and is {ratio:.2f} times as fast as float32"
    return FLOAT, f"int8 passed its gate but is not faster here ({ratio:.2f} times float32's speed)"


def _check_runs(model: FloatModel) -> None:
    size = model.spec.input
    try:
        with closing(open_engine(_ENGINE, model.path, model.spec, 1)) as engine:
            engine.infer(np.zeros((2, size.height, size.width, 3), np.uint8))
    except EngineError as exc:
        raise ModelError(f"the model cannot be run: {exc}") from exc


def _read_calibration(order: Order, spec: ModelSpec, watch: Watch) -> _Calibration:
    dataset = open_dataset(order.calibration, order.columns, order.where)
    chosen = thin([sample.label for sample in dataset.samples])
    if len(chosen) < len(dataset.samples):
        watch.note(f"calibrating on {len(chosen)} of {len(dataset.samples)} images, evenly spread")
    thinned = replace(dataset, samples=tuple(dataset.samples[index] for index in chosen))
    if order.sealed:
        refuse_sealed(thinned, order.sealed, "calibration")
    images: list[Image] = []
    faults: list[Fault] = []
    with watch.stage("reading calibration images", len(thinned.samples)) as advanced:
        for item in read_images(thinned, spec.input):
            if isinstance(item, Image):
                images.append(item)
            else:
                faults.append(item)
            advanced(1)
    _note_faults(order.calibration, faults, watch)
    if not images:
        raise CalibrationError(
            f"none of the {len(faults)} images listed in {order.calibration} can be used: "
            "see what is said of each above"
        )
    for concern in concerns([image.label for image in images], spec.labels):
        watch.note(f"warning: {concern}")
    return _Calibration(named=thinned.named(), dataset=dataset, images=tuple(images))


def _quantise(
    order: Order, model: FloatModel, calibration: _Calibration, watch: Watch
) -> tuple[onnx.ModelProto, Method]:
    """The int8 model by the method that was asked for, or by the best of all of them."""
    activations = quantize.activations(model.proto)
    with watch.stage("calibrating", 2 * len(calibration.images)) as advanced:
        observations = observe(model.proto, activations, calibration.pixels, advanced)
    if order.method is not None:
        return quantize.quantise(model.proto, observations, order.method), order.method
    candidates = {method: quantize.quantise(model.proto, observations, method) for method in Method}
    with tempfile.TemporaryDirectory(prefix="optimize-") as scratch:
        paths = {FLOAT: Path(scratch, "float32.onnx")}
        onnx.save(model.proto, paths[FLOAT])
        for method, candidate in candidates.items():
            paths[method] = Path(scratch, f"{method}.onnx")
            onnx.save(candidate, paths[method])
        with (
            _engines(paths, model.spec, order.threads[0]) as engines,
            watch.stage("choosing a calibration", len(calibration.images)) as advanced,
        ):
            answers = answer(calibration.images, engines, len(model.spec.labels), advanced)
    best = max(candidates, key=lambda method: _merit(answers, method, model.spec))
    figures = ", ".join(f"{m} {_sqnr(answers, m):.1f} dB" for m in candidates)
    watch.note(f"calibration by {best} (logit signal to noise: {figures})")
    return candidates[best], best


def _merit(answers: Answers, method: Method, spec: ModelSpec) -> tuple[int, float]:
    before = gates.decisions(answers.logits[FLOAT], spec)
    after = gates.decisions(answers.logits[method], spec)
    flips = gates.find_flips(answers.paths, answers.labels, before, after)
    return -len(flips), _sqnr(answers, method)


def _sqnr(answers: Answers, precision: str) -> float:
    return gates.sqnr_db(answers.logits[FLOAT], answers.logits[precision])


def _compare(
    order: Order,
    spec: ModelSpec,
    calibration: _Calibration,
    engines: Mapping[str, InferenceEngine],
    watch: Watch,
) -> tuple[str, Dataset, Answers]:
    """Name of the data, the data set it is of, and what every variant says about it."""
    if order.validation is None:
        if order.int8:
            watch.note(
                "warning: no --validation: verdicts are compared on the calibration images, "
                "which int8 was fitted to"
            )
        with watch.stage("comparing verdicts", len(calibration.images)) as advanced:
            answers = answer(calibration.images, engines, len(spec.labels), advanced)
        return f"calibration: {calibration.named}", calibration.dataset, answers
    dataset = open_dataset(order.validation, order.columns, order.where)
    strange = sorted({label or "(none)" for label in dataset.labels} - set(spec.labels))
    if strange:
        raise CalibrationError(
            f"{order.validation} has labels the model does not know: {', '.join(strange)}; "
            f"it knows {', '.join(spec.labels)}"
        )
    if order.sealed:
        refuse_sealed(dataset, order.sealed, "validation")
    with watch.stage("comparing verdicts", len(dataset.samples)) as advanced:
        answers = answer(read_images(dataset, spec.input), engines, len(spec.labels), advanced)
    _note_faults(order.validation, answers.faults, watch)
    return dataset.named(), dataset, answers


def _judge(order: Order, spec: ModelSpec, answers: Answers, watch: Watch) -> GateResult:
    before = gates.decisions(answers.logits[FLOAT], spec)
    after = gates.decisions(answers.logits[INT8], spec)
    flips = gates.find_flips(answers.paths, answers.labels, before, after)
    result = gates.judge(flips, len(answers), order.max_flips)
    for flip in flips:
        watch.note(
            f"flip: {flip.path} ({flip.label or 'unlabelled'}): "
            f"{flip.before.outcome} {flip.before.label} -> {flip.after.outcome} {flip.after.label}"
        )
    if not result.passed:
        raise GateFailed(
            f"int8 changes {len(flips)} of {result.images} verdicts, {result.allowed} were agreed "
            f"(--max-flips {order.max_flips:g}): calibrate on images of the line as it is today, "
            "or build without --int8; no bundle was written"
        )
    return result


def _accuracy(
    named: str, spec: ModelSpec, answers: Answers, watch: Watch
) -> dict[str, AccuracyRecord]:
    if not len(answers) or not set(answers.labels) <= set(spec.labels):
        watch.note("warning: accuracy is not recorded: the images are not labelled as the model is")
        return {}
    before = gates.decisions(answers.logits[FLOAT], spec)
    records = {}
    for precision, logits in answers.logits.items():
        after = gates.decisions(logits, spec)
        flips = gates.find_flips(answers.paths, answers.labels, before, after)
        records[precision] = gates.accuracy(named, answers.labels, after, len(flips), spec)
    return records


def _golden(
    folder: Path,
    spec: ModelSpec,
    images: Dataset,
    answers: Answers,
    engines: Mapping[str, InferenceEngine],
) -> tuple[GoldenFrame, ...]:
    """Write frames that every variant answers alike, with the answers that a replay must repeat."""
    known = {p: _probabilities(logits, spec) for p, logits in answers.logits.items()}
    chosen = package.choose_golden(answers.labels, spec.labels, known)
    picked = images.pick([answers.paths[index] for index in chosen])
    frames = [item for item in read_images(picked, spec.input) if isinstance(item, Image)]
    expected = {
        precision: [_probabilities(engine.infer(f.pixels[None]), spec)[0] for f in frames]
        for precision, engine in engines.items()
    }
    return package.write_golden(
        folder, [f.pixels for f in frames], [f.label for f in frames], expected
    )


def _time(
    order: Order,
    spec: ModelSpec,
    calibration: _Calibration,
    paths: Mapping[str, Path],
    watch: Watch,
) -> dict[str, tuple[LatencyRecord, ...]]:
    frames = np.stack(calibration.pixels[: max(latency.BATCHES)])
    timed: dict[str, tuple[LatencyRecord, ...]] = dict.fromkeys(paths, ())
    images = latency.images_per_variant(latency.BATCHES, order.latency_samples)
    with watch.stage("measuring latency", images * len(order.threads)) as advanced:
        for threads in order.threads:
            with _engines(paths, spec, threads) as engines:
                rows = latency.measure(
                    engines,
                    frames,
                    threads=threads,
                    samples=order.latency_samples,
                    advanced=advanced,
                )
            timed = {precision: timed[precision] + rows[precision] for precision in paths}
    return timed


def _probabilities(logits: npt.NDArray[np.float32], spec: ModelSpec) -> npt.NDArray[np.float32]:
    return policy.probabilities(logits, spec.decision.temperature)


@contextmanager
def _engines(
    paths: Mapping[str, Path], spec: ModelSpec, threads: int
) -> Iterator[dict[str, InferenceEngine]]:
    with ExitStack() as stack:
        yield {
            key: stack.enter_context(closing(open_engine(_ENGINE, path, spec, threads)))
            for key, path in paths.items()
        }


def _note_faults(folder: Path, faults: tuple[Fault, ...] | list[Fault], watch: Watch) -> None:
    if not faults:
        return
    named = "; ".join(f"{fault.path}: {fault.reason}" for fault in faults[:_NAMED_FAULTS])
    rest = len(faults) - _NAMED_FAULTS
    more = f"; and {rest} more" if rest > 0 else ""
    watch.note(f"warning: {len(faults)} files of {folder} cannot be used: {named}{more}")
