"""The whole loop on the simulated line: `make drift-demo`, or `python -m benchmarks.drift_demo`.

A model is taught, built and put on a line where a lamp ages, a lens gets dirty, a new alloy is glossier
and one batch is simply bad. What the station then does, it does by itself: the drift monitor warns, the
retraining rules ask, an evidence pack is written. The simulator labels the parts of the two days after,
`train index`, `train refresh` and `optimize build` do what a person would type, and if a candidate
comes of it the line goes on with it, the old model in its shadow. Nothing of the outcome is fixed
beforehand but the week's events and the seeds; where no request or no candidate comes, that is the
story that is told.

Steps that are done are not done again: interrupt it, and start it again. Writes
docs/results/drift-demo.json and docs/pictures/drift-demo.svg.
"""

import argparse
import csv
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import drift_picture
from benchmarks.drift_week import DAYS, EVENTS, STATION, Event, FastStation, Seen, Week, figures
from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step
from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.errors import UsageError
from edge_runtime.retraining.pack import EVIDENCE
from edge_runtime.written_aside import folder_written_aside

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
_BATCH = 8
_FIRST, _SECOND = (Path("bundles/weld-seam") / version for version in ("1.0.0", "1.1.0"))
LABELLING_DAYS = 2.0
"""From a request on every part is kept and labelled for so long."""
BUILDING_DAYS = 0.4
"""Then it takes so long until the new bundle runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How large the demo is."""

    size: int = 128
    images: int = 3600
    """To teach, validate and test with at the start."""
    model: str = "tf_efficientnet_lite0"
    weights: str = "imagenet"
    epochs: int = 4
    refresh: str = "--epochs 4 --epoch-images 2400 --lr 1e-3"
    held_out: int = 1200
    """That the first bundle is judged on, and its drift reference is taken from."""
    parts_per_day: int = 1400
    defects: float = 0.25
    window: int = 350
    """Parts of one point in the picture."""
    recipe: str = "--freeze-epochs 1"
    agreement: str = (
        "--test-share 0 --recall-margin 0.05 --false-positive-margin 0.05 --macro-f1-margin 0.05"
    )
    gate: str = "--min-recall 0.8 --max-false-positives 0.08"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/drift-demo"), metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    about = setting("torch", "timm", "onnxruntime", "numpy")
    story = tell(Scale(), arguments.work, arguments.seed)
    result = write_result("drift-demo", {**about, **story})
    picture = PICTURES / "drift-demo.svg"
    drift_picture.draw(story, week_of(Scale(), arguments.seed), picture)
    print("\n".join(sentences(story)))
    print(f"written to {os.path.relpath(result)} and {os.path.relpath(picture)}")


def week_of(scale: Scale, seed: int, events: Sequence[Event] = EVENTS) -> Week:
    """The week that a demo of this scale and seed sees."""
    return Week(
        seed=seed + 500,
        size=scale.size,
        parts_per_day=scale.parts_per_day,
        defects=scale.defects,
        events=tuple(events),
    )


def tell(scale: Scale, work: Path, seed: int, events: Sequence[Event] = EVENTS) -> dict[str, Any]:
    """Do it all in the folder `work`; returns what happened."""
    commands = carry_out(_beginning(scale, seed), work)
    week = week_of(scale, seed, events)
    shutil.rmtree(work / "state", ignore_errors=True)
    old = watch(week, work / _FIRST, work / "state", range(week.parts))
    story: dict[str, Any] = {
        "scale": asdict(scale),
        "seed": seed,
        "events": [asdict(event) for event in events],
        "asked": bool(old.requests),
        "accepted": False,
    }
    new, change = None, week.parts
    if old.requests:
        request, asked = next(iter(old.requests.items()))
        ready = asked + LABELLING_DAYS
        pack = Path("state") / EVIDENCE / str(request.evidence)
        _label(week, range(week.index(asked), week.index(ready)), work / "labelled")
        commands += carry_out(_refreshing(scale, pack), work)
        story |= _refreshed(work, pack, request, asked, ready)
        if story["accepted"]:
            commands += carry_out(
                [_build("refresh/candidate.onnx", "labelled", "1.1.0", scale)], work
            )
            change = week.index(ready + BUILDING_DAYS)
            story["deployed_day"] = week.day(change)
            new = watch(week, work / _SECOND, work / "state", range(change, week.parts))
    return story | _figures(week, scale, old, new, change) | {"commands": commands}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What one bundle answered and said of a stretch of the line."""

    seen: tuple[Seen, ...]
    levels: tuple[dict[str, Any], ...]
    """Changes of the drift level: day, level, and the report's words."""
    requests: dict[RetrainRequest, float]
    """With the day of each."""


def watch(week: Week, bundle: Path, state_dir: Path, parts: range) -> Watched:
    """Let a stretch of the line pass a station with that bundle."""
    seen: list[Seen] = []
    levels: list[dict[str, Any]] = []
    requests: dict[RetrainRequest, float] = {}
    with FastStation(bundle, week, state_dir) as station:
        for start in range(parts.start, parts.stop, _BATCH):
            indices = range(start, min(start + _BATCH, parts.stop))
            seen += station.inspect([week.part(index) for index in indices])
            day = week.day(indices.stop)
            for request in station.look(week.at(day)):
                requests.setdefault(request, day)
            report = station.drift.snapshot()
            if not levels or levels[-1]["level"] != report.level.value:
                levels.append({"day": day, "level": report.level.value, "summary": report.summary})
    return Watched(seen=tuple(seen), levels=tuple(levels), requests=requests)


