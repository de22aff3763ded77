"""`edge-inspect audit`: is the journal whole and unchanged, and what does it say about a part?"""

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge_runtime.cli.arguments import add_station_flags, station_flags
from edge_runtime.config import ConfigDraft, draft_config
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import StateError, UsageError
from edge_runtime.journal.audit import AuditReport, Record, audit, find, read_heads
from edge_runtime.mes.credentials import read_credentials
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.topics import Topics

NAME = "audit"
HELP = "verify the journal's hash chain, or show what it holds about a part"

_EPILOG = """\
examples:
  edge-inspect audit --station L07-S3
  edge-inspect audit --state-dir /var/lib/edge-inspect/L07-S3 --heads archive/journal-heads.jsonl
  edge-inspect audit --station L07-S3 --broker mqtt://mes.local --published
  edge-inspect audit --station L07-S3 --part M2601-000123-2

A chain that was rewritten from some verdict to its end is consistent in itself. Only heads that were
published meanwhile and kept elsewhere show that: give them with --heads (JSON lines, as written by
`mosquitto_sub -t 'inspection/+/+/+/journal'`), or take the broker's last one with --published.

The station may be running. Exit code 0 when all holds, 7 when something does not.
"""
_HEAD_WITHIN_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_station_flags(parser)
    parser.add_argument(
        "--heads",
        type=Path,
        action="append",
        default=[],
        help="file of published heads, JSON lines",
    )
    parser.add_argument(
        "--published", action="store_true", help="compare with the head that the broker retains"
    )
    parser.add_argument("--seq", type=int, help="show the verdict with this number")
    parser.add_argument("--part", help="show the verdicts about this part")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; returns 0, or 7 where the journal does not hold."""
    draft = draft_config(station_flags(arguments), os.environ, arguments.config)
    path = (draft.path("state_dir") or Path()) / "journal.sqlite"
    if arguments.seq is not None or arguments.part is not None:
        records = find(path, seq=arguments.seq, part_id=arguments.part)
        for record in records:
            print(_as_json(record) if arguments.json else _told(record))
        if not records:
            raise StateError(f"{path} holds no such verdict: pruned, or of another station")
        return 0
    heads = tuple(_heads(arguments, draft))
    began = time.monotonic()
    report = audit(path, heads, on_progress=_progress if sys.stderr.isatty() else _quiet)
    if arguments.json:
        print(_as_json(report))
    else:
        _print_report(path, report, time.monotonic() - began)
    return StateError.exit_code if report.broken else 0


def _heads(arguments: argparse.Namespace, draft: ConfigDraft) -> Iterator[JournalHead]:
    if not (arguments.heads or arguments.published):
        return
    if draft.value("station") is None:
        raise UsageError("--station is required: say whose heads to compare with")
    station = StationId.parse(str(draft.value("station")))
    site = str(draft.value("site"))
    found = False
    for file in arguments.heads:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
            heads = read_heads(lines, (site, station.line, station.station))
        except OSError as exc:
            raise UsageError(f"{file} cannot be read: {exc.strerror}") from exc
        except ValueError as exc:
            raise UsageError(f"{file}: {exc}") from exc
        found |= bool(heads)
        yield from heads
    if arguments.heads and not found:
        raise UsageError(
            f"{', '.join(map(str, arguments.heads))}: no head of station {station} at site {site}, so "
            "nothing to compare with: check --station and --site, or give another file"
        )
    if arguments.published:
        topic = Topics(site=site, station=station).journal
        credentials = read_credentials(
            os.environ,
            ca=draft.path("mqtt_ca"),
            certificate=draft.path("mqtt_certificate"),
            key=draft.path("mqtt_key"),
        )
        broker_address = str(draft.value("broker"))
        with closing(open_subscriber(broker_address, topic, credentials=credentials)) as broker:
            message = broker.receive(_HEAD_WITHIN_S)
        if message is None:
            raise UsageError(
                f"the broker retains nothing on {topic}: check --site, --station and --broker"
            )
        yield JournalHead.model_validate_json(message.payload)


def _print_report(path: Path, report: AuditReport, seconds: float) -> None:
    head = report.head
    print(f"{path}: verdicts {head.first_seq} to {head.last_seq}, {report.checked} checked", end="")
    print(f" ({report.checked / max(seconds, 1e-9):,.0f} per second)")
    if report.kept_apart:
        print(f"  {report.kept_apart} more are kept from before the chain's beginning")
    print(
        f"  {report.acknowledged} acknowledged, {report.pending} wait for the broker, "
        f"{report.refused} refused by it"
    )
    print(f"  {report.compared} published heads lie within and were compared")
    print(f"  head {head.sha256.hex()}")
    for finding in report.findings:
        print(f"FAIL {finding}")
    if report.broken > len(report.findings):
        print(f"FAIL and {report.broken - len(report.findings)} more")
    if not report.broken:
        print("ok   the chain is whole")


def _told(record: Record) -> str:
    verdict = record.verdict
    if record.refusal is not None:
        fate = f"refused by the broker at {record.answered_at:%F %T} UTC: {record.refusal}"
    elif record.answered_at is not None:
        fate = f"acknowledged by the broker at {record.answered_at:%F %T} UTC"
    else:
        fate = "not acknowledged by the broker yet"
    label = verdict["label"]
    seen = f"{label} (p={verdict['scores'][label]:.3f})" if label else verdict["reason"]
    limits = ", ".join(f"{name} {value:.3f}" for name, value in verdict["thresholds"].items())
    return (
        f"verdict {record.seq}: part {verdict['part_id']} {verdict['verdict']}: {seen}\n"
        f"  captured {verdict['captured_at']}, decided {verdict['decided_at']}\n"
        f"  recipe {verdict.get('internal_recipe_id') or verdict.get('bundle')}, "
        f"model {verdict['model_sha256'][:16]}..., {limits}\n"
        f"  {fate}"
    )


def _as_json(value: AuditReport | Record) -> str:
    return json.dumps(
        dataclasses.asdict(value),
        default=lambda item: item.hex() if isinstance(item, bytes) else item.isoformat(),
    )


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\r{done:,} of {total:,} verdicts", end=end, file=sys.stderr, flush=True)


def _quiet(_done: int, _total: int) -> None:
    pass
