"""Errors of the middle floor, each with the exit code that `optimize` ends with.

EdgeInspectError
|- ModelError         exit 8    the ONNX file cannot be built from
|- CalibrationError   exit 9    calibration or validation images cannot be used
|- GateFailed         exit 10   the quantised model changes too many verdicts
|- PackageError       exit 11   the bundle cannot be written where it was asked for
"""

from edge_runtime.errors import EdgeInspectError


class ModelError(EdgeInspectError):
    """An ONNX file is missing, damaged, or not of the form that `train export` writes."""

    exit_code = 8


class CalibrationError(EdgeInspectError):
    """A folder of calibration or validation images holds nothing usable."""

    exit_code = 9


class GateFailed(EdgeInspectError):  # noqa: N818 - it says what happened, not what broke
    """The quantised model changes more verdicts than was agreed; no bundle was written."""

    exit_code = 10


class PackageError(EdgeInspectError):
    """A bundle cannot be written: the folder exists, is not writable, or the disk is full."""

    exit_code = 11
