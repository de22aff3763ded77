"""`train calibrate`: the decision rule of a run, chosen so that its bounds can be shown."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES, MIN_RECALL

if TYPE_CHECKING:
    from train.decision.calibration import Calibration
    from train.decision.frontier import Frontier

NAME = "calibrate"
HELP = "choose a run's decision rule within confidence bounds"

_EPILOG = """\
examples:
  train calibrate runs/first
  train calibrate runs/first --min-recall 0.95 --max-false-positives 0.01

On the run's validation images alone: first the temperature, then the threshold with the best macro F1 at
which both one-sided bounds (Clopper-Pearson, images of one group counted as wholly alike) hold. Found is
a defective part answered `defect` or `review`; a false positive is a good part answered `defect`. Where
no one threshold keeps both bounds, what lies between is for review, if that takes few enough good parts.

Writes calibration.json and calibration.svg into RUN_FOLDER; train export takes the rule from there.
Where nothing keeps the bounds, prints what can be reached and how many labels are missing, and ends with
exit code 25; export then refuses too, unless --accept-unmet was said here or a limit is named there.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="what train fit wrote")
    parser.add_argument(
        "--ok-label",
        action="append",
        metavar="LABEL",
        help="class of good parts; may be repeated (default: as in the run)",
    )
    for flag, default, what in (
        ("min-recall", MIN_RECALL, "least share of defective parts found"),
        (
            "max-false-positives",
            MAX_FALSE_POSITIVES,
            "largest share of good parts answered `defect`",
        ),
        ("max-reviews", 0.02, "largest share of good parts answered `review`"),
        ("confidence", CONFIDENCE, "of each one-sided bound"),
    ):
        parser.add_argument(
            f"--{flag}",
            type=float,
            default=default,
            metavar="SHARE",
            help=f"{what} (default: %(default)s)",
        )
    parser.add_argument(
        "--accept-unmet",
        action="store_true",
        help="where the bounds cannot be kept, take the thresholds whose point estimates keep the "
        "limits on good parts; model and calibration say so",
    )


def run(arguments: argparse.Namespace) -> int:
    from train.decision import calibration
    from train.decision.decide import Requirement
    from train.evidence.frontier_chart import frontier_chart
    from train.fitting.record import read_record, resolve_ok_labels
    from train.fitting.run import Means
    from train.fitting.validation import answer
    from train.run_folder import RunFolder
    from train.written_aside import written_aside

    requirement = Requirement(
        **{field.name: getattr(arguments, field.name) for field in fields(Requirement)}
    )
    folder = RunFolder(path=arguments.run_folder)
    record = read_record(folder)
    good = resolve_ok_labels(arguments.ok_label or record.ok_labels, record.labels)
    if not good:
        raise UsageError(
            "without good parts there is nothing to calibrate: every class is a defect; name the good "
            f"ones with --ok-label (there are {', '.join(record.labels)})"
        )
    weights = calibration.weights_sha256(folder)
    held_out = answer(folder, record, Means(device="cpu"))
    made, frontier = calibration.calibrate(
        held_out.logits,
        held_out.truth,
        held_out.groups,
        record.labels,
        good,
        requirement,
        accept_unmet=arguments.accept_unmet,
        weights_sha256=weights,
        data_sha256=record.data_sha256,
        command=arguments.command_line,
    )
    chosen = made.decision.thresholds if made.decision else None
    with written_aside(folder.curve) as aside:
        aside.write_text(frontier_chart(frontier, requirement, chosen), encoding="utf-8")
    calibration.write_calibration(folder, made)
    print("\n".join(_told(made, frontier)))
    rule = made.rule  # without one, this is the error that the command ends with
    print(
        f"{folder.calibration}: defect from {rule.thresholds.defect_from:.4f}, review from "
        f"{rule.thresholds.review_from:.4f}, temperature {rule.temperature:.3f}\n{made.describe()}"
    )
    return 0


def _told(made: "Calibration", frontier: "Frontier") -> list[str]:
    """The frontier, and where the bounds are missed what would mend that."""
    from train.decision import curve

    keep = [
        position
        for position, threshold in enumerate(frontier.thresholds.tolist())
        if made.decision
        and threshold
        in (made.decision.thresholds.review_from, made.decision.thresholds.defect_from)
    ]
    lacking = made.shortfall
    if lacking and lacking.nearest is not None:
        keep.append(lacking.nearest)
    lines = [
        curve.table(frontier, made.requirement, keep),
        f"bounds one-sided, {made.requirement.confidence:.0%}; * kept, < named below",
    ]
    if lacking is None:
        return lines
    lines.append(f"bounds not met: {lacking.reason}")
    if lacking.nearest is None:
        lines.append(
            "no threshold's own shares lie within both limits: more labels for validation would not "
            "help, the model must tell the parts apart better"
        )
        return lines
    lines.append(
        f"at threshold {frontier.thresholds[lacking.nearest]:.4f} the bounds would hold with "
        f"{lacking.more_defective} more labelled defective images and {lacking.more_good} more good "
        "ones for validation, if its shares stay as they are"
    )
    return lines
