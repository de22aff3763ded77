"""A device record for people. Text from values."""

from edge_runtime.contracts.device import Clocks, DeviceRecord
from optimize import report
from optimize.tensorrt.acceptance import explain_choice


def describe(record: DeviceRecord) -> str:
    """What was validated, on what, how fast it is, and what runs there."""
    rows = [(engine.precision, row) for engine in record.engines for row in engine.latency]
    lines = [
        f"{record.name}, compute capability {record.compute_capability}, TensorRT {record.tensorrt}",
        f"driver {record.driver}, CUDA {record.cuda}, clocks {_clocks(record.clocks)}",
        f"verdicts against {record.reference}, on {record.dataset}",
        "",
        report.latency_table(rows),
        "",
        *(
            f"{engine.precision} {'passed' if engine.passed else 'FAILED'}: {engine.reason}"
            for engine in record.engines
        ),
        f"chosen here: {explain_choice(record.engines)}",
    ]
    return "\n".join(lines)


def _clocks(clocks: Clocks) -> str:
    def pair(now: int | None, most: int | None) -> str:
        return f"{'?' if now is None else now} of {'?' if most is None else most} MHz"

    return (
        f"SM {pair(clocks.sm_mhz, clocks.max_sm_mhz)}, "
        f"memory {pair(clocks.memory_mhz, clocks.max_memory_mhz)}"
    )
