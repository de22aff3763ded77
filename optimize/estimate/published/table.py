"""Reads the published results and fits the efficiency to them; opens nothing but its own files."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from optimize.estimate.devices import DEVICES
from optimize.estimate.efficiency import Result, calibrate
from optimize.estimate.layers import Layer, Precision, from_json
from optimize.estimate.reckoning import Basis
from optimize.estimate.roofline import bounds, total

NETWORKS = ("efficientnet_b0_small", "mobilenet_v1", "resnet18", "resnet50")
"""Of which a layer table lies here, at 224x224."""


def layers(network: str) -> tuple[Layer, ...]:
    """The layers of one of NETWORKS."""
    return from_json((_HERE / f"{network}.json").read_text(encoding="utf-8"))


@cache
def basis() -> Basis:
    """The fit to all published results."""
    return Basis(
        calibration=calibrate(results()),
        device=DEVICES[_document()["device"]],
        kinds=frozenset(layer.kind for network in NETWORKS for layer in layers(network)),
    )


def results() -> tuple[Result, ...]:
    """All published results, with the bound of each."""
    document = _document()
    device = DEVICES[document["device"]]
    tables = {network: layers(network) for network in NETWORKS}
    found = []
    for row in document["results"]:
        source, network, precision, batch, milliseconds, copied = row
        least = bounds(tables[network], device, batch, Precision(precision))
        found.append(
            Result(
                network=network,
                precision=Precision(precision),
                batch=batch,
                seconds=milliseconds / 1000,
                copied=copied,
                source=document["sources"][source],
                layers=len(least),
                bound=total(least),
            )
        )
    return tuple(found)


_HERE = files(__package__)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((_HERE / "results.json").read_text(encoding="utf-8"))
    return document
