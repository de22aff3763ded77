"""`train refresh`: teach the current model on with new labels, and accept it only if it is not worse."""

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from optimize.cli.arguments import columns, conditions, configure_columns
from optimize.data.manifest import Columns
from train.cli.fit import configure_machine, means, report_epoch, require_machine
from train.data.enlarge import Shares
from train.data.manifest import Source
from train.decision.decide import Requirement
from train.errors import NotShownError
from train.fitting.record import read_record
from train.refresh.agreement import Agreement
from train.run_folder import RunFolder

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from train.fitting.recipe import Recipe

NAME = "refresh"
HELP = "teach the current model on with new labels; a candidate only if it is not worse"

_EPILOG = """\
examples:
  # what is on the line, the run that it was exported from, and what train index made of the labels
  train refresh runs/first --model runs/first.onnx --labels labelled --out runs/refresh

  # in answer to a station's retrain request; margins are agreed before the first image teaches
  train refresh runs/first --model runs/first.onnx --labels labelled --out runs/refresh \\
                --evidence L07-S3-drift.zip --recall-margin 0.02

  # interrupted: the same command goes on where it stopped
  train refresh runs/first --model runs/first.onnx --labels labelled --out runs/refresh

New groups join the split that the run was taught from, drawn by class; groups that are known stay where
they are. The sealed test set is carried over unopened, and new labels of a sealed group or image are
refused (exit code 26). The model is taught on from its own weights, its decision rule is chosen on the
validation side, and both models answer an exam that taught neither: on the old and on the new domain the
one-sided bound of each paired gain (defect recall, false positives, macro F1) must not fall below the
margin. Labels that teach nothing which holds, or that the current model ranks the wrong way round, are
refused as well.

Writes plan.json, split/, run/, refresh.json and refresh.html into FOLDER; candidate.onnx only if all of
it is shown, else the command ends with exit code 28 and says why. Next: optimize build, and a canary
station.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN_FOLDER", help="the run of the model on the line"
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="MODEL.onnx",
        help="that model as train export wrote it",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="folder of this refresh"
    )
    parser.add_argument(
        "--evidence",
        type=Path,
        metavar="PACK",
        help="the evidence pack of a station's retrain request, a folder or .zip file",
    )
    parser.add_argument(
        "--split",
        type=Path,
        metavar="SPLIT_FOLDER",
        help="the split of the run, if it was moved (default: where it was)",
    )
    labels = parser.add_argument_group("new labels", "a data set as train index writes it")
    labels.add_argument(
        "--labels", type=Path, required=True, metavar="DIR", help="folder of the labelled images"
    )
    labels.add_argument(
        "--manifest",
        metavar="FILE",
        help="CSV or .parquet file within DIR (default: manifest.csv or manifest.parquet)",
    )
    configure_columns(labels)
    _configure_shares(parser.add_argument_group("agreement", "before the first image teaches"))
    _configure_recipe(parser.add_argument_group("recipe", "else as the run's, a third as long"))
    configure_machine(parser.add_argument_group("machine"))


def _configure_shares(group: "argparse._ArgumentGroup") -> None:
    for kind, flags in (
        (
            Agreement,
            {
                "recall-margin": "so much less defect recall is no worse",
                "false-positive-margin": "so many more false positives are no worse",
                "macro-f1-margin": "so much less macro F1 is no worse",
                "least-macro-f1": "the candidate must reach so much on the new domain, by its bound",
                "confidence": "of each one-sided bound",
            },
        ),
        (
            Shares,
            {
                "validation": "of the new images, by group, chooses epoch and thresholds",
                "exam": "of them is compared on",
                "test": "of them is sealed beside the test set",
            },
        ),
        (
            Requirement,
            {
                "min-recall": "of defective parts found, that thresholds are chosen for",
                "max-false-positives": "of good parts answered `defect`, likewise",
                "max-reviews": "of good parts answered `review`, likewise",
            },
        ),
    ):
        for flag, what in flags.items():
            name = flag.replace("-", "_")
            group.add_argument(
                f"--{flag}-share" if kind is Shares else f"--{flag}",
                dest=f"{name}_share" if kind is Shares else name,
                type=float,
                default=getattr(kind(), name),
                metavar="SHARE",
                help=f"{what} (default: %(default)s)",
            )


def _configure_recipe(group: "argparse._ArgumentGroup") -> None:
    for flag, kind, what in (
        ("epochs", int, "over old and new images together"),
        ("epoch-images", int, "images shown per epoch"),
        ("freeze-epochs", int, "first epochs, in which only the head learns"),
        ("lr", float, "highest learning rate (default: 0.3 times the run's)"),
        ("seed", int, "of the draw of groups, order and augmentation"),
    ):
        group.add_argument(f"--{flag}", type=kind, metavar="N", help=what)


def run(arguments: argparse.Namespace) -> int:
    require_machine(arguments)
    agreement = Agreement(**_named(arguments, Agreement))
    shares = Shares(**_named(arguments, Shares, "_share"))
    requirement = Requirement(**_named(arguments, Requirement))
    from train.refresh import page
    from train.refresh.evidence import read_request
    from train.refresh.refresh import Order, RefreshFolder, refresh

    current = RunFolder(path=arguments.run_folder)
    request = read_request(arguments.evidence, arguments.model) if arguments.evidence else None
    folder = RefreshFolder(arguments.out)
    made, exam = refresh(
        Order(
            current=current,
            model=arguments.model,
            split=arguments.split,
            labels=_labels(arguments),
            shares=shares,
            recipe=_recipe(arguments, current),
            requirement=requirement,
            agreement=agreement,
            request=request.id if request else None,
            cause=request.words if request else None,
            command=arguments.command_line,
        ),
        folder,
        means(arguments),
        say=_say,
        report=report_epoch,
    )
    if exam is not None or not folder.page.exists():
        page.write_page(folder.page, made, exam)
    print("\n".join(page.lines(made)))
    if not made.accepted:
        raise NotShownError(
            f"no candidate: {'; '.join(made.reasons)}; see {folder.page}, and add labels or ask a person"
        )
    print(f"{folder.candidate}: see {folder.page}; next: optimize build {folder.candidate}")
    return 0


def _named(
    arguments: argparse.Namespace, kind: type["DataclassInstance"], ending: str = ""
) -> dict[str, float]:
    """The flags that are a dataclass's fields."""
    return {field.name: getattr(arguments, field.name + ending) for field in fields(kind)}


def _labels(arguments: argparse.Namespace) -> Source:
    if not arguments.labels.is_dir():
        raise UsageError(f"--labels {arguments.labels}: expected the folder of the labelled images")
    return Source(
        data_dir=arguments.labels.resolve(),
        manifest=arguments.manifest,
        columns=columns(arguments) or Columns(),
        where=conditions(arguments),
    )


def _recipe(arguments: argparse.Namespace, current: RunFolder) -> "Recipe":
    from train.refresh.refresh import softened

    recipe = softened(read_record(current).settings.recipe)
    if arguments.epochs is not None:
        recipe = replace(
            recipe,
            epochs=arguments.epochs,
            full_size_epochs=min(recipe.full_size_epochs, arguments.epochs),
        )
    named = {
        name: getattr(arguments, name)
        for name in ("epoch_images", "freeze_epochs", "lr", "seed")
        if getattr(arguments, name) is not None
    }
    return replace(recipe, **named)


def _say(line: str) -> None:
    print(line, flush=True)
