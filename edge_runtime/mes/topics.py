"""Where a station speaks: `inspection/<site>/<line>/<station>/...`.

Every level is validated where it comes from (`Name`, `StationId`), so no topic can hold a wildcard.
"""

import re
from dataclasses import dataclass
from typing import Final

from edge_runtime.contracts.station_id import StationId

_BASE: Final = re.compile(r"inspection/([A-Za-z0-9][A-Za-z0-9._-]{0,63})/([^/]+)/([^/]+)/.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """The topics of one station at one site."""

    site: str
    station: StationId

    @property
    def verdict(self) -> str:
        """One message per part: QoS 1, not retained."""
        return f"{self._base}/verdict"

    @property
    def availability(self) -> str:
        """Retained: `online`, `stopped`, or `offline` as the last will."""
        return f"{self._base}/availability"

    @property
    def health(self) -> str:
        """Retained: the `Health` contract as JSON."""
        return f"{self._base}/health"

    @property
    def journal(self) -> str:
        """Retained: the `JournalHead` contract as JSON."""
        return f"{self._base}/journal"

    @property
    def drift(self) -> str:
        """Retained: the `DriftReport` contract as JSON."""
        return f"{self._base}/drift"

    @property
    def retrain(self) -> str:
        """Retained: the `RetrainState` contract as JSON."""
        return f"{self._base}/retrain"

    @property
    def trigger(self) -> str:
        """Where the station listens for a `Trigger` where its parts are announced over MQTT."""
        return f"{self._base}/trigger"

    @property
    def replay(self) -> str:
        """Verdicts sent again on request: QoS 1, not retained."""
        return f"{self._base}/replay"

    @property
    def replay_set(self) -> str:
        """Where the station listens for a `ReplayRequest`."""
        return f"{self._base}/replay/set"

    @property
    def replay_answer(self) -> str:
        """The `ReplayAnswer` to each request: QoS 1, not retained."""
        return f"{self._base}/replay/answer"

    @property
    def label(self) -> str:
        """Where the station listens for a `Label`."""
        return f"{self._base}/label"

    @property
    def label_answer(self) -> str:
        """The `LabelAnswer` to each label: QoS 1, not retained."""
        return f"{self._base}/label/answer"

    @property
    def _base(self) -> str:
        return f"inspection/{self.site}/{self.station.line}/{self.station.station}"


def station_of(topic: str) -> Topics | None:
    """The topics of the station that a topic belongs to; None where it is no station's."""
    match = _BASE.fullmatch(topic)
    if match is None:
        return None
    site, line, station = match.groups()
    try:
        return Topics(site=site, station=StationId.parse(f"{line}-{station}"))
    except ValueError:
        return None


def everything_of(site: str, whom: StationId | str | None = None) -> str:
    """The filter for all that a station, a line (`L07`) or every station of a site says."""
    match whom:
        case None:
            return f"inspection/{site}/#"
        case StationId():
            return f"inspection/{site}/{whom.line}/{whom.station}/#"
        case _:
            return f"inspection/{site}/{whom}/#"


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a subscription's filter with its `+` and `#`."""
    levels = topic.split("/")
    for index, wanted in enumerate(topic_filter.split("/")):
        if wanted == "#":
            return True
        if index >= len(levels) or wanted not in ("+", levels[index]):
            return False
    return len(topic_filter.split("/")) == len(levels)
