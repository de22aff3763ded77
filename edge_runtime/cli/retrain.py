"""`edge-inspect retrain`: how the retraining rules stand, which requests are open."""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.assembly.retraining import retrain_limits
from edge_runtime.bundle import open_bundle
from edge_runtime.cli.arguments import add_station_flags, station_config
from edge_runtime.config import StationConfig
from edge_runtime.engines.catalogue import target
from edge_runtime.errors import UsageError
from edge_runtime.retraining.memory import read_memory
from edge_runtime.retraining.pack import EVIDENCE, open_pack, packs, zip_pack
from edge_runtime.retraining.triggers import Triggers

NAME = "retrain"
HELP = "how the retraining rules stand, open requests, and their evidence packs"

_EPILOG = """\
examples:
  edge-inspect retrain check --config /etc/edge-inspect/L07-S3.toml   the rules and how they stand
  edge-inspect retrain show --config /etc/edge-inspect/L07-S3.toml    open requests and their packs
  edge-inspect retrain pack --config /etc/edge-inspect/L07-S3.toml --out L07-S3.zip

A station asks and never retrains by itself. The rules are the [retrain] table of its configuration. A
request is open until another bundle runs; `train refresh --evidence L07-S3.zip` answers it. The daemon
may run or not.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", choices=("check", "show", "pack"), help="see below")
    parser.add_argument(
        "--id", metavar="ID", help="of the request whose pack is meant (default: the newest)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.zip", help="where the pack goes")
    add_station_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked; returns 0."""
    config = station_config(arguments)
    if arguments.what == "pack":
        print(_pack(config, arguments.id, arguments.out))
        return 0
    bundle = open_bundle(config.bundle)
    variant = bundle.variant(config.variant, target(config.engine))
    memory = read_memory(
        config.state_dir, bundle=bundle.title, model_sha256=bundle.manifest.files[variant.file]
    )
    triggers = Triggers(retrain_limits(config), memory)
    lines = _requests(config, triggers) if arguments.what == "show" else _rules(config, triggers)
    print(f"{config.station}, bundle {bundle.title}")
    print("\n".join(lines))
    return 0


def _rules(config: StationConfig, triggers: Triggers) -> Iterator[str]:
    if not config.retrain_watch:
        yield "switched off (retrain_watch = false)"
    for each in triggers.standings():
        since = f" since {each.since:%Y-%m-%d %H:%M} UTC" if each.since else ""
        yield f"{each.standing:<9} {each.rule:<15} {each.words}{since}"


def _requests(config: StationConfig, triggers: Triggers) -> Iterator[str]:
    there = packs(config.state_dir)
    if not triggers.requests:
        yield "no request is open"
    for request in triggers.requests:
        yield f"{request.id}: {request.words}"
        if request.evidence in there:
            yield f"  evidence: {config.state_dir / EVIDENCE / str(request.evidence)}"
        else:
            yield "  evidence: none is kept"


def _pack(config: StationConfig, wanted: str | None, out: Path | None) -> str:
    there = packs(config.state_dir)
    if not there:
        raise UsageError(
            f"{config.state_dir} holds no evidence pack: the station asked for nothing"
        )
    name = wanted or there[-1]
    if name not in there:
        raise UsageError(f"--id {name}: no such pack; there are {', '.join(there)}")
    target_file = out or Path(f"{name}.zip")
    folder = config.state_dir / EVIDENCE / name
    made = open_pack(folder)
    zip_pack(folder, target_file)
    return os.linesep.join(
        [
            f"{target_file}: {made.request.words}",
            *(f"  {file}" for file in made.files),
            *(f"  without {lacking}" for lacking in made.missing),
        ]
    )
