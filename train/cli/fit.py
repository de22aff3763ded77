"""`train fit`: fine-tune a backbone on labelled crops."""

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edge_runtime.errors import UsageError
from train.cli.source import configure_source, configure_split, frozen_split, source
from train.data.augment import Augmentation
from train.data.manifest import Source
from train.fitting.recipe import LOSSES, Recipe
from train.fitting.record import (
    VAL_SPLIT,
    AmpDtype,
    Precision,
    Settings,
    dump_settings,
    read_record,
)
from train.run_folder import RunFolder

if TYPE_CHECKING:
    from train.fitting.history import Epoch
    from train.fitting.run import Means

NAME = "fit"
HELP = "fine-tune a backbone on labelled crops"

_EPILOG = """\
examples:
  # from ImageNet weights that need no hub
  train fit --data-dir runs/gen3 --output runs/first

  # most epochs at a smaller size, which costs half; the last three at the full one
  train fit --data-dir runs/gen3 --train-img-size 192 --epochs 12 --output runs/quick

  # as it was frozen, so that the test set stays sealed
  train fit --split runs/gen3-split --output runs/first

  # any CSV file will do
  train fit --data-dir tiles --path-column file --label-column class --group-column tile_group \\
            --where mixed_label_tile=0 --output runs/tiles

  # stages that join from the top, the lower the slower; 4,096 images per epoch whatever there is
  train fit --data-dir runs/gen3 --freeze-epochs 1 --unfreeze-epochs 3 --layer-decay 0.85 \
            --epoch-images 4096 --output runs/staged

  # from the weights of an earlier run, and on after an interruption
  train fit --data-dir runs/gen3 --initial-weights runs/gen2 --output runs/moved
  train fit --resume --output runs/moved

  # on two GPUs of this machine; on several machines as torchrun's own help says
  torchrun --nproc-per-node 2 -m train.cli fit --data-dir runs/gen3 --batch-size 64 --output runs/two

torchrun's processes share each batch: --batch-size is that of all together, -j and --cache-gb are each
one's. The first writes the run folder. All need the images at the same path, and with --resume the
run folder.
Epochs are ranked by reachable F1: the validation macro F1 at the threshold that suits it best. The other
figures are at the rule that train export would choose.
The run folder gets run.json, split.csv, quarantine.csv, augmentation.png, metrics.csv, last.pth and
best.pth.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN_FOLDER", help="folder of this run"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="finish the run in RUN_FOLDER; its settings are taken from there",
    )
    configure_source(parser, required=False)
    configure_split(parser)
    configure_model(parser.add_argument_group("model"))
    recipe = parser.add_argument_group("recipe")
    configure_recipe(recipe)
    recipe.add_argument(
        "--bn-dir",
        type=Path,
        metavar="DIR",
        help="folder of unlabelled images of the target, for --bn-images (default: those that teach)",
    )
    machine = parser.add_argument_group("machine")
    configure_machine(machine)
    machine.add_argument(
        "--checkpoint-every",
        type=float,
        default=5.0,
        metavar="MINUTES",
        help="between checkpoints within an epoch; one more stands at its end (default: %(default)s)",
    )


def configure_machine(group: "argparse._ArgumentGroup") -> None:
    """Add what a run works on; `require_machine` looks at it."""
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:1 (default: auto)"
    )
    group.add_argument(
        "-j",
        "--workers",
        type=int,
        default=_cores(),
        metavar="N",
        help="threads that decode and augment (default: one per core, here %(default)s)",
    )
    group.add_argument(
        "--cache-gb",
        type=float,
        default=4.0,
        metavar="GB",
        help="memory for decoded images; the rest is decoded at each use (default: %(default)s)",
    )


def _cores() -> int:
    """Of this machine, for each of the processes that torchrun started on it."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def configure_model(group: "argparse._ArgumentGroup", *, initial_weights: bool = True) -> None:
    """Add what is to be taught, and what with; the weights unless others say where they come from."""
    group.add_argument(
        "--model",
        default="tf_efficientnet_lite0",
        metavar="NAME",
        help="any timm backbone (default: %(default)s)",
    )
    if initial_weights:
        group.add_argument(
            "--initial-weights",
            default="imagenet",
            metavar="FROM",
            help="imagenet, scratch, a .pth or .safetensors file, or an earlier run folder "
            "(default: %(default)s)",
        )
    group.add_argument(
        "--ok-label",
        action="append",
        metavar="LABEL",
        help="class of good parts; may be repeated (default: no_defect where there is one)",
    )
    group.add_argument(
        "--val-split",
        type=float,
        metavar="SHARE",
        help=f"share of images held back for validation, without --split (default: {VAL_SPLIT:g})",
    )


