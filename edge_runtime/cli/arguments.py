"""The flags of `StationConfig`, made from its fields: one name, one help text, one place."""

import argparse
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_runtime.config import StationConfig, draft_config, load_config
from edge_runtime.errors import UsageError
from edge_runtime.mes.credentials import PASSWORD_CREDENTIAL, PASSWORD_VARIABLE

_STATE_KEYS = ("station", "state_dir")
_BROKER_KEYS = ("broker", "site", "mqtt_ca", "mqtt_certificate", "mqtt_key")

_SEVERAL = ("source",)
"""Keys that may be given more than once."""


def add_station_flags(parser: argparse.ArgumentParser) -> None:
    """One flag per configuration key, and `--config FILE`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="TOML file with the keys below; flags win over it",
    )
    _add_flags(parser, StationConfig.model_fields)


def add_state_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say where a station's state folder is, for those who look into it."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file of the station; flags win over it"
    )
    _add_flags(parser, _STATE_KEYS)


def state_dir(arguments: argparse.Namespace) -> Path:
    """The state folder that those flags, the environment and the TOML file name; it need not exist."""
    flags = {key: getattr(arguments, key) for key in _STATE_KEYS}
    draft = draft_config(flags, os.environ, arguments.config)
    if draft.value("station") is None and flags["state_dir"] is None:
        raise UsageError("--station is required, or --state-dir: say which station is meant")
    return draft.path("state_dir") or Path()


def add_broker_flags(parser: argparse.ArgumentParser) -> None:
    """The flags with which a station reaches its broker, for those who listen there."""
    _add_flags(parser, _BROKER_KEYS)


def _add_flags(parser: argparse.ArgumentParser, keys: Iterable[str]) -> None:
    parser.add_argument("--mqtt-password", action=_RefusePassword, help=argparse.SUPPRESS)
    for key in keys:
        field = StationConfig.model_fields[key]
        note = "" if field.is_required() or field.default is None else f" (default {field.default})"
        flag, words = f"--{key.replace('_', '-')}", _plain(f"{field.description}{note}")
        if field.annotation is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, dest=key, help=words)
        else:
            metavar = key.rpartition("_")[2].upper()
            action = "append" if key in _SEVERAL else "store"
            parser.add_argument(
                flag, dest=key, default=None, metavar=metavar, action=action, help=words
            )


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


def broker_config(arguments: argparse.Namespace) -> StationConfig:
    """The configuration as far as it tells how to reach the broker; the rest of it means nothing."""
    flags = {key: getattr(arguments, key) for key in _BROKER_KEYS}
    return load_config({"station": "L00-S0", "source": "none", **flags}, os.environ, None)


def station_flags(arguments: argparse.Namespace) -> Mapping[str, Any]:
    """The flags alone, by configuration key; None where a flag was not given."""
    return {key: getattr(arguments, key) for key in StationConfig.model_fields}


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("%", "%%").split())
