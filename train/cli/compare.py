"""`train compare`: what each start is worth in labels."""

import argparse
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from optimize.cli.arguments import columns, positive, share
from optimize.data.manifest import Condition
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES
from train.cli import fit
from train.cli.source import configure_source, configure_split, frozen_split, source
from train.data.frozen_split import read_split
from train.data.manifest import Source
from train.fitting.record import Settings

if TYPE_CHECKING:
    from train.evidence.arms import Arm
    from train.evidence.plan import Plan

NAME = "compare"
HELP = "compare starts at shares of the labels: what transfer saves"

_SHARES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)

_EPILOG = """\
examples:
  # scratch, ImageNet, Gen-2 and ImageNet then Gen-2, at six shares of the Gen-3 labels, three seeds;
  # the sealed test side of the split stays sealed
  train compare --split runs/gen3-split --source-data-dir runs/gen2 --out runs/compared --img-size 64

  # few images: each is judged once per seed, in five folds by group
  train compare --data-dir tiles --manifest manifest.csv --path-column file --label-column class \\
                --group-column tile_group --where suggested_role=train_gen3 --source-data-dir tiles \\
                --source-where suggested_role=train_gen2 --folds 5 --shares 1 --out runs/tiles

  # arms of one's own: a run that is there, and a frozen backbone under a new head
  train compare --data-dir runs/gen3 --out runs/compared --arm gen2=runs/gen2 \\
                --arm "frozen=imagenet --freeze-epochs 12" --epochs 12

Every trial shows as many images as one with all labels does in --epochs, whatever its share; smaller
shares lie within larger ones, by group, with a group of every class at least. Within a seed all arms
have the same labels. The last averaged weights are judged, on images that neither taught nor chose:
the validation side of --split or --val-split, or each in its turn with --folds. Thresholds come from
other images than they are judged on, by the runtime's own policy. Intervals are over groups;
differences are paired.

Seeds are --seed and those that follow it. Finished trials stay in FOLDER: start again after an
interruption, or with more arms, shares or seeds. Writes comparison.json, comparison.csv and
comparison.svg.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder of this comparison"
    )
    configure_source(parser, required=False)
    configure_split(parser)
    _configure_source_data(parser.add_argument_group("source data", "read like the target's"))
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--arm",
        action="append",
        metavar="NAME=FROM",
        help="scratch, imagenet, source, imagenet+source, a weights file or a run folder; flags of the "
        "recipe may follow within the quotes; may be repeated (default: the four, or without source "
        "data the first two)",
    )
    group.add_argument(
        "--shares",
        type=share,
        nargs="+",
        default=_SHARES,
        metavar="SHARE",
        help=f"of the labels (default: {' '.join(f'{s:g}' for s in _SHARES)})",
    )
    group.add_argument(
        "--seeds", type=positive, default=3, metavar="N", help="repetitions (default: %(default)s)"
    )
    group.add_argument(
        "--folds",
        type=positive,
        metavar="K",
        help="judge every image, in K folds by group, and hold nothing back",
    )
    group.add_argument(
        "--max-false-positives",
        type=share,
        default=MAX_FALSE_POSITIVES,
        metavar="SHARE",
        help="that thresholds are chosen within (default: %(default)s)",
    )
    group.add_argument(
        "--confidence",
        type=float,
        default=CONFIDENCE,
        metavar="SHARE",
        help="of the intervals (default: %(default)s)",
    )
    group.add_argument(
        "--resamples",
        type=positive,
        default=1000,
        metavar="N",
        help="draws of groups behind an interval (default: %(default)s)",
    )
    group.add_argument("--keep-weights", action="store_true", help="keep the weights of each trial")
    fit.configure_model(parser.add_argument_group("model"), initial_weights=False)
    fit.configure_recipe(parser.add_argument_group("recipe"))
    fit.configure_machine(parser.add_argument_group("machine"))


def _configure_source_data(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--source-data-dir", type=Path, metavar="DIR", help="folder of the images to transfer from"
    )
    group.add_argument("--source-manifest", metavar="FILE", help="as --manifest, within that DIR")
    group.add_argument(
        "--source-split", type=Path, metavar="SPLIT_FOLDER", help="as --split, of the source data"
    )
    group.add_argument(
        "--source-where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="as --where; without it all rows are taken",
    )
    group.add_argument(
        "--source-epochs",
        type=positive,
        metavar="N",
        help="of the runs on the source data, over all of it (default: as --epochs)",
    )


def run(arguments: argparse.Namespace) -> int:
    fit.require_machine(arguments)
    if arguments.data_dir is None and arguments.split is None:
        raise UsageError("--data-dir or --split is needed: where the labelled images are")
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(f"--confidence {arguments.confidence}: expected 0.5 to below 1")
    if arguments.folds == 1:
        raise UsageError("--folds 1: expected 2 or more, or none to hold images back")
    plan = _plan(arguments)
    from train.evidence.compare import compare
    from train.evidence.comparison import CHART, write_comparison
    from train.evidence.comparison_view import chart, report
    from train.evidence.judgement import Judging
    from train.written_aside import written_aside

    first = plan.target.recipe.seed
    made = compare(
        plan,
        _arms(arguments, plan),
        sorted(set(arguments.shares)),
        range(first, first + arguments.seeds),
        Judging(
            max_false_positives=arguments.max_false_positives,
            confidence=arguments.confidence,
            resamples=arguments.resamples,
        ),
        arguments.out,
        fit.means(arguments),
        keep_weights=arguments.keep_weights,
        command=arguments.command_line,
        say=_say,
    )
    write_comparison(arguments.out, made)
    with written_aside(arguments.out / CHART) as aside:
        aside.write_text(chart(made), encoding="utf-8")
    print(report(made))
    return 0


def _plan(arguments: argparse.Namespace) -> "Plan":
    from train.evidence.plan import Plan

    split = frozen_split(arguments)
    where = split.source if split else source(arguments)
    target = Settings(
        source=replace(where, data_dir=where.data_dir.resolve()),
        split=split.reference if split else None,
        val_split=fit.val_split(arguments),
        ok_labels=tuple(arguments.ok_label) if arguments.ok_label else None,
        model=arguments.model,
        initial_weights="scratch",
        recipe=fit.recipe(arguments),
        augmentation=fit.augmentation(arguments),
        **fit.precision(arguments),
    )
    return Plan(target=target, source=_source(arguments, target), folds=arguments.folds or 0)


def _source(arguments: argparse.Namespace, target: Settings) -> Settings | None:
    """How the source data is taught: by the target's recipe, but whole and for epochs of its own."""
    split, where = None, None
    if arguments.source_split is not None:
        if arguments.source_manifest or arguments.source_where:
            raise UsageError(
                "--source-split has lists of its own: leave out --source-manifest and --source-where"
            )
        split = read_split(arguments.source_split, root=arguments.source_data_dir)
        where = split.source
    elif arguments.source_data_dir is not None:
        where = Source(
            data_dir=arguments.source_data_dir,
            manifest=arguments.source_manifest,
            columns=columns(arguments),
            where=tuple(Condition.parse(text) for text in arguments.source_where),
        )
    if where is None:
        if arguments.source_manifest or arguments.source_where or arguments.source_epochs:
            raise UsageError(
                "what is said of source data needs --source-data-dir or --source-split"
            )
        return None
    epochs = arguments.source_epochs or target.recipe.epochs
    frozen_for = min(target.recipe.freeze_epochs, epochs)
    return replace(
        target,
        source=replace(where, data_dir=where.data_dir.resolve()),
        split=split.reference if split else None,
        recipe=replace(
            target.recipe,
            epochs=epochs,
            epoch_images=None,
            freeze_epochs=frozen_for,
            unfreeze_epochs=min(target.recipe.unfreeze_epochs, epochs - frozen_for),
        ),
    )


