"""`train evaluate`: an exported model on labelled images it was not taught with."""

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from optimize.cli.arguments import positive
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES, MIN_MACRO_F1, MIN_RECALL
from train.cli.source import configure_source, configure_split, frozen_split, source
from train.cli.volume import configure_volume

if TYPE_CHECKING:
    from optimize.data.dataset import Dataset
    from optimize.graph import FloatModel
    from train.data.frozen_split import FrozenSplit
    from train.evidence.criteria import Criteria
    from train.evidence.evaluation import ModelRecord, SplitSide

NAME = "evaluate"
HELP = "measure an exported model on labelled images"

_EPILOG = """\
examples:
  train simulate --generation gen3 --count 2000 --clean --out runs/exam --seed 99
  train evaluate runs/first.onnx --data-dir runs/exam
  train evaluate runs/first.onnx --data-dir runs/exam --defect-rate 0.08 --modules-per-month 1800000

  # on the validation side of a frozen split, as often as you like; for a report, and image by image
  train evaluate runs/first.onnx --split runs/gen3-split --json first.json --answers first.csv

  # on its sealed test set, which has no other way in: entered in the ledger before an image is read
  train evaluate runs/first.onnx --split runs/gen3-split --final --json final.json

The model decides by its own rule, as at the line. Parts for review count as found, and as their
likeliest defect in the confusion matrix. Images that cannot be decoded are counted and left out.
Intervals are two-sided and respect groups: exact ones for shares of parts, bootstrap over groups else.
A criterion is met by the bound where the one-sided bound of its figure keeps the limit. A small slice
(*) has too few images to show the criteria, even if every answer were right.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="what train export wrote")
    configure_source(parser, required=False)
    configure_split(parser)
    parser.add_argument(
        "--side",
        choices=("train", "validation"),
        help="of the split (default: validation)",
    )
    parser.add_argument(
        "--final",
        action="store_true",
        help="open the split's sealed test set, which its ledger will tell for ever",
    )
    for flag, what in (
        ("json", "write everything that was found, for train report"),
        ("answers", "write what the model answered, image by image"),
    ):
        parser.add_argument(f"--{flag}", type=Path, metavar="FILE", help=what)
    parser.add_argument(
        "--slice",
        nargs="*",
        metavar="NAME",
        help="line, station, week, generation, blurred; none to leave them out (default: those that "
        "tell images apart)",
    )
    parser.add_argument(
        "--engine",
        default="onnxruntime",
        metavar="NAME",
        help="onnxruntime or openvino (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        metavar="N",
        help="of the engine (default: %(default)s)",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=CONFIDENCE,
        metavar="SHARE",
        help="of the intervals, and of each one-sided bound (default: %(default)s)",
    )
    criteria = parser.add_argument_group("criteria", "what the customer asks for")
    for flag, default, what in (
        ("min-recall", MIN_RECALL, "least share of defective parts found"),
        (
            "max-false-positives",
            MAX_FALSE_POSITIVES,
            "largest share of good parts answered `defect`",
        ),
        ("min-macro-f1", MIN_MACRO_F1, "least macro F1"),
    ):
        criteria.add_argument(
            f"--{flag}",
            type=float,
            default=default,
            metavar="SHARE",
            help=f"{what} (default: %(default)s)",
        )
    configure_volume(parser, "what the cost of errors is reckoned for", rate_from="data")


def run(arguments: argparse.Namespace) -> int:
    _require_sense(arguments)
    from tqdm import tqdm

    from edge_runtime.engines.catalogue import open_engine
    from optimize.graph import read_model
    from train.evidence import evaluation, evaluation_text
    from train.evidence.examine import examine
    from train.evidence.slices import BLURRED, find_blurred, usual

    criteria = _criteria(arguments)
    read = read_model(arguments.model)
    model = evaluation.ModelRecord.of(read, engine=arguments.engine, threads=arguments.threads)
    split = frozen_split(arguments)
    with closing(
        open_engine(arguments.engine, arguments.model, read.spec, arguments.threads)
    ) as engine:
        dataset, side = _images(arguments, read, model, split)
        with tqdm(
            total=len(dataset.samples), desc="judging", unit="image", disable=None, leave=False
        ) as bar:
            examined = examine(engine, read.spec, dataset, advanced=bar.update)
    slices, blurred = arguments.slice, None
    if slices is None or BLURRED in slices:
        with tqdm(
            total=len(examined.truth),
            desc="looking for blur",
            unit="image",
            disable=None,
            leave=False,
        ) as bar:
            blurred = find_blurred(examined.dataset, advanced=bar.update)
        slices = usual(examined.dataset, blurred) if slices is None else slices
    with tqdm(desc="counting", unit="slice", disable=None, leave=False) as bar:
        made = evaluation.evaluate(
            examined,
            model,
            name=dataset.root.resolve().name,
            split=side,
            criteria=criteria,
            confidence=arguments.confidence,
            slices=slices,
            blurred=blurred,
            modules=arguments.modules_per_month,
            defect_rate=arguments.defect_rate,
            command=arguments.command_line,
            answers=arguments.answers and arguments.answers.name,
            advanced=bar.update,
        )
    if arguments.answers:
        evaluation.write_answers(arguments.answers, examined)
    if arguments.json:
        evaluation.write_evaluation(arguments.json, made)
    print("\n".join(evaluation_text.lines(made)))
    return 0


def _require_sense(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that do not go together, before anything is opened."""
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(f"--confidence {arguments.confidence}: expected 0.5 to below 1")
    if arguments.data_dir is None and arguments.split is None:
        raise UsageError("--data-dir or --split is needed: where the labelled images are")
    if arguments.split is None and (arguments.final or arguments.side):
        raise UsageError("--final and --side are of a frozen split: name it with --split")
    if arguments.final and arguments.side:
        raise UsageError(f"--final opens the test set: leave out --side {arguments.side}")
    for flag, target in (("--json", arguments.json), ("--answers", arguments.answers)):
        if target and not target.parent.is_dir():
            raise UsageError(f"{flag} {target}: there is no folder {target.parent}")


