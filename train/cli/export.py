"""`train export`: the best weights of a run as one ONNX file with its decision rule."""

import argparse
from pathlib import Path

from edge_runtime.errors import UsageError
from train.decision.decide import LIMITS, Limits

NAME = "export"
HELP = "write a run's best model as ONNX, with its labels and decision rule"

_EPILOG = """\
examples:
  train export runs/first --out runs/first.onnx
  train export runs/tiles --out tiles.onnx --ok-label no_defect --ok-label polished

Temperature and thresholds are what train calibrate found. Where it was not run, or where a limit is
named here, they are chosen on the run's validation images without bounds: a part is a defect from the
lowest score that at most 1 % of good parts reach; it is for review from a lower score where that finds
more defects for at most 2 % of good parts. Wrong labels count like right ones: where one good part in
fifty is a defect in truth, 1 % cannot be met without missing most defects. Next: optimize build.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="what train fit wrote")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="MODEL.onnx", help="file to write"
    )
    parser.add_argument(
        "--ok-label",
        action="append",
        metavar="LABEL",
        help="class of good parts; may be repeated (default: as in the run)",
    )
    for flag, default, what in (
        ("false-positives", LIMITS.false_positives, "answered `defect`"),
        ("reviews", LIMITS.reviews, "answered `review` beyond those"),
    ):
        parser.add_argument(
            f"--{flag}",
            type=float,
            metavar="SHARE",
            help=f"largest share of good validation parts {what} (default: {default}); named, it "
            "overrides train calibrate",
        )


def run(arguments: argparse.Namespace) -> int:
    if not arguments.out.parent.is_dir():
        raise UsageError(f"--out {arguments.out}: there is no folder {arguments.out.parent}")
    limits = _limits(arguments.false_positives, arguments.reviews)
    from train.export import export_run
    from train.fitting.run import Means
    from train.run_folder import RunFolder

    exported = export_run(
        RunFolder(path=arguments.run_folder),
        arguments.out,
        Means(device="cpu"),
        ok_labels=arguments.ok_label,
        limits=limits,
        command=arguments.command_line,
    )
    rule = exported.model.decision
    print(
        f"{exported.path}: validation {exported.validation.summary()}; defect from "
        f"{rule.thresholds.defect_from:.4f}, review from {rule.thresholds.review_from:.4f}, "
        f"temperature {rule.temperature:.3f}; ONNX Runtime agrees on {exported.compared} images "
        f"(logits within {exported.difference:.1e})\n"
        f"decision rule: {exported.model.provenance['decision']}"
    )
    return 0


def _limits(false_positives: float | None, reviews: float | None) -> Limits | None:
    """None where none is named."""
    if false_positives is None and reviews is None:
        return None
    return Limits(
        false_positives=LIMITS.false_positives if false_positives is None else false_positives,
        reviews=LIMITS.reviews if reviews is None else reviews,
    )
