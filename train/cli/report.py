"""`train report`: what a run learned, from what, and how far it can be trusted, as one page."""

import argparse
from pathlib import Path

from edge_runtime.errors import UsageError
from optimize.limits import CONFIDENCE
from train.cli import fit
from train.cli.volume import configure_volume
from train.errors import RunError

NAME = "report"
HELP = "write one HTML page on a run, and a model card"

_EPILOG = """\
examples:
  train report runs/gen3 --out report.html
  train report runs/gen3 --out report.html --card MODEL_CARD.md --evaluation runs/final.json \\
               --comparison runs/arms --audit runs/gen3-audit
  train report runs/gen3 --out report.html --source-run runs/gen2 --data-dir /mnt/gen3

The page needs no network, no script and no second file. Figures are those of --evaluation; without one,
those on the images that the run held back, which its thresholds were chosen by. Layer by layer it shows
what was taken over from the run that this one started from (--source-run; by default as
--initial-weights said), and with heat maps where the network looks: both on images that were held back.
The sealed test set is not opened. What cannot be shown is listed at the page's end with the command that
makes it. An evaluation of other weights, and a file of other classes, is refused (exit code 22).
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="what train fit wrote")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="REPORT.html", help="file to write"
    )
    parser.add_argument(
        "--card", type=Path, metavar="MODEL_CARD.md", help="also write a model card, in Markdown"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    parser.add_argument("--title", help="of the page (default: from the run's name)")
    parser.add_argument(
        "--confidence",
        type=float,
        default=CONFIDENCE,
        metavar="SHARE",
        help="of the intervals (default: %(default)s)",
    )
    others = parser.add_argument_group("what other commands wrote")
    for flag, metavar, what in (
        ("evaluation", "FILE.json", "of train evaluate --json; of --final, if there is one"),
        ("comparison", "FOLDER", "of train compare"),
        ("audit", "FOLDER", "of train audit"),
        ("split", "FOLDER", "of train split, where it is now if it was moved; for its ledger"),
    ):
        others.add_argument(f"--{flag}", type=Path, metavar=metavar, help=what)
    data = parser.add_argument_group("images and earlier networks")
    data.add_argument(
        "--source-run",
        type=Path,
        metavar="FOLDER",
        help="the run on the earlier camera (default: the one that this run started from)",
    )
    data.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="where the run's images are, if they moved"
    )
    data.add_argument(
        "--source-data-dir", type=Path, metavar="DIR", help="likewise of the earlier run"
    )
    configure_volume(
        parser,
        "what the cost of errors is reckoned for, without --evaluation: that brings its own",
        rate_from="images",
    )
    fit.configure_machine(parser.add_argument_group("machine"))


def run(arguments: argparse.Namespace) -> int:
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(f"--confidence {arguments.confidence}: expected 0.5 to below 1")
    fit.require_machine(arguments)
    _require_targets(arguments)
    from train.evidence.cost import Volume
    from train.report.gathering import Wanted, gather
    from train.report.model_card import model_card
    from train.report.web_page import write_report
    from train.run_folder import RunFolder
    from train.written_aside import written_aside

    # Before the images are gone through: what the flags name must be possible.
    Volume(modules=arguments.modules_per_month, defect_rate=arguments.defect_rate or 0.0)
    source = arguments.source_run
    report = gather(
        Wanted(
            folder=RunFolder(path=arguments.run_folder),
            title=arguments.title,
            data_dir=arguments.data_dir,
            source_run=RunFolder(path=source) if source else None,
            source_data_dir=arguments.source_data_dir,
            evaluation=arguments.evaluation,
            comparison=arguments.comparison,
            audit=arguments.audit,
            split=arguments.split,
            confidence=arguments.confidence,
            modules_per_month=arguments.modules_per_month,
            defect_rate=arguments.defect_rate,
            command=arguments.command_line,
        ),
        fit.means(arguments),
        say=lambda line: print(line, flush=True),
    )
    write_report(arguments.out, report)
    if arguments.card:
        with written_aside(arguments.card) as aside:
            aside.write_text(model_card(report), encoding="utf-8")
    for each in report.missing:
        print(f"not shown: {each.what}: {each.why}")
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB, one file")
    return 0


def _require_targets(arguments: argparse.Namespace) -> None:
    """Raise an error where what is to be written cannot be, before anything is looked at."""
    named = {"--out": arguments.out, "--card": arguments.card}
    targets = {flag: target for flag, target in named.items() if target is not None}
    for flag, target in targets.items():
        if not target.parent.is_dir():
            raise UsageError(f"{flag} {target}: there is no folder {target.parent}")
        if target.is_dir():
            raise UsageError(f"{flag} {target}: expected a file, this is a folder")
        if target.exists() and not arguments.overwrite:
            raise RunError(f"{target} exists already: name another file, or say --overwrite")
    if len({target.resolve() for target in targets.values()}) < len(targets):
        raise UsageError(f"--card {arguments.card}: the page goes there; name another file")
