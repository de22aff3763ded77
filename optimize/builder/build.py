"""The order of a build's steps, and nothing of their substance.

Prints nothing: whoever asks for a build passes a `Watch` and hears through it. The gate's report is
written beside the bundle's place whether a bundle comes of it or not.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import onnx

from edge_runtime import __version__
from edge_runtime.contracts.manifest import BundleManifest
from edge_runtime.errors import EngineError
from optimize import package, report
from optimize.answers import Answers, answer
from optimize.builder import records
from optimize.builder.candidates import Source, doubts, make_best, observe
from optimize.builder.drift_reference import write_reference
from optimize.builder.engines import opened
from optimize.builder.images import Calibration, note_faults, open_validation, read_calibration
from optimize.builder.judging import Court, Judged
from optimize.builder.kinds import FLOAT
from optimize.builder.order import Built, Order
from optimize.data.dataset import Dataset
from optimize.errors import GateFailed, ModelError
from optimize.gate_report import page
from optimize.gate_report.record import Excluded, GateReport, VariantReport
from optimize.graph import FloatModel, read_model, simplify
from optimize.watch import Watch


def build(order: Order, watch: Watch) -> Built:
    """Carry out the order; raises an EdgeInspectError and leaves no bundle behind when it cannot."""
    package.refuse_existing(order.target)
    _refuse_unjudged(order)
    source_file = read_model(order.model)
    _check_runs(source_file, order)
    model = simplify(source_file)
    validation = open_validation(order, model.spec)
    calibration = read_calibration(order, model.spec, watch)
    source = observe(model, calibration, order.kinds, watch)
    candidates = [make_best(source, kind, order, watch) for kind in order.kinds]
    gate: GateReport | None = None
    if validation is None:
        named, images = f"calibration: {calibration.named}", calibration.dataset
        answers = _answer_calibration(source, order, watch)
    else:
        doubted = doubts(source, validation, watch)
        court = Court.summon(order, source, candidates, validation, watch)
        note_faults(validation.root, court.answers.faults, watch)
        judged = [court.repair(court.judge(made)) for made in candidates]
        candidates = [each.candidate for each in judged]
        named, images, answers = validation.named(), validation, _final(court, judged)
        gate = _report(order, model, calibration, named, court, judged, doubted)
        _publish(gate, order, images, watch)
    protos = {FLOAT: model.proto} | {made.precision: made.proto for made in candidates}
    nodes = {"source": source_file.nodes} | {key: len(p.graph.node) for key, p in protos.items()}
    with package.staging(order.target) as folder:
        for precision, proto in protos.items():
            onnx.save(proto, folder / records.file_name(precision))
        runs = protos | {made.precision: made.rehearsed for made in candidates}
        golden = records.golden(folder, order, model.spec, images, answers, runs)
        timed = records.time(order, source, candidates, watch)
        default, reason = records.choose_default(timed)
        mix = order.line_mix
        drift = (
            write_reference(folder, validation, answers, default, model.spec, watch, line_mix=mix)
            if validation is not None
            else None
        )
        facts = {"source_sha256": model.sha256, "optimize": __version__}
        if candidates:
            facts["calibration"] = calibration.named
        spec = model.spec.model_copy(update={"provenance": {**model.spec.provenance, **facts}})
        accuracy = records.accuracy(named, model.spec, answers, watch)
        manifest = BundleManifest(
            name=order.target.parent.name,
            version=order.target.name,
            created_at=datetime.now(UTC),
            model=spec,
            variants=records.variants(candidates, accuracy, timed),
            default_variant=default,
            golden=golden,
            files=package.hash_files(folder),
        )
        (folder / package.CARD).write_text(report.model_card(manifest, reason), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": package.hash_files(folder)})
        package.seal(folder, manifest)
    return Built(
        path=order.target, manifest=manifest, nodes=nodes, report=gate, reason=reason, drift=drift
    )


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


def _answer_calibration(source: Source, order: Order, watch: Watch) -> Answers:
    spec, images = source.model.spec, source.calibration.images
    watch.note("warning: no --validation: nothing was judged, and the figures flatter")
    with (
        opened({FLOAT: source.model.proto}, spec, order.threads[0], order.engines[0]) as engines,
        watch.stage("comparing verdicts", len(images)) as advanced,
    ):
        return answer(images, engines, len(spec.labels), advanced)


def _final(court: Court, judged: Sequence[Judged]) -> Answers:
    """The answers of what was judged last, repaired candidates included."""
    logits = {FLOAT: court.answers.logits[FLOAT]}
    logits |= {each.candidate.precision: each.logits for each in judged}
    return court.answers.of(logits)


def _report(
    order: Order,
    model: FloatModel,
    calibration: Calibration,
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
        source_sha256=model.sha256,
        model=model.spec,
        validation=named,
        calibration=calibration.named,
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
        for flip in variant.judgement.flips:
            watch.note(
                f"flip: {variant.precision}: {flip.path} ({flip.label or 'unlabelled'}): "
                f"{flip.before.words()} -> {flip.after.words()}"
            )
    for warning in gate.warnings:
        watch.note(f"warning: {warning}")
    failed = [variant for variant in gate.variants if not variant.passed]
    if failed:
        why = "; ".join(f"{variant.precision}: {', '.join(variant.faults)}" for variant in failed)
        raise GateFailed(f"{why}; no bundle was written; see {written}")
