"""Which start is worth how many labels: the trials in their order, and what they come to.

Owns the folder of a comparison and the steps. Every trial shows equally many images, whatever its share
of the labels, and none chooses its epoch by what it is judged on. Within one seed all arms learn from
the same labels and are judged on the same images.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec
from train.data.folds import lonely
from train.data.shares import nested_portions
from train.data.split import Split
from train.data.stream import ImageStore, open_images
from train.decision.crossfit import require_choice
from train.evidence import plan as plans
from train.evidence.arms import THROUGH_SOURCE, Arm, Start, find_start
from train.evidence.comparison import Comparison
from train.evidence.exam import Exam, cross_validation, hold_out
from train.evidence.judgement import Ground, Judging, compare_answers
from train.evidence.plan import Plan
from train.evidence.trials import Answered, Trial, read_trial, run_trial
from train.fitting import backbones
from train.fitting.machine import Machine
from train.fitting.prediction import classes_of
from train.fitting.record import resolve_ok_labels
from train.fitting.run import Means, new_network, read_data, run, sides
from train.run_folder import RunFolder
from train.written_aside import write_csv


def compare(
    plan: Plan,
    arms: Sequence[Arm],
    shares: Sequence[float],
    seeds: Sequence[int],
    judging: Judging,
    folder: Path,
    means: Means,
    *,
    keep_weights: bool,
    command: str,
    say: Callable[[str], None],
) -> Comparison:
    """Run the trials that are not there yet and judge them all.

    Raises RunError where `folder` holds a comparison of another plan. More arms, shares and seeds may be
    asked of it each time; what is there stays.
    """
    dataset, frozen = read_data(plan.target)
    side = plan.target.recipe.img_size
    images = open_images(
        dataset,
        InputSpec(height=side, width=side),
        workers=means.workers,
        memory_limit=means.cache_bytes,
    )
    say(_describe(images))
    ground = Ground(
        images=images,
        ok_labels=resolve_ok_labels(plan.target.ok_labels, images.dataset.labels),
        exams=_exams(plan, images, frozen, seeds),
    )
    for exam in ground.exams.values():
        truth = classes_of(images, exam.judged)
        require_choice(truth, images.dataset.labels, ground.ok_labels, exam.parts)
    plans.keep(folder, plan, images.sha256)
    _write_lists(folder, ground)
    notes = _notes(plan, ground)
    starts = {arm.name: _start(plan, arm, folder, means, command, say) for arm in arms}
    trials = _trials(ground, arms, starts, shares)
    machine = means.machine(**plan.target.precision)
    with machine.workers:
        _require_loadable(plan, arms, starts, images)
        _teach(trials, ground, plan, folder, machine, keep_weights=keep_weights, say=say)
    return compare_answers(
        plan,
        ground,
        [(trial, _finished(folder, trial)) for trial in trials],
        judging,
        notes=notes,
        command=command,
        device=str(machine.device),
    )


def _exams(
    plan: Plan, images: ImageStore, frozen: Split | None, seeds: Sequence[int]
) -> dict[int, Exam]:
    """With folds, those of each seed; else one for all, on the side that is held back."""
    samples = images.dataset.samples
    if plan.folds:
        return {seed: cross_validation(samples, plan.folds, seed) for seed in seeds}
    return dict.fromkeys(seeds, hold_out(samples, sides(plan.target, images, frozen)))


def _describe(images: ImageStore) -> str:
    counts = ", ".join(f"{label} {count}" for label, count in images.dataset.counts.items())
    return (
        f"{images.dataset.root}: {len(images)} images ({counts}); {_left_out(images)} left out, "
        "listed in quarantine.csv"
    )


def _left_out(images: ImageStore) -> int:
    return len(images.quarantined) + len(images.dataset.unlabelled)


def _write_lists(folder: Path, ground: Ground) -> None:
    images = ground.images
    write_csv(
        folder / "quarantine.csv",
        ("path", "label", "reason"),
        [(path, "", "no label") for path in images.dataset.unlabelled]
        + [(bad.path, bad.label, bad.reason) for bad in images.quarantined],
    )
    write_csv(
        folder / "images.csv",
        ("path", "label", "group"),
        [(sample.path, sample.label, sample.group) for sample in ground.samples],
    )


def _notes(plan: Plan, ground: Ground) -> tuple[str, ...]:
    notes = []
    if count := _left_out(ground.images):
        notes.append(f"{count} images could not be decoded or had no label and were left out")
    if plan.folds:
        notes += [
            f"class {label} stands in one group: where it is judged, nothing of the target teaches it"
            for label in lonely(ground.samples)
        ]
    if plan.source is not None:
        theirs = {sample.group for sample in read_data(plan.source)[0].samples}
        shared = theirs & {sample.group for sample in ground.samples}
        if shared:
            notes.append(
                f"{len(shared)} groups of the source data are called like groups of the target (first "
                f"{min(shared)}): where they are the same parts, what is judged has been taught"
            )
    return tuple(notes)


def _start(
    plan: Plan, arm: Arm, folder: Path, means: Means, command: str, say: Callable[[str], None]
) -> Start:
    """Where the arm's weights lie; a run on the source data is made where it is not there yet."""
    if arm.start not in THROUGH_SOURCE:
        return find_start(arm.start, None)
    settings = replace(plan.through_source, initial_weights=THROUGH_SOURCE[arm.start])
    made = RunFolder(path=folder / "sources" / settings.initial_weights)
    if not plans.is_finished(made, settings):
        say(f"{arm.start}: teaching the source data in {made.path}")
        run(
            settings,
            made,
            means,
            resume=made.record.exists(),
            command=command,
            say=say,
            report=lambda epoch: say(
                f"{made.path.name} epoch {epoch.epoch}: reachable F1 {epoch.reachable_f1:.3f}, "
                f"{epoch.seconds:.0f} s"
            ),
        )
    return find_start(arm.start, made.path)


