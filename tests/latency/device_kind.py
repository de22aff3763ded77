"""The kind of device that a baseline holds for: who made the processor, and its widest int8 arithmetic.

A ratio between two variants depends on little else; the model's name and clock are recorded beside it.
"""

import platform
import re
import shutil
import subprocess
from pathlib import Path

_X86 = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2")
_ARM = ("i8mm", "asimddp", "asimd")
_MAKERS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "0x41": "arm"}


def kind(cpuinfo: str, machine: str) -> str:
    """Such as `amd avx512_vnni`; the machine's architecture alone where nothing else is told."""
    flags = set(_field(cpuinfo, "flags|Features").split())
    widest = next((name for name in (*_X86, *_ARM) if name in flags), "")
    maker = _field(cpuinfo, "vendor_id|CPU implementer")
    return " ".join(filter(None, (_MAKERS.get(maker, maker), widest))) or machine


def kind_here() -> str:
    """The kind of this machine."""
    file = Path("/proc/cpuinfo")
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return kind(text, platform.machine())


def gpus(listing: str) -> tuple[str, ...]:
    """The names in what `nvidia-smi --query-gpu=name --format=csv,noheader` printed."""
    return tuple(line.strip() for line in listing.splitlines() if line.strip())


def gpus_here() -> tuple[str, ...]:
    """Names of the GPUs of this machine; none where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(query, check=False, capture_output=True, text=True, timeout=30)
    return gpus(done.stdout) if done.returncode == 0 else ()


def is_t4(name: str) -> bool:
    """`Tesla T4`, `NVIDIA T4`; not `T400` nor `T4G`."""
    return re.search(r"\bT4\b", name) is not None


def _field(cpuinfo: str, names: str) -> str:
    found = re.search(rf"^(?:{names})\s*:\s*(.*)$", cpuinfo, re.MULTILINE)
    return found.group(1).strip() if found else ""
