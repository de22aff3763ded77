"""Errors of the middle floor, each with the exit code that `optimize` ends with.

EdgeInspectError
|- ModelError         exit 8    the ONNX file cannot be built from
|- CalibrationError   exit 9    calibration or validation images cannot be used
|- GateFailed         exit 10   the quantised model changes too many verdicts
|- PackageError       exit 11   the bundle cannot be written where it was asked for
|- TooSlow            exit 12   no engine keeps the device's latency limit
|- DatasetError       exit 20   a data set that cannot be read; train raises it as well
"""

from edge_runtime.errors import EdgeInspectError


class ModelError(EdgeInspectError):
    """An ONNX file is missing, damaged, or not of the form that `train export` writes."""

    exit_code = 8


class CalibrationError(EdgeInspectError):
    """Calibration or validation images can be read, and are of no use."""

    exit_code = 9


class GateFailed(EdgeInspectError):  # noqa: N818 - it says what happened, not what broke
    """The quantised model changes more verdicts than was agreed; no bundle was written."""

    exit_code = 10


class PackageError(EdgeInspectError):
    """A bundle cannot be written: the folder exists, is not writable, or the disk is full."""

    exit_code = 11


class TooSlow(EdgeInspectError):  # noqa: N818 - it says what happened, not what broke
    """Engines give the right verdicts and none of them fast enough; the bundle stays as it was."""

    exit_code = 12


class DatasetError(EdgeInspectError):
    """A data set cannot be read, or not used as it is: its manifest, shards, folders or classes."""

    exit_code = 20