def configure_recipe(group: "argparse._ArgumentGroup") -> None:
    """Add how it is taught; `recipe` and `augmentation` read it."""
    defaults = Recipe()

    def number(
        flag: str, what: str, *names: str, kind: type | None = None, unset: str = ""
    ) -> None:
        dest = flag.replace("-", "_")
        default: Any = getattr(defaults, dest)
        group.add_argument(
            *names,
            f"--{flag}",
            dest=dest,
            type=kind or type(default),
            default=default,
            metavar="N",
            help=f"{what} (default: {unset or '%(default)s'})",
        )

    number("img-size", "side of the model's input, pixels")
    number(
        "train-img-size",
        "side during all but the last epochs, pixels",
        kind=int,
        unset="as --img-size",
    )
    number("full-size-epochs", "last epochs, at --img-size, after a smaller --train-img-size")
    number("epochs", "after each of them the run is validated")
    number(
        "epoch-images",
        "images shown per epoch: the same budget for much and for little data",
        kind=int,
        unset="as many as there are",
    )
    number(
        "min-epoch-images",
        "least images shown per epoch without --epoch-images; of fewer, each is shown several times",
    )
    number("freeze-epochs", "first epochs, in which only the head learns")
    number("unfreeze-epochs", "epochs over which the backbone's stages then join from the top")
    number("warmup-epochs", "epochs over which the learning rate then rises")
    number("batch-size", "images per step", "-b")
    number("grad-accum-steps", "steps whose gradients make one update")
    group.add_argument(
        "--opt",
        default=defaults.opt,
        metavar="NAME",
        help="any timm optimiser (default: %(default)s)",
    )
    number("lr", "highest learning rate")
    number("min-lr", "learning rate at the end of the cosine")
    number("layer-decay", "factor on the learning rate from each layer to the one below")
    number("weight-decay", "of the optimiser, on weight matrices")
    number("clip-grad", "largest norm of an update's gradient", kind=float, unset="none")
    number("drop-path", "probability of skipping the last residual block while training")
    group.add_argument(
        "--loss",
        choices=LOSSES,
        default=defaults.loss,
        help="class-balanced and focal are for imbalance, generalized and symmetric for wrong labels "
        "(default: %(default)s)",
    )
    number("smoothing", "label smoothing, where the loss contains a cross-entropy")
    number("focal-gamma", "how much less --loss focal heeds what is sure already")
    number("class-balance-beta", "of --loss class-balanced: 0 weighs images, near 1 classes")
    number("generalized-q", "of --loss generalized: towards 1 wrong labels weigh less")
    number(
        "bn-momentum",
        "how far batch norm's running statistics move at each update",
        kind=float,
        unset="as the backbone has it",
    )
    number(
        "bn-images",
        "images over which batch norm's statistics are estimated anew, before the first epoch and after "
        "each; needs no labels",
    )
    number("model-ema-decay", "of the averaged weights, per update")
    number("sampling-power", "classes are drawn as images ** N: 1 as they come, 0 equally often")
    number("logit-adjustment", "how far the loss makes up for the remaining imbalance, 0 to 2")
    number("seed", "of split, weights, order and augmentation")
    group.add_argument(
        "--qat",
        action="store_true",
        help="imitate int8's rounding: a last, short run with a low --lr from the weights of another, "
        "where optimize build finds that int8 changes too many verdicts",
    )
    group.add_argument("--no-aug", action="store_true", help="show the images as they are")
    group.add_argument(
        "--amp", action="store_true", help="mixed precision: faster on GPUs and CPUs with AMX"
    )
    group.add_argument(
        "--amp-dtype",
        choices=get_args(AmpDtype),
        help="of --amp; float16 scales the gradients (default: bfloat16 where the device has it)",
    )
    group.add_argument(
        "--torchcompile",
        action="store_true",
        help="compile the network: minutes first and whenever stages join, then faster",
    )


