"""`edge-inspect samples list|show|export|prune`: what a station has kept for people to look at."""

import argparse
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.cli.arguments import add_state_flags, state_dir
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.sample import Claim, Reason, Sample
from edge_runtime.errors import StateError, UsageError
from edge_runtime.explanation.explainer import Explainer
from edge_runtime.explanation.heatmaps import overlay
from edge_runtime.preprocessing import fit
from edge_runtime.samples.choice import Condition, choose
from edge_runtime.samples.folder import SAMPLES, Folder, bytes_on_disk
from edge_runtime.samples.package import GROUP, PAGE, Heat, write_package

NAME = "samples"
HELP = "list, show, export or remove the frames that a station has kept"

_EPILOG = """\
examples:
  edge-inspect samples list --station L07-S3
  edge-inspect samples show --station L07-S3 M2601-000123-2
  edge-inspect samples export --station L07-S3 --out week-31 --limit 300 --bundle bundles/weld-seam
  edge-inspect samples prune --station L07-S3 --before 90

Label in week-31/labelling.html, in any browser and without a network, or in Label Studio; then
`train index week-31 --labels labels.csv --out week-31/labelled.csv`. The station may be running.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    lists = actions.add_parser("list", help="what is kept, by reason")
    lists.set_defaults(act=_list)
    lists.add_argument("--each", action="store_true", help="a line for each sample")

    shows = actions.add_parser("show", help="everything about one part's samples")
    shows.set_defaults(act=_show)
    shows.add_argument("part", metavar="PART", help="part id, or number of a verdict")

    exports = actions.add_parser("export", help="write a folder to label in")
    exports.set_defaults(act=_export)
    exports.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="new folder to write"
    )
    exports.add_argument(
        "--limit",
        type=_at_least_one,
        default=500,
        metavar="N",
        help="samples at most, each reason its share of them (default 500)",
    )
    exports.add_argument(
        "--group",
        default=GROUP,
        metavar="REGEX",
        help="what of a part id names the module, in parentheses; by default all but a last number of "
        "one or two digits",
    )
    exports.add_argument(
        "--bundle",
        metavar="BUNDLE",
        help="what decided: the page then shows where it looked, in the samples that it judged",
    )

    prunes = actions.add_parser("prune", help="remove samples")
    prunes.set_defaults(act=_prune)
    prunes.add_argument("--all", action="store_true", help="all of them")

    for action in (lists, shows, exports, prunes):
        add_state_flags(action)
        if action is not shows:
            action.add_argument(
                "--reason",
                action="append",
                default=[],
                choices=[reason.value for reason in Reason],
                help="only what is kept for this reason; may be repeated",
            )
            action.add_argument(
                "--since",
                type=_days,
                metavar="DAYS",
                help="only what was decided within so many days",
            )
            action.add_argument(
                "--before",
                type=_days,
                metavar="DAYS",
                help="only what was decided earlier than that",
            )


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns 0."""
    folder = Folder(state_dir(arguments) / SAMPLES)
    if not folder.path.is_dir():
        raise StateError(
            f"no samples at {folder.path}: none were kept yet, or give the station's --state-dir"
        )
    try:
        return int(arguments.act(folder, arguments))
    except OSError as exc:
        raise StateError(f"{folder.path} cannot be used: {exc.strerror or exc}") from exc


@dataclass(slots=True)
class _Row:
    """What there is of one reason and kind."""

    samples: int = 0
    bytes: int = 0
    first: datetime = field(default=datetime.max.replace(tzinfo=UTC))
    last: datetime = field(default=datetime.min.replace(tzinfo=UTC))

    def add(self, sample: Sample) -> None:
        self.samples += 1
        self.bytes += bytes_on_disk(sample)
        self.first = min(self.first, sample.verdict.decided_at)
        self.last = max(self.last, sample.verdict.decided_at)


def _list(folder: Folder, arguments: argparse.Namespace) -> int:
    rows: dict[Claim, _Row] = defaultdict(_Row)
    total = _Row()
    for sample in choose(folder, _condition(arguments)).samples:
        total.add(sample)
        for claim in sample.claims:
            rows[claim].add(sample)
        if arguments.each:
            print(_line(sample))
    if not arguments.each:
        order = list(Reason)
        for claim in sorted(rows, key=lambda claim: (order.index(claim.reason), claim.kind)):
            print(_summary(f"{claim.reason.value:15} {claim.kind:24}", rows[claim]))
    print(_summary(f"{'in all':40}", total))
    return 0


