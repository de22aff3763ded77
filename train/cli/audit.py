"""`train audit`: what is wrong with a labelled data set, before anything is taught with it."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from edge_runtime import __version__
from edge_runtime.errors import UsageError
from train.cli.source import configure_source, configure_split, frozen_split, source
from train.data.simulated import usable_cores
from train.errors import RunError

if TYPE_CHECKING:
    from train.evidence.label_search import LabelSearch

NAME = "audit"
HELP = "find damaged, repeated, blurred and wrongly labelled images"

_EPILOG = """\
examples:
  # what is wrong with these crops? look at audits/gen3/audit.html
  train audit --data-dir runs/gen3 --out audits/gen3

  # a Gen-2 run has never seen these labels and knows the part: its features tell more
  train audit --data-dir runs/gen3 --initial-weights runs/gen2-run --out audits/gen3

  # a person fills corrected_label and exclude in audits/gen3/audit.csv; this takes the table back
  train index runs/gen3 --audit audits/gen3/audit.csv --out runs/gen3/corrected.csv
  train fit --data-dir runs/gen3 --manifest corrected.csv --output runs/first

Every file is decoded; what cannot be used is quarantined with its reason. Groups that share a
photograph are merged. Blur and exposure are judged by limits of the data set itself. Labels are judged
by a classifier taught with other groups only: it points at images for a person to look at, and half of
its suspects or more are rightly labelled. A class that stands in fewer groups than --folds is not
judged, and is named.

The folder gets audit.csv (one row per image, in the data's order), audit.json and audit.html.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    configure_source(parser, required=False)
    configure_split(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="AUDIT_FOLDER", help="folder to make"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="threads that decode (default: one per core, here %(default)s)",
    )
    parser.add_argument(
        "--near-bits",
        type=int,
        metavar="BITS",
        help="of 128 in which near duplicates may differ; 0 looks for exact ones only (default: 16)",
    )
    labels = parser.add_argument_group("label errors")
    labels.add_argument(
        "--no-label-errors", action="store_true", help="leave labels alone; no network is needed"
    )
    labels.add_argument(
        "--initial-weights",
        default="imagenet",
        metavar="FROM",
        help="whose features judge: imagenet, a weights file, or the folder of an earlier run that has "
        "not seen these labels (default: %(default)s)",
    )
    labels.add_argument(
        "--model",
        metavar="NAME",
        help="timm backbone (default: that of the earlier run, else tf_efficientnet_lite0)",
    )
    labels.add_argument(
        "--img-size",
        type=int,
        metavar="PIXELS",
        help="what the backbone sees (default: that of the earlier run, else 160)",
    )
    labels.add_argument(
        "--folds", type=int, default=5, metavar="N", help="of the groups (default: %(default)s)"
    )
    labels.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, ... (default: auto)"
    )
    labels.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the folds (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    for flag, value, least in (
        ("workers", arguments.workers, 1),
        ("folds", arguments.folds, 2),
        ("seed", arguments.seed, 0),
        ("near-bits", arguments.near_bits or 0, 0),
        ("img-size", arguments.img_size or 32, 32),
    ):
        if value < least:
            raise UsageError(f"--{flag} {value}: expected at least {least}")
    if arguments.data_dir is None and arguments.split is None:
        raise UsageError("--data-dir or --split is needed: where the labelled images are")
    from edge_runtime.likeness import LIMIT
    from train.data.audit import AUDIT_SCHEMA, COLUMNS, Audit
    from train.data.duplicates import find_duplicates
    from train.data.flags import flag as flag_images
    from train.data.survey import survey
    from train.evidence.audit_page import write_audit_page
    from train.written_aside import write_csv, written_aside

    _make_folder(arguments.out)
    began = time.monotonic()
    split = frozen_split(arguments)
    dataset = split.teaching()[0] if split else source(arguments).read()
    # Before the images are gone through: what the flags name must be possible.
    search = None if arguments.no_label_errors else _label_search(arguments, dataset.labels)
    with _bar("looking", len(dataset.samples)) as bar:
        seen = survey(dataset, workers=arguments.workers, progress=bar.update)
    surveyed = time.monotonic()
    near_bits = LIMIT if arguments.near_bits is None else arguments.near_bits
    duplicates = find_duplicates(seen, near_bits)
    suspicions = None
    if search is not None:
        with _bar("judging labels", len(seen.usable)) as bar:
            components = search.components(seen, bar.update)
        suspicions = search.judge(components, seen, duplicates.groups)
    audit = Audit(
        seen=seen,
        duplicates=duplicates,
        flagged=flag_images(seen.measures, seen.usable),
        suspicions=suspicions,
    )
    record: dict[str, Any] = {
        "schema": AUDIT_SCHEMA,
        "audited_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "command": arguments.command_line,
        "data": str(dataset.root),
        "settings": {
            "near_bits": near_bits,
            "folds": arguments.folds,
            "seed": arguments.seed,
            "features": search.describe() if search else None,
        },
        "seconds": {
            "survey": round(surveyed - began, 1),
            "all": round(time.monotonic() - began, 1),
        },
        **audit.counts(),
    }
    write_csv(arguments.out / "audit.csv", COLUMNS, audit.rows())
    write_audit_page(arguments.out / "audit.html", audit, record)
    with written_aside(arguments.out / "audit.json") as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for line in audit.concerns():
        print(f"warning: {line}", file=sys.stderr)
    print(audit.summary())
    print(f"written to {arguments.out}: audit.html to look at, audit.csv to correct")
    return 0


def _label_search(arguments: argparse.Namespace, labels: Sequence[str]) -> "LabelSearch":
    from train.evidence.label_search import open_search

    return open_search(
        arguments.initial_weights,
        labels,
        model=arguments.model,
        side=arguments.img_size,
        folds=arguments.folds,
        seed=arguments.seed,
        device=arguments.device,
        workers=arguments.workers,
    )


def _make_folder(out: Path) -> None:
    if (out / "audit.csv").exists():
        raise RunError(
            f"{out} holds an audit already, perhaps corrected by hand: choose another --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RunError(f"cannot make the folder {out}: {exc.strerror}") from exc


def _bar(what: str, total: int) -> "tqdm[Any]":
    return tqdm(total=total, desc=what, unit="img", file=sys.stderr, disable=None, leave=False)
