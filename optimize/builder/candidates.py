"""Files that may become variants: made of the float model, by the best way to take ranges.

Owns the choice among calibration methods, by verdicts on the calibration images. Whether a candidate is
good enough is judged on other images (`optimize.builder.judging`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from optimize import features, gates
from optimize.answers import Answers, answer
from optimize.builder.engines import opened
from optimize.builder.images import Calibration
from optimize.builder.kinds import FLOAT, Kind
from optimize.builder.order import Order
from optimize.calibration import observation
from optimize.calibration.domain import ENOUGH, off_domain
from optimize.calibration.observation import Observation
from optimize.calibration.ranges import Method
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.errors import ModelError
from optimize.graph import FloatModel
from optimize.watch import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What candidates are made of."""

    model: FloatModel
    """Simplified."""
    file: onnx.ModelProto
    """The model as a bundle has it: the same, with what it knows beside its logits as outputs."""
    tells: bool
    """Whether it knows anything beside: `optimize.features`."""
    calibration: Calibration
    observations: Mapping[str, Observation]
    """What the activations of all kinds hold on the calibration images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A file that may become a variant."""

    kind: Kind
    proto: onnx.ModelProto
    rehearsed: onnx.ModelProto
    """What a CPU runs in its place."""
    method: Method | None
    """How its ranges were taken; None where it has none."""
    float_layers: tuple[str, ...] = ()
    """Left float on purpose, the costliest first."""

    @property
    def precision(self) -> str:
        """What it is called by."""
        return self.kind.precision


def observe(
    model: FloatModel, calibration: Calibration, kinds: Sequence[Kind], watch: Watch
) -> Source:
    """Run the float model on the calibration images once, for all kinds."""
    names = dict.fromkeys(name for kind in kinds for name in kind.activations(model.proto))
    observations: Mapping[str, Observation] = {}
    if names:
        with watch.stage("calibrating", 2 * len(calibration.images)) as advanced:
            observations = observation.observe(
                model.proto, tuple(names), calibration.pixels, advanced
            )
    try:
        file, tells = features.expose(model.proto, feature_map=True), True
    except ModelError as exc:
        watch.note(f"warning: no drift of features will be seen, and no heat map drawn: {exc}")
        file, tells = model.proto, False
    return Source(
        model=model,
        file=file,
        tells=tells,
        calibration=calibration,
        observations=observations,
    )


def doubts(source: Source, images: Dataset, watch: Watch) -> tuple[str, ...]:
    """Whether the images to judge on are of another kind than those that ranges are taken from."""
    if not source.observations:
        return ()
    count = len(images.samples)
    some = images.at(sorted(set(np.linspace(0, count - 1, min(ENOUGH, count), dtype=int).tolist())))
    found = read_images(some, source.model.spec.input)
    pixels = [item.pixels for item in found if isinstance(item, Image)]
    with watch.stage("comparing domains", len(pixels)) as advanced:
        calibrated_on = len(source.calibration.images)
        return off_domain(source.model.proto, source.observations, calibrated_on, pixels, advanced)


def make(
    source: Source,
    kind: Kind,
    method: Method | None,
    float_layers: Sequence[str] = (),
) -> Candidate:
    """The file of that kind, with those layers left float; raises ModelError where its target would
    refuse it."""
    proto = kind.make(source.model.proto, source.observations, method, frozenset(float_layers))
    if source.tells:  # found anew, since quantising moves the places
        proto = features.expose(proto, feature_map=kind.target == "cpu")
    faults = kind.faults(proto)
    if faults:
        raise ModelError(f"{kind.precision} cannot be made of this model: {'; '.join(faults[:3])}")
    return Candidate(
        kind=kind,
        proto=proto,
        rehearsed=kind.rehearse(proto),
        method=method,
        float_layers=tuple(float_layers),
    )


def make_best(source: Source, kind: Kind, order: Order, watch: Watch) -> Candidate:
    """The file by the method that was ordered, or by the one that changes fewest verdicts."""
    if not kind.calibrated:
        return make(source, kind, None)
    if order.method is not None:
        return make(source, kind, order.method)
    candidates = {method: make(source, kind, method) for method in Method}
    spec, images = source.model.spec, source.calibration.images
    models = {FLOAT: source.model.proto} | {m: made.rehearsed for m, made in candidates.items()}
    with (
        opened(models, spec, order.threads[0], order.engines[0]) as engines,
        watch.stage(f"choosing {kind.precision}'s calibration", len(images)) as advanced,
    ):
        answers = answer(images, engines, len(spec.labels), advanced)
    best = max(candidates, key=lambda method: _merit(answers, method, source.model))
    figures = ", ".join(f"{m} {_sqnr(answers, m):.1f} dB" for m in candidates)
    watch.note(f"{kind.precision}: calibration by {best} (logit signal to noise: {figures})")
    return candidates[best]


def _merit(answers: Answers, method: Method, model: FloatModel) -> tuple[int, float]:
    before = gates.decisions(answers.logits[FLOAT], model.spec)
    after = gates.decisions(answers.logits[method], model.spec)
    return -gates.count_flips(before, after, model.spec), _sqnr(answers, method)


def _sqnr(answers: Answers, precision: str) -> float:
    return gates.sqnr_db(answers.logits[FLOAT], answers.logits[precision])
