"""Errors of the top floor, each with the exit code a command ends with.

EdgeInspectError (edge_runtime.errors)
|- DatasetError      exit 20  a data set that cannot be learned from as it is (of optimize.errors)
|- WeightsError      exit 21  a backbone that is unknown, or initial weights that do not fit it
|- RunError          exit 22  a run folder: missing, taken, damaged, or of other settings
|- DivergenceError   exit 23  the loss became NaN or infinite
|- ExportError       exit 24  the exported model does not answer like the trained one
|- UnmetError        exit 25  no thresholds meet the bounds that were asked for
|- SealError         exit 26  a frozen split or its ledger is missing, taken, changed or damaged
|- BudgetError       exit 27  a recipe does not fit the hours or the memory there are
|- NotShownError     exit 28  a refreshed model is not shown to be no worse than the current one
"""

from edge_runtime.errors import EdgeInspectError
from optimize.errors import DatasetError as DatasetError


class WeightsError(EdgeInspectError):
    """The backbone is unknown, or the initial weights are missing or made for another backbone."""

    exit_code = 21


class RunError(EdgeInspectError):
    """The run folder cannot be used for what was asked."""

    exit_code = 22


class DivergenceError(EdgeInspectError):
    """Training diverged; the last good checkpoint is kept."""

    exit_code = 23


class ExportError(EdgeInspectError):
    """The exported model and the trained one disagree."""

    exit_code = 24


class UnmetError(EdgeInspectError):
    """The validation images do not show that any thresholds keep the required bounds."""

    exit_code = 25


class SealError(EdgeInspectError):
    """A frozen split, its sealed test set or its ledger is not as it was made."""

    exit_code = 26


class BudgetError(EdgeInspectError):
    """The recipe takes more hours or memory on this machine than there are."""

    exit_code = 27


class NotShownError(EdgeInspectError):
    """A refreshed model is worse than the current one where it matters, or may be."""

    exit_code = 28