def run(arguments: argparse.Namespace) -> int:
    require_machine(arguments)
    if not arguments.checkpoint_every >= 0:
        raise UsageError(f"--checkpoint-every {arguments.checkpoint_every}: expected 0 or more")
    if arguments.bn_dir and not arguments.bn_images and not arguments.resume:
        raise UsageError("--bn-dir needs --bn-images: how many of its images are to be looked at")
    if arguments.data_dir is None and arguments.split is None and not arguments.resume:
        raise UsageError("--data-dir or --split is needed: where the labelled images are")
    from train.fitting import run as training

    folder = RunFolder(path=arguments.output)
    if arguments.resume:
        settings = read_record(folder).settings
        _require_same(arguments, settings)
    else:
        settings = _settings(arguments)
    epochs = training.run(
        settings,
        folder,
        replace(means(arguments), checkpoint_every_s=60 * arguments.checkpoint_every),
        resume=arguments.resume,
        command=arguments.command_line,
        say=_say,
        report=report_epoch,
    )
    if not epochs:  # another process of the run leads, and speaks
        return 0
    best = next(epoch for epoch in reversed(epochs) if epoch.best)
    print(
        f"{folder.best}: epoch {best.epoch} of {len(epochs)}, validation macro F1 "
        f"{best.macro_f1:.3f}; next: train export {folder.path} --out MODEL.onnx"
    )
    return 0


def require_machine(arguments: argparse.Namespace) -> None:
    """Raise UsageError for a machine that cannot be."""
    if arguments.workers < 1:
        raise UsageError(f"--workers {arguments.workers}: expected 1 or more")
    if not (math.isfinite(arguments.cache_gb) and arguments.cache_gb >= 0):
        raise UsageError(f"--cache-gb {arguments.cache_gb}: expected 0 or more")


def means(arguments: argparse.Namespace) -> "Means":
    """What the flags say to work on."""
    from train.fitting.run import Means

    return Means(
        device=arguments.device,
        workers=arguments.workers,
        cache_bytes=int(arguments.cache_gb * 1e9),
    )


def val_split(arguments: argparse.Namespace) -> float:
    """Share that a draw holds back; raises UsageError beside a frozen split, where nothing is drawn."""
    if arguments.val_split is None:
        return VAL_SPLIT
    if arguments.split is not None:
        raise UsageError("--split says already who validates: leave out --val-split")
    return float(arguments.val_split)


def recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe that the flags name."""
    return Recipe(**{name: getattr(arguments, name) for name in Recipe.__dataclass_fields__})


def precision(arguments: argparse.Namespace) -> Precision:
    """How the network computes, as the flags have it."""
    return Precision(
        amp=arguments.amp, amp_dtype=arguments.amp_dtype, torchcompile=arguments.torchcompile
    )


def augmentation(arguments: argparse.Namespace) -> Augmentation | None:
    """The augmentation that the flags name."""
    return None if arguments.no_aug else Augmentation()


def _settings(arguments: argparse.Namespace) -> Settings:
    split = frozen_split(arguments)
    where = split.source if split else source(arguments)
    return Settings(
        source=Source(
            data_dir=where.data_dir.resolve(),
            manifest=where.manifest,
            columns=where.columns,
            where=where.where,
        ),
        split=split.reference if split else None,
        val_split=val_split(arguments),
        ok_labels=tuple(arguments.ok_label) if arguments.ok_label else None,
        model=arguments.model,
        initial_weights=arguments.initial_weights,
        recipe=recipe(arguments),
        augmentation=augmentation(arguments),
        bn_dir=arguments.bn_dir and arguments.bn_dir.resolve(),
        **precision(arguments),
    )


def _require_same(arguments: argparse.Namespace, stored: Settings) -> None:
    """A resumed run keeps its settings: flags that ask for others are refused, not ignored."""
    parser = argparse.ArgumentParser()
    configure(parser)
    blank = parser.parse_args(["--output", "."])
    for namespace in (arguments, blank):
        namespace.data_dir = namespace.data_dir or stored.source.data_dir
    given, default, kept = (
        _flat(dump_settings(settings))
        for settings in (_settings(arguments), _settings(blank), stored)
    )
    for name, value in given.items():
        if value != default.get(name) and value != kept.get(name):
            raise UsageError(
                f"--resume keeps the run's settings, in which {name} is {kept.get(name)} and not "
                f"{value}: leave the flag out, or start a new run"
            )


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _say(line: str) -> None:
    print(line, flush=True)


def report_epoch(epoch: "Epoch") -> None:
    """Print one line about a finished epoch."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    print(
        f"epoch {epoch.epoch}: {epoch.side} px, loss {epoch.loss:.3f}, reachable F1 "
        f"{epoch.reachable_f1:.3f}, at the rule: macro F1 {epoch.macro_f1:.3f}, "
        f"defect recall {share(epoch.defect_recall)}, "
        f"false positives {share(epoch.false_positive_rate)}, {epoch.images_per_s:.1f} images/s, "
        f"waiting {epoch.loader_share:.1%}, {epoch.seconds:.0f} s{' (best)' if epoch.best else ''}",
        flush=True,
    )
