"""The order of a build's steps, and nothing of their substance.

Prints nothing: whoever asks for a build passes a `Watch` and hears through it. The gate's report is
written beside the bundle's place whether a bundle comes of it or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx

from edge_runtime import __version__
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.manifest import BundleManifest, ModelSpec
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.errors import EngineError
from optimize import package, report
from optimize.answers import Answers, answer
from optimize.builder import records
from optimize.builder.candidates import Candidate, Source, doubts, make_best, observe
from optimize.builder.drift_reference import write_reference
from optimize.builder.embedding_reference import write_classifier, write_embedding
from optimize.builder.engines import opened
from optimize.builder.images import note_faults, open_validation, read_calibration
from optimize.builder.judging import Court, Judged
from optimize.builder.kinds import FLOAT
from optimize.builder.order import Built, Order
from optimize.builder.quality_reference import write_limits
from optimize.data.dataset import Dataset
from optimize.errors import GateFailed, ModelError
from optimize.gate_report import page
from optimize.gate_report.record import Excluded, GateReport, VariantReport
from optimize.graph import FloatModel, read_model, simplify
from optimize.watch import Watch

_NAMED_FLIPS = 20
"""Of each variant, as they come; all of them stand in the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evidence:
    """What will be built, and what the images say of it."""

    candidates: Sequence[Candidate]
    named: str
    """Name and content hash of the images."""
    images: Dataset
    answers: Answers
    """Of float32 and of each candidate as it will be."""
    gate: GateReport | None
    """None where nothing was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A bundle on the disk."""

    manifest: BundleManifest
    reason: str
    """Why the default variant is the default."""
    drift: DriftReference | None
    """What the station will watch against; None where nothing was judged, or on too few images."""
    quality: QualityReference | None
    """What the station will hold frames to; likewise."""


def build(order: Order, watch: Watch) -> Built:
    """Carry out the order; raises an EdgeInspectError and leaves no bundle behind when it cannot."""
    package.refuse_existing(order.target)
    _refuse_unjudged(order)
    given = read_model(order.model)
    _check_runs(given, order)
    model = simplify(given)
    validation = open_validation(order, model)
    calibration = read_calibration(order, model, watch)
    source = observe(model, calibration, order.kinds, watch)
    candidates = [make_best(source, kind, order, watch) for kind in order.kinds]
    evidence = (
        _glance(source, order, watch)
        if validation is None
        else _judge(source, candidates, validation, order, watch)
    )
    written = _write(source, evidence, order, watch)
    made = {made.precision: len(made.proto.graph.node) for made in evidence.candidates}
    return Built(
        path=order.target,
        manifest=written.manifest,
        nodes={"source": given.nodes, FLOAT: model.nodes} | made,
        report=evidence.gate,
        reason=written.reason,
        drift=written.drift,
        quality=written.quality,
    )


def _judge(
    source: Source,
    candidates: Sequence[Candidate],
    images: Dataset,
    order: Order,
    watch: Watch,
) -> _Evidence:
    """Judge, repair, and publish what was found; raises GateFailed where a variant fails."""
    doubted = doubts(source, images, watch)
    court = Court.summon(order, source, candidates, images, watch)
    note_faults(images.root, court.answers.faults, watch)
    judged = [court.repair(court.judge(made)) for made in candidates]
    gate = _report(order, source, images.named(), court, judged, doubted)
    _publish(gate, order, images, watch)
    return _Evidence(
        candidates=[each.candidate for each in judged],
        named=gate.validation,
        images=images,
        answers=_final(court, judged),
        gate=gate,
    )


def _glance(source: Source, order: Order, watch: Watch) -> _Evidence:
    """Without validation images: what float32 says of the calibration images, which judges nothing."""
    spec, calibration = source.model.spec, source.calibration
    watch.note("warning: no --validation: nothing was judged, and the figures flatter")
    with (
        opened({FLOAT: source.model.proto}, spec, order.threads[0], order.engines[0]) as engines,
        watch.stage("comparing verdicts", len(calibration.images)) as advanced,
    ):
        answers = answer(calibration.images, engines, len(spec.labels), advanced)
    return _Evidence(
        candidates=(),
        named=f"calibration: {calibration.named}",
        images=calibration.dataset,
        answers=answers,
        gate=None,
    )


