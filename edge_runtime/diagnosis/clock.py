"""Whether the kernel holds its clock to be right: adjtimex(2), asked without changing anything."""

import ctypes
import os
from dataclasses import dataclass

_STA_UNSYNC = 0x40


class _Timex(ctypes.Structure):
    """The beginning of `struct timex`; what follows is room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """What the kernel knows of its clock."""

    synchronised: bool
    """Something disciplines it: chrony, systemd-timesyncd, PTP."""
    greatest_error_s: float
    """How wrong it may be at most, seconds, as that something said."""


def clock_state() -> ClockState:
    """Ask the kernel; raises OSError where it does not tell."""
    timex = _Timex()  # modes 0: read only
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ClockState(
        synchronised=not timex.status & _STA_UNSYNC, greatest_error_s=timex.maxerror / 1e6
    )