def _summary(name: str, row: _Row) -> str:
    if not row.samples:
        return f"{name} {0:7,} samples"
    span = f"{row.first:%F %R} to {row.last:%F %R} UTC"
    return f"{name} {row.samples:7,} samples {row.bytes / 1e6:10,.1f} MB  {span}"


def _line(sample: Sample) -> str:
    verdict = sample.verdict
    said = f"{verdict.verdict.value} {verdict.label or ''}".strip()
    reasons = ", ".join(dict.fromkeys(claim.reason.value for claim in sample.claims))
    return f"{verdict.seq:10} {verdict.decided_at:%F %T} {verdict.part_id}: {said} ({reasons})"


def _show(folder: Folder, arguments: argparse.Namespace) -> int:
    share = folder.random_share()
    found = False
    for sample in folder.samples():
        verdict = sample.verdict
        if arguments.part not in {verdict.part_id, str(verdict.seq)}:
            continue
        found = True
        print(_line(sample))
        print(f"  model {verdict.model_sha256[:16]}... of {verdict.internal_recipe_id}")
        for name, value in verdict.scores.items():
            print(f"  {name:24} {value:.3f}")
        if share is not None and sample.has(Reason.RANDOM):
            print(f"  drawn by lot, probability {share.probability(verdict.decided_at):.4g}")
        if sample.returned_label is not None:
            print(f"  re-inspected as {sample.returned_label}")
        for frame in sample.frames:
            came = "as it came" if frame.as_it_came else "lossless, from the pixels that came"
            print(f"  {folder.path / frame.file}: {frame.bytes} bytes, {came}")
    if not found:
        raise UsageError(f"nothing is kept of {arguments.part}: see edge-inspect samples list")
    return 0


def _export(folder: Folder, arguments: argparse.Namespace) -> int:
    choice = choose(folder, _condition(arguments), arguments.limit)
    with ExitStack() as resources:
        heat = None
        if arguments.bundle is not None:
            bundle = open_bundle(arguments.bundle)
            heat = _heat(resources.enter_context(Explainer(bundle)), bundle)
        packaged = write_package(folder, arguments.out, choice, group=arguments.group, heat=heat)
    counts = " ".join(f"{reason.value}={count}" for reason, count in packaged.by_reason.items())
    print(f"{arguments.out}: {packaged.samples} samples, {packaged.frames} frames ({counts})")
    for count, words in (
        (choice.left_out, f"samples left for later by --limit {arguments.limit}"),
        (packaged.not_shown, "frames left out, since no program can show them"),
        (packaged.damaged, "samples left out, since their files are damaged or gone"),
    ):
        if count:
            print(f"  {count} {words}")
    print(f"  label in {arguments.out / PAGE}")
    return 0


def _heat(explainer: Explainer, bundle: Bundle) -> Heat:
    """Where the bundle's model looked in the samples that it judged."""
    files = bundle.manifest.files
    models = {files[variant.file] for variant in bundle.manifest.variants}

    def draw(sample: Sample, number: int, pixels: Pixels) -> Pixels | None:
        label = sample.frames[number].label
        if sample.verdict.model_sha256 not in models or label is None:
            return None
        fitted = fit(pixels, bundle.manifest.model.input)
        (explanation,) = explainer.explain([fitted], [label])
        return overlay(fitted, explanation.heat)

    return draw


def _prune(folder: Folder, arguments: argparse.Namespace) -> int:
    condition = _condition(arguments)
    if condition == Condition() and not arguments.all:
        raise UsageError("say which samples: --before DAYS, --since DAYS, --reason R, or --all")
    removed = freed = 0
    for sample in folder.samples():
        if condition.holds(sample):
            folder.remove(sample.name)
            removed += 1
            freed += bytes_on_disk(sample)
    print(f"{folder.path}: {removed} samples removed, {freed / 1e6:,.1f} MB freed")
    return 0


def _condition(arguments: argparse.Namespace) -> Condition:
    return Condition(
        reasons=tuple(Reason(reason) for reason in arguments.reason),
        since=arguments.since,
        before=arguments.before,
    )


def _days(text: str) -> datetime:
    """So many days ago."""
    try:
        return datetime.now(UTC) - timedelta(days=float(text))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"expected a number of days, got {text!r}") from None


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)