def _write(source: Source, evidence: _Evidence, order: Order, watch: Watch) -> _Written:
    """Measure, and write the bundle."""
    model, candidates = source.model, evidence.candidates
    files = {FLOAT: source.file} | {made.precision: made.proto for made in candidates}
    runs = files | {made.precision: made.rehearsed for made in candidates}
    with package.staging(order.target) as folder:
        for precision, proto in files.items():
            onnx.save(proto, folder / records.file_name(precision))
        golden = records.golden(folder, order, model.spec, evidence.images, evidence.answers, runs)
        timed = records.time(order, source, candidates, watch)
        default, reason = records.choose_default(timed)
        accuracy = records.accuracy(evidence.named, model.spec, evidence.answers, watch)
        quality = (
            None
            if evidence.gate is None
            else write_limits(
                folder,
                evidence.images,
                evidence.named,
                model.spec.input,
                watch,
                cost=order.quality_cost,
            )
        )
        drift = (
            None
            if evidence.gate is None
            else write_reference(
                folder,
                evidence.images,
                evidence.named,
                evidence.answers,
                default,
                model.spec,
                watch,
                quality=quality,
                line_mix=order.line_mix,
            )
        )
        if source.tells:
            write_classifier(folder, model.proto, watch)
            if drift is not None:
                with opened(
                    {default: files[default]}, model.spec, order.threads[0], order.engines[0]
                ) as engines:
                    write_embedding(
                        folder,
                        evidence.images,
                        evidence.named,
                        engines[default],
                        default,
                        model.spec,
                        watch,
                        line_mix=order.line_mix,
                    )
        manifest = BundleManifest(
            name=order.target.parent.name,
            version=order.target.name,
            created_at=datetime.now(UTC),
            model=_with_origin(source, candidates),
            variants=records.variants(candidates, accuracy, timed),
            default_variant=default,
            golden=golden,
            files=package.hash_files(folder),
        )
        (folder / package.CARD).write_text(report.model_card(manifest, reason), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": package.hash_files(folder)})
        package.seal(folder, manifest)
    return _Written(manifest=manifest, reason=reason, drift=drift, quality=quality)


def _with_origin(source: Source, candidates: Sequence[Candidate]) -> ModelSpec:
    spec = source.model.spec
    facts = {"source_sha256": source.model.sha256, "optimize": __version__}
    if candidates:
        facts["calibration"] = source.calibration.named
    return spec.model_copy(update={"provenance": {**spec.provenance, **facts}})


def _refuse_unjudged(order: Order) -> None:
    if order.kinds and order.validation is None:
        names = ", ".join(kind.precision for kind in order.kinds)
        raise GateFailed(
            f"nothing to judge {names} on: give labelled images that it was not fitted to with "
            "--validation, or build float32 alone"
        )


def _check_runs(model: FloatModel, order: Order) -> None:
    size = model.spec.input
    try:
        with opened({"": model.proto}, model.spec, 1, order.engines[0]) as engines:
            engines[""].infer(np.zeros((2, size.height, size.width, 3), np.uint8))
    except EngineError as exc:
        raise ModelError(f"the model cannot be run: {exc}") from exc


def _final(court: Court, judged: Sequence[Judged]) -> Answers:
    """The answers of what was judged last, repaired candidates included."""
    logits = {FLOAT: court.answers.logits[FLOAT]}
    logits |= {each.candidate.precision: each.logits for each in judged}
    return court.answers.of(logits)


def _report(
    order: Order,
    source: Source,
    named: str,
    court: Court,
    judged: Sequence[Judged],
    doubted: Sequence[str],
) -> GateReport:
    reference = court.reference()
    absent = [row.label for row in reference.classes if not row.images]
    return GateReport(
        name=order.target.parent.name,
        version=order.target.name,
        made_at=datetime.now(UTC),
        source_sha256=source.model.sha256,
        model=source.model.spec,
        validation=named,
        calibration=source.calibration.named,
        limits=order.limits,
        variants=(
            VariantReport(
                precision=FLOAT,
                target="cpu",
                passed=reference.passed,
                faults=reference.faults,
                calibration=None,
                judgement=reference,
                sensitivity=(),
                attempts=(),
                float_layers=(),
            ),
            *(each.report() for each in judged),
        ),
        excluded=tuple(
            Excluded(path=fault.path, reason=fault.reason) for fault in court.answers.faults
        ),
        warnings=(
            *doubted,
            *(f"no validation image of {label}: nothing is known of it" for label in absent),
        ),
    )


def _publish(gate: GateReport, order: Order, images: Dataset, watch: Watch) -> None:
    """Write the report, say what must not be overlooked, and raise GateFailed where a variant fails."""
    written = page.write(gate, images, order.target)
    for variant in gate.variants:
        flips = variant.judgement.flips
        for flip in flips[:_NAMED_FLIPS]:
            watch.note(
                f"flip: {variant.precision}: {flip.path} ({flip.label or 'unlabelled'}): "
                f"{flip.before.words()} -> {flip.after.words()}"
            )
        if len(flips) > _NAMED_FLIPS:
            watch.note(
                f"and {len(flips) - _NAMED_FLIPS} more flips of {variant.precision}: {written}"
            )
    for warning in gate.warnings:
        watch.note(f"warning: {warning}")
    failed = [variant for variant in gate.variants if not variant.passed]
    if failed:
        why = "; ".join(f"{variant.precision}: {', '.join(variant.faults)}" for variant in failed)
        raise GateFailed(f"{why}; no bundle was written; see {written}")