def _arms(arguments: argparse.Namespace, plan: "Plan") -> "list[Arm]":
    from train.evidence import arms

    with_source = plan.source is not None
    made = [
        _arm(text, plan) for text in arguments.arm or arms.default_starts(with_source=with_source)
    ]
    arms.require_distinct(made)
    for arm in made:
        if arm.start in arms.THROUGH_SOURCE and not with_source:
            raise UsageError(
                f"--arm {arm.name}={arm.start} needs --source-data-dir or --source-split"
            )
    return made


def _arm(text: str, plan: "Plan") -> "Arm":
    """Read `NAME=FROM [FLAGS]`: the recipe of all arms, but for those flags."""
    from train.evidence.arms import Arm, name_and_start

    first, *flags = shlex.split(text) or [""]
    name, start = name_and_start(first)
    parser = argparse.ArgumentParser(prog=f"--arm {name}", add_help=False, exit_on_error=False)
    fit.configure_recipe(parser.add_argument_group("recipe"))
    common = plan.target.recipe
    parser.set_defaults(**{field: getattr(common, field) for field in common.__slots__})
    try:
        arguments, unknown = parser.parse_known_args(flags)
    except argparse.ArgumentError as exc:
        raise UsageError(f"--arm {name}: {exc}") from exc
    recipe = fit.recipe(arguments)
    fixed = ("img_size", "epochs", "epoch_images", "min_epoch_images", "seed")
    computes_otherwise = any(fit.precision(arguments).values())
    if (
        unknown
        or computes_otherwise
        or any(getattr(recipe, f) != getattr(common, f) for f in fixed)
    ):
        raise UsageError(
            f"--arm {text!r}: only flags of the recipe can be an arm's own, and none of --img-size, "
            "--epochs, --epoch-images, --min-epoch-images, --seed, --amp and --torchcompile: all arms "
            "see equally many images of one size"
        )
    augmentation = None if arguments.no_aug else plan.target.augmentation
    return Arm(name=name, start=start, recipe=recipe, augmentation=augmentation)


def _say(line: str) -> None:
    print(line, flush=True)
