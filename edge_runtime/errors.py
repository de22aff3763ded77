"""Errors of the edge runtime, each with the exit code a command ends with.

    EdgeInspectError              exit 1
    |- UsageError                 exit 2   the command line, the TOML file or an environment variable
    |- BundleError                exit 3   a bundle that is missing, damaged or made for something else
    |- CameraError                exit 4   a source that cannot be opened or read
    |- EngineError                exit 5   an inference engine that is missing or cannot run the model
    |  `- EngineHangsError        exit 5   one that was given work and never came back
    |- BrokerError                exit 6   an MQTT address or session that cannot work
    |- StateError                 exit 7   the state folder: journal unreadable, locked, damaged
    |  `- DiskFullError           exit 7   its disk has no room
    `- ServiceError               exit 13  what supervises the station cannot be served

A message is one line: what happened, the value that was seen, and how to mend it. Vendor errors are
translated once, at the adapter that owns the vendor (`raise ... from exc`). Floors above derive their
own errors from `EdgeInspectError`, so that every command reports alike.
"""

from typing import ClassVar


class EdgeInspectError(Exception):
    """Base of every error that a user can cause and mend; the message is one complete line."""

    exit_code: ClassVar[int] = 1


class UsageError(EdgeInspectError):
    """The command line, configuration file or environment asks for something that cannot be."""

    exit_code = 2


class BundleError(EdgeInspectError):
    """A bundle is missing, damaged, or does not fit what it is used for."""

    exit_code = 3


class CameraError(EdgeInspectError):
    """A frame source cannot be opened, or stopped in a way that waiting will not mend."""

    exit_code = 4


class EngineError(EdgeInspectError):
    """An inference engine is not installed, or refuses the model or its input."""

    exit_code = 5


class EngineHangsError(EngineError):
    """An engine does not come back: its thread cannot be ended, only the process can."""


class BrokerError(EdgeInspectError):
    """An MQTT broker address is malformed, or the broker refuses this station for good."""

    exit_code = 6


class StateError(EdgeInspectError):
    """The state folder cannot be used: unreadable, locked by another daemon, damaged, or full."""

    exit_code = 7


class DiskFullError(StateError):
    """The disk under the state folder has no room for what must be written."""


class ServiceError(EdgeInspectError):
    """Probes and scrapes cannot be answered: the address is taken, or not there yet."""

    exit_code = 13


def first_line(exc: BaseException) -> str:
    """The first line of a foreign error's message."""
    return str(exc).strip().partition("\n")[0]