def _trials(
    ground: Ground, arms: Sequence[Arm], starts: Mapping[str, Start], shares: Sequence[float]
) -> list[Trial]:
    """Seed by seed, so that a comparison that is stopped has whole ones."""
    return [
        Trial(arm=arm, start=starts[arm.name], seed=seed, round=part, portion=portion)
        for seed, exam in ground.exams.items()
        for part in exam.rounds
        for portion in nested_portions(ground.images.dataset, part.train, shares, seed)
        for arm in arms
    ]


def _require_loadable(
    plan: Plan, arms: Sequence[Arm], starts: Mapping[str, Start], images: ImageStore
) -> None:
    """Let weights that do not fit be refused before hours of trials, not among them."""
    labels = images.dataset.labels
    for arm in arms:
        network = new_network(plan.target.model, arm.recipe, len(labels))
        backbones.load_initial(network, plan.target.model, starts[arm.name].initial_weights, labels)


def _teach(
    trials: Sequence[Trial],
    ground: Ground,
    plan: Plan,
    folder: Path,
    machine: Machine,
    *,
    keep_weights: bool,
    say: Callable[[str], None],
) -> None:
    place = folder / "trials"
    left = [trial for trial in trials if read_trial(place, trial) is None]
    total = sum(trial.shown for trial in left)
    say(
        f"{len(trials)} trials, {len(trials) - len(left)} of them finished; {total:,} images to show"
    )
    bar = tqdm(total=total, unit="image", unit_scale=True, disable=None, smoothing=0.05)
    with bar:
        for number, trial in enumerate(left, 1):
            bar.set_description(f"trial {number}/{len(left)} {trial.name}")
            run_trial(
                trial,
                ground.images,
                plan.target.model,
                ground.ok_labels,
                machine,
                place,
                bar,
                keep_weights=keep_weights,
            )


def _finished(folder: Path, trial: Trial) -> Answered:
    found = read_trial(folder / "trials", trial)
    if found is None:
        raise FileNotFoundError(f"{trial.name} has gone while it was in use")
    return found
