"""Which of a bundle's plan files may run here. Values in, a choice or an EngineError out; no I/O.

A plan was built for one compute capability by one TensorRT version and is refused by any other. Between
two that would load, the one measured on a device of the same name is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import EngineError

REBUILD = "build one on this machine with `optimize validate BUNDLE --device 0`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A serialised TensorRT engine and what it was built for and with."""

    file: Path
    sha256: str
    device: str
    """Name of the GPU that it was built on, `Tesla T4`."""
    compute_capability: str
    """`7.5`."""
    tensorrt: str
    """Version that built it, `10.16.1.11`."""


def choose_plan(
    plans: Sequence[Plan], *, device: str, compute_capability: str, tensorrt: str
) -> Plan:
    """The plan for a device of that name and capability under that TensorRT version.

    Raises EngineError that says what is here, what the plans are for, and how to get one that fits.
    """
    here = f"{device} (compute capability {compute_capability}, TensorRT {tensorrt})"
    if not plans:
        raise EngineError(f"no TensorRT engine is recorded for this variant on {here}: {REBUILD}")
    fitting = [
        plan
        for plan in plans
        if plan.compute_capability == compute_capability and plan.tensorrt == tensorrt
    ]
    if not fitting:
        there = "; ".join(
            f"{plan.device} (compute capability {plan.compute_capability}, TensorRT {plan.tensorrt})"
            for plan in plans
        )
        raise EngineError(
            f"no TensorRT engine fits {here}; those recorded are for {there}: {REBUILD}"
        )
    return next((plan for plan in fitting if plan.device == device), fitting[0])
