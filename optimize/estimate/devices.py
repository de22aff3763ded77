"""Devices as their makers describe them.

Peaks are of dense matrices: where a data sheet gives a figure with structured sparsity, half of it
stands here. float32 is what the name says, without TF32. A peak is reached by no network; `efficiency`
says how near published results come.
"""

from dataclasses import dataclass

from optimize.estimate.layers import Precision

_TERA, _GIGA, _MIB = 1e12, 1e9, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One row of the table."""

    key: str
    """As it is written on the command line."""
    name: str
    peaks: dict[Precision, float]
    """Operations per second, a multiply-accumulate counted as two."""
    bandwidth: float
    """Bytes per second of its memory."""
    l2: int | None
    """Bytes of its last cache; None where the sources give none."""
    source: str
    """Where the figures are from."""


def _row(
    key: str,
    name: str,
    tera: tuple[float, float, float],
    gigabytes: float,
    l2_mib: int | None,
    source: str,
) -> Device:
    peaks = zip((Precision.FLOAT32, Precision.FP16, Precision.INT8), tera, strict=True)
    return Device(
        key=key,
        name=name,
        peaks={precision: value * _TERA for precision, value in peaks},
        bandwidth=gigabytes * _GIGA,
        l2=None if l2_mib is None else l2_mib * _MIB,
        source=source,
    )


# fmt: off
_ROWS = (
    #    key              name                     fp32   fp16   int8    GB/s  L2 MiB
    _row("t4",            "NVIDIA T4",             (8.1,   65.0, 130.0), 320.0, 4,
         "NVIDIA T4 data sheet (2019); L2: NVIDIA Turing whitepaper"),
    _row("l4",            "NVIDIA L4",             (30.3, 121.0, 242.5), 300.0, 48,
         "NVIDIA L4 data sheet (2023), half of its sparse tensor figures; L2: Ada whitepaper"),
    _row("a2",            "NVIDIA A2",             (4.5,   18.0,  36.0), 200.0, None,
         "NVIDIA A2 data sheet (2021)"),
    _row("a10",           "NVIDIA A10",            (31.2, 125.0, 250.0), 600.0, 6,
         "NVIDIA A10 data sheet (2021); L2: GA102 whitepaper"),
    _row("rtx-3060",      "GeForce RTX 3060 12GB", (12.7,  51.0, 102.0), 360.0, 3,
         "NVIDIA product page; tensor peaks by cores and boost clock as of the GA102 whitepaper"),
    _row("agx-orin-64gb", "Jetson AGX Orin 64GB",  (5.3,   42.5,  85.0), 204.8, 4,
         "Jetson AGX Orin technical brief v1.2: the GPU alone, half of its sparse figures"),
    _row("orin-nx-16gb",  "Jetson Orin NX 16GB",   (1.9,   15.0,  30.0), 102.4, None,
         "Jetson Orin NX data sheet: the GPU alone, half of its sparse figures"),
    _row("orin-nano-8gb", "Jetson Orin Nano 8GB",  (1.3,   10.0,  20.0),  68.0, None,
         "Jetson Orin Nano data sheet (before its `Super` clocks), half of its sparse figures"),
)
# fmt: on

DEVICES = {device.key: device for device in _ROWS}
"""By key."""
