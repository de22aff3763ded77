"""What transfer, the recipe's choices and the audit are worth, in Markdown, from the results alone.

Writes nothing: `benchmarks.figures` puts it between the markers of `docs/transfer-learning.md` and
`docs/training-plan.md`.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.setting import read_result
from train.evidence.comparison import Comparison
from train.evidence.comparison_view import best_arm, needed_or_more, seeds, signed
from train.figures.resamples import DEFECT_RECALL, FALSE_POSITIVES, MACRO_F1, REACHABLE


def transfer() -> str:
    """The comparison of starts on the simulated line, then on real images."""
    line, real = read_result("label-budget"), read_result("real-images")
    made = Comparison.model_validate(line["comparison"])
    lines = [
        "### The simulated line",
        "",
        *_curves(made),
        "",
        *_saved(made),
        "",
        _setting(made, line, "label_budget", "label-budget"),
        "",
        "### Real images",
        "",
    ]
    for name, made in real.items():
        if isinstance(made, dict) and "points" in made:
            lines += [*_arms(name, Comparison.model_validate(made)), ""]
    lines.append(
        "Cross-validated in five folds by group, one seed, but three where the heads alone learn. The "
        "frozen arm is an ImageNet backbone that never "
        "learns, under a head that does: the baseline, on the same folds "
        "([real-images.json](results/real-images.json), `python -m benchmarks.real_images`)."
    )
    return "\n".join(lines)


def plan() -> str:
    """The choices of the recipe, with many labels and with few, the audit of the labels, speed and
    memory."""
    return "\n".join([*_choices(), "", *_few(), "", *_audit(), "", *_speed()])


def _curves(made: Comparison) -> Iterator[str]:
    """Macro F1 of every arm at every share; below it what each adds to the first."""
    names = [compared.arm.name for compared in made.arms]
    yield f"| labels | {' | '.join(names)} |"
    yield "|---" * (len(names) + 1) + "|"
    for share in made.shares:
        points = [made.point(name, share) for name in names]
        cells = " | ".join(str(point.figures[MACRO_F1]) for point in points)
        yield f"| {points[0].labels:,.0f} | {cells} |"
    yield ""
    yield f"| more macro F1 than {names[0]}, paired | {' | '.join(names[1:])} |"
    yield "|---" * len(names) + "|"
    paired = {
        (d.arm, d.share): d.figures[MACRO_F1] for d in made.differences if d.rival == names[0]
    }
    for share in made.shares:
        cells = " | ".join(signed(paired[name, share]) for name in names[1:])
        yield f"| {made.point(names[0], share).labels:,.0f} labels | {cells} |"


def _saved(made: Comparison) -> Iterator[str]:
    """What the others need to be as good as the best is."""
    best = best_arm(made)
    rivals = [compared.arm.name for compared in made.arms if compared.arm.name != best]
    found = {
        (w.rival, w.share): w.needed for w in made.worths if (w.arm, w.figure) == (best, MACRO_F1)
    }
    most = {name: max(p.labels for p in made.points if p.arm == name) for name in rivals}
    for worth in made.worths:
        if (
            (worth.arm, worth.figure) == (best, MACRO_F1)
            and worth.saved
            and not worth.needed.at_most
        ):
            as_many = needed_or_more(worth.needed, most[worth.rival])
            yield (
                f"With {worth.labels:,.0f} labels {best} is as good as {worth.rival} with {as_many}: "
                f"about {worth.saved:,.0f} labels saved."
            )
            yield ""
    yield f"| as good as {best} with | {' | '.join(f'{name} needs' for name in rivals)} |"
    yield "|---" * (len(rivals) + 1) + "|"
    for share in made.shares:
        cells = " | ".join(needed_or_more(found[name, share], most[name]) for name in rivals)
        yield f"| {made.point(best, share).labels:,.0f} labels | {cells} |"


def _arms(name: str, made: Comparison) -> Iterator[str]:
    """Every arm with all labels, and what those that follow it are more than the frozen one."""
    known = [f for f in (MACRO_F1, REACHABLE, DEFECT_RECALL, FALSE_POSITIVES) if _has(made, f)]
    images, groups = sum(made.judged.values()), made.judged_groups
    yield f"| {name}: {images:,} images in {groups:,} groups | {' | '.join(known)} |"
    yield "|---" * (len(known) + 1) + "|"
    for compared in made.arms:
        point = made.point(compared.arm.name, max(made.shares))
        yield f"| {compared.arm.name} | {' | '.join(str(point.figures[f]) for f in known)} |"
    for paired in made.differences:
        if paired.rival == "frozen":
            less = " | ".join(signed(paired.figures[f]) for f in known)
            yield f"| {paired.arm} less frozen, paired | {less} |"


def _choices() -> Iterator[str]:
    """Each choice beside the default, paired."""
    result = read_result("recipe-ablation")
    made = Comparison.model_validate(result["comparison"])
    share = max(made.shares)
    yield "| choice | flags of `train fit` | macro F1 | more than the default, paired | recall |"
    yield "|---|---|---|---|---|"
    paired = {d.arm: d.figures[MACRO_F1] for d in made.differences if d.rival == "default"}
    for name, flags in result["choices"].items():
        point = made.point(name, share)
        less = signed(paired[name]) if name in paired else ""
        yield (
            f"| {name} | {f'`{flags}`' if flags else ''} | {point.figures[MACRO_F1]} | {less} | "
            f"{point.figures[DEFECT_RECALL]} |"
        )
    yield ""
    yield _setting(made, result, "recipe_ablation", "recipe-ablation")


def _few() -> Iterator[str]:
    """What more showing is worth where few images teach."""
    found = read_result("few-labels")
    rarest, commonest = min(found["taught"]), max(found["taught"])
    yield "| few labels | flags of `train fit` | macro F1 | more than the first, paired |"
    yield "|---|---|---|---|"
    for name, one in found["summary"].items():
        error = one["standard_error"]
        more = f"{one['more']:+.3f} (standard error {error:.3f})" if error else ""
        flags = f"`{found['choices'][name]}`" if found["choices"][name] else ""
        yield f"| {name} | {flags} | {one['macro_f1']:.3f} | {more} |"
    yield ""
    yield (
        f"At most {sum(found['taught'])} images of NEU-DET or X-SDD teach, {commonest} of one class and "
        f"{rarest} of the rarest, others are judged; {len({t['seed'] for t in found['trials']})} draws "
        f"of each set, {found['model']} at {found['img_size']} px, 12 epochs where nothing else is said "
        "([few-labels.json](results/few-labels.json), `python -m benchmarks.few_labels`)."
    )


def _audit() -> Iterator[str]:
    """What the audit found of what was known to be wrong."""
    found = read_result("label-audit")
    labels, copies = found["labels"], found["near_duplicates"]
    control, damaged = found["labels_all_right"], found["quarantine"]["damaged"]
    yield f"| `train audit` on {found['images']:,} simulated Gen-3 images | there are | found |"
    yield "|---|---|---|"
    yield f"| damaged files, quarantined | {damaged['images']} | {damaged['flagged']} |"
    yield f"| copies stored again, grouped | {copies['planted']} | {copies['found']} |"
    for name, flag in found["flags"].items():
        yield f"| {name} | {flag['images']:,} | {flag['flagged']:,} ({flag['share']:.2%}) |"
    yield (
        f"| wrong labels among {labels['suspects']} suspects (precision {labels['precision']:.2f}, "
        f"recall {labels['recall']:.2f}) | {labels['wrong']} | "
        f"{round(labels['precision'] * labels['suspects'])} |"
    )
    yield f"| suspects where every label is right, the control | 0 | {control['suspects']} |"


def _speed() -> Iterator[str]:
    """How fast, and in what memory."""
    speed, memory = read_result("fit-speed"), read_result("fit-memory")
    model, side, batch = (speed["options"][name] for name in ("model", "side", "batch"))
    yield f"| `train fit`, {model} at {side} px, batch {batch}, on {speed['cores']} cores | |"
    yield "|---|---|"
    yield f"| images/s over those of a plain timm loop | {speed['ratios']['fit over plain']:.2f} |"
    yield f"| share of a step that waits for images | {speed['loader_share']:.1%} |"
    yield f"| more memory for ten times the images | {memory['tenfold_mb']['small_cache']:.0f} MB |"
    unlimited = memory["tenfold_mb"]["unlimited_cache"]
    yield f"| the control: a cache without limit | {unlimited:.0f} MB |"


def _setting(made: Comparison, result: dict[str, Any], module: str, name: str) -> str:
    return (
        f"{seeds(made).capitalize()}, with {made.confidence:.0%} intervals over "
        f"{made.judged_groups:,} groups of {sum(made.judged.values()):,} validation images with true "
        f"labels; {made.model}, "
        f"{made.shown:,} images shown by each trial, thresholds from other images within "
        f"{made.max_false_positives:g} false positives; on {result['cores']} cores of "
        f"{result['cpu']} ([{name}.json](results/{name}.json), `python -m benchmarks.{module}`)."
    )


def _has(made: Comparison, figure: str) -> bool:
    return any(figure in point.figures for point in made.points)