def _criteria(arguments: argparse.Namespace) -> "Criteria":
    """What is asked for; raises UsageError for what cannot be, also in the flags of the line."""
    from train.evidence.cost import Volume
    from train.evidence.criteria import Criteria
    from train.evidence.slices import require_names

    require_names(arguments.slice or ())
    Volume(modules=arguments.modules_per_month, defect_rate=arguments.defect_rate or 0.0)
    return Criteria(
        min_recall=arguments.min_recall,
        max_false_positives=arguments.max_false_positives,
        min_macro_f1=arguments.min_macro_f1,
    )


def _images(
    arguments: argparse.Namespace,
    read: "FloatModel",
    model: "ModelRecord",
    split: "FrozenSplit | None",
) -> "tuple[Dataset, SplitSide | None]":
    """The images to judge, and which side of a split they are; the sealed one enters its ledger."""
    from train.evidence.evaluation import Opened, SplitSide
    from train.evidence.examine import require_known, require_unsealed

    if split is None:
        dataset = source(arguments).read()
        require_known(dataset.labels, read, arguments.label_column)
        require_unsealed(dataset, read)
        return dataset, None
    require_known(split.labels, read, arguments.label_column)
    taught_from = read.spec.provenance.get("split_sha256")
    side = SplitSide(
        sha256=split.record.sha256,
        side="test" if arguments.final else arguments.side or "validation",
        taught=None if taught_from is None else taught_from == split.record.sha256,
        opened=None,
    )
    if not arguments.final:
        return split.side(side.side), side
    dataset, openings = split.open_sealed(
        model_sha256=model.sha256,
        thresholds_sha256=model.thresholds_sha256,
        command=arguments.command_line,
    )
    return dataset, side.model_copy(update={"opened": Opened.of(openings)})
