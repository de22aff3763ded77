import subprocess
from collections.abc import Sequence

from edge_runtime.contracts.device import Clocks
from optimize.tensorrt.nvidia_smi import UNKNOWN, ask_driver, read

# As the command prints it; the figures are of no machine.
TWO = """\
0, Tesla T4, 580.65.06, 1590, 5000, 1590, 5001
1, Tesla T4, 580.65.06, 300, 405, 1590, 5001
2, NVIDIA H100 80GB HBM3, 580.65.06, 1980, 2619, 1980, [N/A]
"""


def test_the_row_of_that_name_and_index_is_read() -> None:
    facts = read(TWO, 1, "Tesla T4")
    assert facts.driver == "580.65.06"
    assert facts.clocks == Clocks(sm_mhz=300, memory_mhz=405, max_sm_mhz=1590, max_memory_mhz=5001)


def test_where_cuda_counts_otherwise_the_name_decides() -> None:
    assert read(TWO, 0, "NVIDIA H100 80GB HBM3").clocks.sm_mhz == 1980


def test_what_the_driver_does_not_tell_is_null() -> None:
    assert read(TWO, 2, "NVIDIA H100 80GB HBM3").clocks.max_memory_mhz is None


def test_an_unknown_name_or_a_strange_answer_is_unknown_and_not_a_guess() -> None:
    for text in (TWO, "", "Failed to initialize NVML: Driver/library version mismatch\n"):
        facts = read(text, 0, "Tesla V100")
        assert facts.driver == UNKNOWN
        assert facts.clocks == Clocks()


def test_without_the_command_all_is_unknown() -> None:
    def missing(_command: Sequence[str]) -> str:
        raise FileNotFoundError("nvidia-smi")

    def failing(command: Sequence[str]) -> str:
        raise subprocess.CalledProcessError(9, command)

    for run in (missing, failing):
        assert ask_driver(0, "Tesla T4", run).driver == UNKNOWN
