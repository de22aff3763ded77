"""Whether the figures estimated without labels hold: `python -m benchmarks.estimate_coverage`.

Parts of the simulated Gen-3 line, rendered over 37 days, changed as `drift_changes` has it, measured and
answered by the shipped bundle. Each of the repeats draws validation images anew (by whole modules, with
replacement, as a build would see them) and a window of 4,096 parts of each scene, estimates the
window's figures from the answers alone, and compares them with those that its true labels give. The
same again with a model that was made worse: normal noise on every logit, the same in every scene.

- `covered`: share of windows whose true figure lies within the interval (nominal 0.90: each bound
  holds by itself with 0.95), with its own 95 % interval;
- `carried_forward`, the control: the validation images' figure and its Clopper-Pearson interval
  (images of one module count as alike), as if nothing had changed;
- `unreliable`: share of windows that the estimate itself calls so, by the frames' measures.

In `hard modules x5` no pixel is changed: modules on which the shipped model is unsure of a part are
drawn five times as often, which is covariate shift to the letter and moves the figures most. Two scenes
are no covariate shift: twice as many defective modules, and a defect that is new.
"""

import argparse
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from benchmarks.drift_changes import CHANGES, HARSH, Change, hair
from benchmarks.drift_line import MODULE_S, START, Floats, simulated_line
from benchmarks.setting import setting, write_result
from edge_runtime import policy
from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.frame import Frame, Pixels
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import Figure
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.estimate import Estimator, doubt
from edge_runtime.drift.statistics import MEASURES, measure
from edge_runtime.drift.window import BLOCK, BLOCKS
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.quality.admission import Admitted, admit
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from optimize.bounds import Trials
from optimize.builder.answer_reference import answer_reference
from optimize.gates import macro_f1

