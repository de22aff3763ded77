"""A station's state as Prometheus reads it: `Health` and durations in, the text of a scrape out.

Owns the names. They begin with `edge_inspect_`, measure in base units and count upwards in `_total`;
renaming one breaks somebody's alarm. Holds no counter of its own: each scrape is made from the state
that is published over MQTT, so that the two never disagree.
"""

import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_runtime import __version__
from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.service.distribution import BOUNDS_S, Distribution

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "edge_inspect"
_LEVELS = {
    DriftLevel.NOT_MONITORED: -1,
    DriftLevel.OK: 0,
    DriftLevel.WARNING: 1,
    DriftLevel.ALARM: 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one scrape shows."""

    health: Health
    drift: DriftReport
    stages: Mapping[str, Distribution]
    """Durations by stage: `edge_runtime.health.STAGES`."""
    stalled_s: float
    """How long what the station owes has been owed, seconds."""
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    help: str
    value: Callable[[State], float]
    counter: bool = True


_ROWS = (
    _Row(name="frames", help="Frames taken in for parts.", value=lambda s: s.health.frames),
    _Row(name="parts", help="Parts announced.", value=lambda s: s.health.parts),
    _Row(
        name="frames_unasked",
        help="Frames that no part waited for.",
        value=lambda s: s.health.frames_unasked,
    ),
    _Row(
        name="triggers_repeated",
        help="Triggers that had come before.",
        value=lambda s: s.health.triggers_repeated,
    ),
    _Row(
        name="triggers_ignored",
        help="Triggers that could not be read or came too fast.",
        value=lambda s: s.health.triggers_ignored,
    ),
    _Row(
        name="parts_shed",
        help="Parts not inspected because of overload.",
        value=lambda s: s.health.shed,
    ),
    _Row(
        name="verdicts_acknowledged",
        help="Verdicts that the broker has acknowledged.",
        value=lambda s: s.health.acknowledged,
    ),
    _Row(
        name="broker_connections",
        help="Sessions with the broker since the start.",
        value=lambda s: s.health.connections,
    ),
    _Row(
        name="replay_requests_ignored",
        help="Replay requests that came too fast to be answered.",
        value=lambda s: s.health.requests_ignored,
    ),
    _Row(
        name="verdicts_not_mirrored",
        help="Verdicts that the Sparkplug mirror did not send.",
        value=lambda s: s.health.not_mirrored,
    ),
    _Row(
        name="samples_lost",
        help="Parts that were to be kept as samples and were not.",
        value=lambda s: s.health.samples_lost,
    ),
    _Row(
        name="samples",
        help="Samples that are kept on the station's disk.",
        value=lambda s: s.health.samples,
        counter=False,
    ),
    _Row(
        name="verdicts_pending",
        help="Verdicts in the journal that wait for the broker.",
        value=lambda s: s.health.pending,
        counter=False,
    ),
    _Row(
        name="verdicts_refused",
        help="Verdicts in the journal that the broker refused for good, of all runs.",
        value=lambda s: s.health.refused,
        counter=False,
    ),
    _Row(
        name="drift_level",
        help="0 as in training, 1 warning, 2 alarm, -1 not monitored.",
        value=lambda s: _LEVELS[s.drift.level],
        counter=False,
    ),
    _Row(
        name="drift_parts",
        help="Parts watched for drift.",
        value=lambda s: s.drift.parts,
    ),
    _Row(
        name="drift_history_lost",
        help="Minutes of the drift history that the disk did not take.",
        value=lambda s: s.health.history_lost,
    ),
    _Row(
        name="problem",
        help="1 while something is wrong, else 0; the health topic says what.",
        value=lambda s: s.health.problem is not None,
        counter=False,
    ),
    _Row(
        name="ready",
        help="1 while parts are inspected and recorded, else 0: what /readyz answers.",
        value=lambda s: s.ready,
        counter=False,
    ),
    _Row(
        name="stalled_seconds",
        help="How long a frame or a verdict has been waited for.",
        value=lambda s: s.stalled_s,
        counter=False,
    ),
    _Row(
        name="uptime_seconds",
        help="Since the station was opened.",
        value=lambda s: s.health.uptime_s,
        counter=False,
    ),
)


def exposition(state: State) -> bytes:
    """The answer to a scrape: the text format of `CONTENT_TYPE`, UTF-8."""
    registry = CollectorRegistry()
    registry.register(_StateCollector(state))
    ProcessCollector(namespace=_PREFIX, registry=registry)
    return generate_latest(registry)


class _StateCollector(Collector):
    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        state, health = self._state, self._state.health
        yield InfoMetricFamily(
            f"{_PREFIX}_build",
            "Which program runs.",
            {"version": __version__, "python": platform.python_version()},
        )
        yield InfoMetricFamily(
            f"{_PREFIX}_station",
            "Which station it is, and with which model and engine.",
            {
                "site": health.site,
                "line": health.line,
                "station": health.station,
                "bundle": health.bundle,
                "engine": health.engine,
            },
        )
        for row in _ROWS:
            kind = CounterMetricFamily if row.counter else GaugeMetricFamily
            yield kind(f"{_PREFIX}_{row.name}", row.help, float(row.value(state)))
        verdicts = CounterMetricFamily(
            f"{_PREFIX}_verdicts", "Verdicts committed.", labels=("outcome",)
        )
        for outcome, count in health.verdicts.items():
            verdicts.add_metric((outcome,), count)
        yield verdicts
        reasons = CounterMetricFamily(
            f"{_PREFIX}_not_inspected",
            "Verdicts that inspected nothing, by the code of the reason.",
            labels=("reason",),
        )
        for code, count in health.not_inspected.items():
            reasons.add_metric((code,), count)
        yield reasons
        effects = GaugeMetricFamily(
            f"{_PREFIX}_drift_effect",
            "Shift from training in standard deviations; of shares and scores Cohen's h.",
            labels=("statistic",),
        )
        for statistic, effect in state.drift.effects.items():
            effects.add_metric((statistic,), effect)
        yield effects
        figures = GaugeMetricFamily(
            f"{_PREFIX}_drift_figure",
            "Estimated without labels, or measured from labels that came back, with its interval.",
            labels=("figure", "how", "bound"),
        )
        for how, found in (
            ("estimated", state.drift.estimated),
            ("measured", state.drift.measured),
        ):
            for name in ("macro_f1", "defect_recall", "false_positive_rate"):
                figure = None if found is None else getattr(found, name)
                if figure is not None:
                    for bound in ("low", "value", "high"):
                        figures.add_metric((name, how, bound), getattr(figure, bound))
        yield figures
        durations = HistogramMetricFamily(
            f"{_PREFIX}_stage_duration_seconds",
            "Where a frame's time goes; acknowledge is from its arrival to the PUBACK.",
            labels=("stage",),
        )
        bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        for stage, measured in state.stages.items():
            cumulative = accumulate(measured.counts)
            durations.add_metric(
                (stage,), list(zip(bounds, cumulative, strict=True)), sum_value=measured.total_s
            )
        yield durations