def sentences(story: dict[str, Any]) -> list[str]:
    """The story in words, each from a figure of the run."""
    said = [
        f"drift {entry['level']} from day {entry['day']:.2f}: {entry['summary']}"
        for entry in story["levels"]
    ]
    if not story["asked"]:
        return [*said, "no retraining was asked for"]
    said.append(f"asked on day {story['asked_day']:.2f}: {story['request']['words']}")
    said.append(f"{story['labels']} labels; candidate: {'yes' if story['accepted'] else 'no'}")
    for name in ("as taught", "before the refresh", "after it", "after it, old model"):
        if name in story["periods"]:
            row = story["periods"][name]
            said.append(
                f"{name}: defect recall {row['defect_recall']:.3f}, false positives "
                f"{row['false_positives']:.3f}, macro F1 {row['macro_f1']:.3f} ({row['parts']} parts)"
            )
    return said


def _beginning(scale: Scale, seed: int) -> list[Step]:
    """From nothing to the bundle that the week begins with."""
    size = f"--img-size {scale.size}"
    return [
        step(
            f"simulate --generation gen3 --count {scale.images} --defect-share 0.4 {size} --clean "
            f"--seed {seed} --out base",
            "base",
        ),
        step("split --data-dir base --out split --test-split 0.15 --val-split 0.25", "split"),
        step(
            f"fit --split split --output run {size} --model {scale.model} --initial-weights "
            f"{scale.weights} --epochs {scale.epochs} --seed {seed} {scale.recipe}",
            "run/best.pth",
        ),
        step("calibrate run --accept-unmet", "run/calibration.json"),
        step("export run --out current.onnx", "current.onnx"),
        step(
            f"simulate --generation gen3 --count {scale.held_out} --defect-share {scale.defects} {size} "
            f"--clean --seed {seed + 100} --out held-out",
            "held-out",
        ),
        _build("current.onnx", "held-out", "1.0.0", scale),
    ]


def _refreshing(scale: Scale, pack: Path) -> list[Step]:
    return [
        step("index labelled --out labelled/manifest.parquet", "labelled/manifest.parquet"),
        step(
            f"refresh run --model current.onnx --evidence {pack} --labels labelled --manifest "
            f"manifest.parquet --out refresh {scale.refresh} {scale.agreement}",
            "refresh/refresh.json",
            allowed=(28,),
        ),
    ]


def _build(model: str, validation: str, version: str, scale: Scale) -> Step:
    """The line's own mix of classes: every part of a stretch of the line was labelled."""
    return step(
        f"build {model} --calibration {validation} --validation {validation} --validation-mix line "
        f"--name weld-seam --version {version} --out bundles --latency-samples 8 {scale.gate}",
        f"bundles/weld-seam/{version}/manifest.json",
        program="optimize",
    )


def _refreshed(
    work: Path, pack: Path, request: RetrainRequest, asked: float, ready: float
) -> dict[str, Any]:
    """What was asked, and what came of it."""
    refresh = read_json(work / "refresh/refresh.json")
    told = ("domain", "figure", "question", "before", "after", "gain", "bound", "limit", "met")
    return {
        "request": request.model_dump(mode="json"),
        "evidence": sorted(file.name for file in (work / pack).iterdir()),
        "asked_day": asked,
        "labelled_until_day": ready,
        "labels": refresh["enlargement"]["added"],
        "accepted": refresh["accepted"],
        "findings": [{key: found[key] for key in told} for found in refresh["findings"]],
    }


def _label(week: Week, indices: range, folder: Path) -> None:
    """What the people of the line would label: every part of a stretch, in class folders."""
    if folder.exists():
        return
    with folder_written_aside(folder, error=_cannot_write, synced=False) as aside:
        _write_labelled(week, indices, aside)


def _cannot_write(place: Path, why: str) -> UsageError:
    return UsageError(f"cannot write {place}: {why}")


def _write_labelled(week: Week, indices: range, folder: Path) -> None:
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "line", "station", "captured_at"))
        for index in indices:
            part = week.part(index)
            path = f"{part.true_label}/{part.part_id}{part.extension}"
            (folder / part.true_label).mkdir(exist_ok=True)
            (folder / path).write_bytes(part.encoded)
            at = week.at(week.day(index)).isoformat()
            writer.writerow((path, part.true_label, part.serial, STATION.line, STATION.station, at))


def _figures(
    week: Week, scale: Scale, old: Watched, new: Watched | None, change: int
) -> dict[str, Any]:
    """True figures by window and by period, and the drift levels of the bundle that ran."""
    first = min((event.begins for event in week.events), default=DAYS)
    periods = {"as taught": figures([s for s in old.seen if week.day(s.index) < first])}
    levels = [level for level in old.levels if week.index(level["day"]) <= change]
    if new is not None:
        began = change - week.index(LABELLING_DAYS + BUILDING_DAYS)
        periods |= {
            "before the refresh": figures([s for s in old.seen if began <= s.index < change]),
            "after it": figures(new.seen),
            "after it, old model": figures([s for s in old.seen if s.index >= change]),
        }
        levels += [{**level, "bundle": "1.1.0"} for level in new.levels]
    return {
        "levels": levels,
        "levels_of_old": list(old.levels),
        "requests": [
            {"day": day, "rule": request.rule, "words": request.words}
            for request, day in old.requests.items()
        ],
        "windows": {
            "old": _windows(week, scale, old.seen),
            "new": _windows(week, scale, new.seen) if new else [],
        },
        "periods": periods,
    }


def _windows(week: Week, scale: Scale, seen: Sequence[Seen]) -> list[dict[str, Any]]:
    return [
        {
            "from_day": week.day(some[0].index),
            "to_day": week.day(some[-1].index + 1),
            **figures(some),
        }
        for start in range(0, len(seen) - scale.window // 2, scale.window)
        if (some := seen[start : start + scale.window])
    ]


if __name__ == "__main__":
    main()