DAYS = 37.0
UNSURE = 0.9
"""Probability below which an answer is hard to give."""
HARD = "hard modules x5"
NEW = "new"
"""What a fibre is labelled as, which the model has no word for."""
NEW_SHARE = 0.04
"""Of the good parts."""
FIGURES = ("macro_f1", "defect_recall", "false_positive_rate")
MILD = (
    *("colour -600 K", "colour +1200 K", "highlights x2", "blur sigma 1.2 px"),
    *("noise +3 grey levels", "exposure x0.8", "exposure x1.25"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The same parts under one condition, module by module."""

    logits: npt.NDArray[np.float32]
    truth: npt.NDArray[np.str_]
    rows: Floats
    """(parts, measures)."""
    weights: Floats
    """(modules,): how often each is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model says of a scene's parts."""

    outcome: npt.NDArray[np.object_]
    label: npt.NDArray[np.str_]
    certain: Floats


def record(seed: int, modules: int, processes: int) -> dict[str, Scene]:
    """Every scene of so many modules, evenly over the days."""
    firsts = np.linspace(0, DAYS * 86_400 / MODULE_S, modules, endpoint=False).astype(int)
    shares = [(seed, number, firsts[number::processes]) for number in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        made = workers.starmap(record_share, shares)
    return {
        name: Scene(
            logits=np.concatenate([each[name].logits for each in made]),
            truth=np.concatenate([each[name].truth for each in made]),
            rows=np.concatenate([each[name].rows for each in made]),
            weights=np.concatenate([each[name].weights for each in made]),
        )
        for name in made[0]
    }


def record_share(seed: int, number: int, firsts: npt.NDArray[np.int64]) -> dict[str, Scene]:
    """Render once, change, measure and answer; damaged files are left out, nobody inspects them."""
    cv2.setNumThreads(1)
    changes: dict[str, Change] = {**{name: CHANGES[name] for name in MILD}, **HARSH}
    names = ("as in the reference", *changes, "new defect")
    bundle = open_bundle("demo")
    spec, variant = bundle.manifest.model, bundle.variant(None)
    line, rng = simulated_line(seed, corrupt=0.0), np.random.default_rng([seed, number])
    truth: list[str] = []
    new: list[bool] = []
    logits: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in names}
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in names}
    with closing(open_engine("onnxruntime", bundle.model_file(variant), spec, 1)) as engine:
        for first in firsts.tolist():
            indices = range(first * CROPS_PER_MODULE, (first + 1) * CROPS_PER_MODULE)
            parts = [line.part(index) for index in indices]
            pixels = [_admitted(part.part_id, part.encoded, spec) for part in parts]
            truth += [part.true_label for part in parts]
            here = [p.true_label == "no_defect" and rng.uniform() < NEW_SHARE for p in parts]
            new += here
            scenes = {names[0]: pixels, names[-1]: _with_hair(rng, pixels, here)}
            scenes |= {name: [change(rng, p) for p in pixels] for name, change in changes.items()}
            for name, seen in scenes.items():
                logits[name].append(_answered(engine, seen))
                rows[name] += [measure(p).row() for p in seen]
    made = {
        name: Scene(
            logits=np.concatenate(logits[name]),
            truth=np.array(truth),
            rows=np.array(rows[name]),
            weights=np.ones(len(firsts)),
        )
        for name in names
    }
    made[names[-1]] = replace(made[names[-1]], truth=np.where(new, NEW, np.array(truth)))
    plain = made[names[0]]
    unsure = policy.probabilities(plain.logits, spec.decision.temperature).max(axis=1) < UNSURE
    made[HARD] = replace(plain, weights=np.where(_any(unsure), 5.0, 1.0))
    bad = _any(plain.truth != "no_defect")
    # Twice as many defective modules, and so many fewer of the others.
    others = (1 - 2 * bad.mean()) / (1 - bad.mean())
    made["twice the defects"] = replace(plain, weights=np.where(bad, 2.0, others))
    return made


def _any(parts: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(modules,): whether it holds of any part."""
    return np.asarray(parts.reshape(-1, CROPS_PER_MODULE).any(axis=1))


def _admitted(part_id: str, image: bytes, spec: ModelSpec) -> Pixels:
    seen = admit(Frame(part_id=part_id, captured_at=START, arrived=0.0, image=image), spec.input)
    if not isinstance(seen, Admitted):
        raise TypeError(f"{part_id} is refused: {seen}")
    return seen.pixels


def _with_hair(
    rng: np.random.Generator, pixels: Sequence[Pixels], here: Sequence[bool]
) -> list[Pixels]:
    return [hair(rng, p) if changed else p for p, changed in zip(pixels, here, strict=True)]


def _answered(engine: InferenceEngine, pixels: Sequence[Pixels]) -> npt.NDArray[np.float32]:
    return engine.infer(np.stack(pixels)).logits


def worse(scenes: Mapping[str, Scene], noise: float) -> dict[str, Scene]:
    """The same with noise on the logits, drawn once for each part."""
    first = next(iter(scenes.values()))
    added = np.random.default_rng(3).normal(0, noise, first.logits.shape).astype(np.float32)
    return {name: replace(scene, logits=scene.logits + added) for name, scene in scenes.items()}


def answers(scene: Scene, spec: ModelSpec) -> Answers:
    """By the runtime's own policy."""
    rows = policy.probabilities(scene.logits, spec.decision.temperature)
    decided = policy.decide(rows, spec)
    return Answers(
        outcome=np.array([each.outcome for each in decided], object),
        label=np.array([each.label for each in decided]),
        certain=np.array([each.scores[str(each.label)] for each in decided]),
    )


def true_figures(said: Answers, truth: npt.NDArray[np.str_], spec: ModelSpec) -> dict[str, float]:
    """The three figures of these parts, as the gate of `optimize` reckons them."""
    good = np.isin(truth, spec.decision.ok_labels)
    noticed, defect = said.outcome != Outcome.OK, said.outcome == Outcome.DEFECT
    return {
        "macro_f1": macro_f1(truth.tolist(), said.label.tolist()),
        "defect_recall": float(noticed[~good].mean()),
        "false_positive_rate": float(defect[good].mean()),
    }


def carried_forward(
    said: Answers, truth: npt.NDArray[np.str_], groups: Sequence[str], spec: ModelSpec
) -> dict[str, tuple[float, float] | None]:
    """Intervals of the validation images; none for macro F1, which is no share."""
    good = np.isin(truth, spec.decision.ok_labels)
    names = np.array(groups)
    found = int((said.outcome[~good] != Outcome.OK).sum())
    false = int((said.outcome[good] == Outcome.DEFECT).sum())
    return {
        "macro_f1": None,
        "defect_recall": Trials.of(names[~good].tolist()).interval(found, 0.9),
        "false_positive_rate": Trials.of(names[good].tolist()).interval(false, 0.9),
    }


def of(said: Answers, places: npt.NDArray[np.int64]) -> Answers:
    """The answers to some of the parts."""
    return Answers(
        outcome=said.outcome[places], label=said.label[places], certain=said.certain[places]
    )


def drawn(rng: np.random.Generator, scene: Scene, modules: int) -> npt.NDArray[np.int64]:
    """Places of the parts of so many modules, with replacement."""
    weights = scene.weights / scene.weights.sum()
    taken = rng.choice(len(weights), modules, p=weights)
    return np.asarray((taken[:, None] * CROPS_PER_MODULE + np.arange(CROPS_PER_MODULE)).ravel())


def coverage(
    spec: ModelSpec, scenes: Mapping[str, Scene], images: int, repeats: int, seed: int
) -> dict[str, object]:
    """A row for each scene."""
    rng = np.random.default_rng(seed)
    reference = next(iter(scenes.values()))
    said = {name: answers(scene, spec) for name, scene in scenes.items()}
    at_first = next(iter(said.values()))
    tallies = {name: _Tally() for name in scenes}
    for _ in range(repeats):
        places = drawn(rng, reference, images // CROPS_PER_MODULE)
        groups = [str(n // CROPS_PER_MODULE) for n in range(len(places))]
        truths = reference.truth[places]
        made = answer_reference(reference.logits[places], truths.tolist(), groups, spec)
        before = true_figures(of(at_first, places), truths, spec)
        kept = carried_forward(of(at_first, places), truths, groups, spec)
        mean, deviation = reference.rows[places].mean(axis=0), reference.rows[places].std(axis=0)
        for name, scene in scenes.items():
            window = drawn(rng, scene, BLOCK * BLOCKS // CROPS_PER_MODULE)
            here = of(said[name], window)
            estimator = Estimator(made)
            for start in range(0, len(window), BLOCK):
                block = slice(start, start + BLOCK)
                estimator.take_block(
                    zip(here.outcome[block], here.label[block], here.certain[block], strict=True)
                )
            away = np.clip((scene.rows[window] - mean) / deviation, -5, 5).mean(axis=0)
            moved = int(np.abs(away).argmax())
            why = doubt(MEASURES[moved], float(away[moved]))
            estimated = estimator.estimate(estimator.answered(why))
            if estimated is None:
                raise AssertionError("a full window has an estimate")
            tallies[name].add(
                {figure: getattr(estimated, figure) for figure in FIGURES},
                true_figures(here, scene.truth[window], spec),
                before,
                kept,
                f"{MEASURES[moved]} {away[moved]:+.1f}",
                unreliable=estimated.unreliable is not None,
            )
    return {name: tally.row() for name, tally in tallies.items()}


class _Tally:
    """What became of one scene's windows."""

    def __init__(self) -> None:
        self._windows: list[dict[str, tuple[float, ...]]] = []
        self._unreliable: list[bool] = []
        self._moved: list[str] = []

    def add(
        self,
        estimated: Mapping[str, Figure],
        true: Mapping[str, float],
        before: Mapping[str, float],
        kept: Mapping[str, tuple[float, float] | None],
        moved: str,
        *,
        unreliable: bool,
    ) -> None:
        nothing = (float("nan"), float("nan"))
        self._windows.append(
            {
                name: (
                    true[name],
                    estimated[name].value,
                    estimated[name].low,
                    estimated[name].high,
                    before[name],
                    *(kept[name] or nothing),
                )
                for name in FIGURES
            }
        )
        self._unreliable.append(unreliable)
        self._moved.append(moved)

    def row(self) -> dict[str, object]:
        return {
            "unreliable": float(np.mean(self._unreliable)),
            "moved_most": max(set(self._moved), key=self._moved.count),
            **{name: self._figure(name) for name in FIGURES},
        }

    def _figure(self, name: str) -> dict[str, object]:
        true, value, low, high, before, least, most = np.array([w[name] for w in self._windows]).T
        row: dict[str, object] = {
            "true": float(true.mean()),
            "estimated": float(value.mean()),
            "low": float(low.mean()),
            "high": float(high.mean()),
            **_share((low <= true) & (true <= high)),
            "true_below_low": float((true < low).mean()),
            "true_above_high": float((true > high).mean()),
            "error": float(np.abs(value - true).mean()),
            "carried_forward_error": float(np.abs(before - true).mean()),
        }
        if not np.isnan(least).any():
            row["carried_forward_covered"] = float(((least <= true) & (true <= most)).mean())
            row["carried_forward_low"], row["carried_forward_high"] = (
                float(least.mean()),
                float(most.mean()),
            )
        return row


def _share(hits: npt.NDArray[np.bool_]) -> dict[str, object]:
    found, of_all = int(hits.sum()), len(hits)
    low = float(beta.ppf(0.025, found, of_all - found + 1)) if found else 0.0
    high = float(beta.ppf(0.975, found + 1, of_all - found)) if found < of_all else 1.0
    return {"covered": found / of_all, "covered_interval_95": [low, high]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", type=int, default=500, help="rendered, of four parts each")
    parser.add_argument("--images", type=int, default=1200, help="for validation")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--noise", type=float, default=1.0, help="on the logits of the worse model")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=910)
    arguments = parser.parse_args()
    about = setting("numpy", "scipy", "onnxruntime", "opencv-python-headless")
    spec = open_bundle("demo").manifest.model
    scenes = record(arguments.seed, arguments.modules, arguments.processes)
    models = {"shipped": scenes, "worse": worse(scenes, arguments.noise)}
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "parts_per_window": BLOCK * BLOCKS,
        "nominal": 0.9,
        "defective_parts": float((next(iter(scenes.values())).truth != "no_defect").mean()),
        "models": {
            name: coverage(spec, made, arguments.images, arguments.repeats, arguments.seed + 1)
            for name, made in models.items()
        },
    }
    for name, rows in result["models"].items():  # type: ignore[attr-defined]
        print(name)
        for scene, row in rows.items():
            told = " | ".join(
                f"{row[f]['true']:.3f} {row[f]['estimated']:.3f} [{row[f]['low']:.3f} "
                f"{row[f]['high']:.3f}] {row[f]['covered']:.2f}"
                for f in FIGURES
            )
            print(f"  {scene:<22} {row['unreliable']:.2f} {row['moved_most']:<16} {told}")
    print(f"written to {os.path.relpath(write_result('estimate-coverage', result))}")


if __name__ == "__main__":
    main()
