"""The flags of `StationConfig`, made from its fields: one name, one help text, one place."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.config import StationConfig, load_config
from edge_runtime.mes.credentials import PASSWORD_CREDENTIAL, PASSWORD_VARIABLE


def add_station_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per configuration key, and `--config FILE`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with the keys below; flags win over it",
    )
    parser.add_argument("--mqtt-password", action=_RefusePassword, help=argparse.SUPPRESS)
    for key, field in StationConfig.model_fields.items():
        note = "" if field.is_required() or field.default is None else f" (default {field.default})"
        flag, words = f"--{key.replace('_', '-')}", _plain(f"{field.description}{note}")
        if field.annotation is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, dest=key, help=words)
        else:
            metavar = key.rpartition("_")[2].upper()
            parser.add_argument(flag, dest=key, default=None, metavar=metavar, help=words)


class _RefusePassword(argparse.Action):
    """Catches what would else be an unknown flag, which argparse repeats with its value."""

    def __call__(self, parser: argparse.ArgumentParser, *_arguments: object) -> None:
        parser.error(
            "every user of this machine sees the command line: put the password into "
            f"{PASSWORD_VARIABLE} or the systemd credential {PASSWORD_CREDENTIAL}"
        )


def station_config(arguments: argparse.Namespace) -> StationConfig:
    """The configuration these arguments, the environment and the TOML file add up to."""
    return load_config(station_flags(arguments), os.environ, arguments.config)


def station_flags(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """The flags alone, by configuration key; None where a flag was not given."""
    return {key: getattr(arguments, key) for key in StationConfig.model_fields}


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("%", "%%").split())
