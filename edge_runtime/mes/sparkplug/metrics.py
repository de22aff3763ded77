"""What of a verdict becomes which Sparkplug metric.

The names are the fields of `Verdict`, a part of a field behind a slash: `timings_ms/infer`. The
classes of `scores` are those of the bundle, so their metrics are found out as verdicts come. `views`, of
which there is no fixed number, are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from edge_runtime.contracts.verdict import Verdict
from edge_runtime.mes.sparkplug.payload import DataType, Metric, Value

_FIELDS: Final[Mapping[str, tuple[DataType, Callable[[Verdict], Value]]]] = {
    "schema": (DataType.STRING, lambda verdict: verdict.schema_),
    "seq": (DataType.UINT64, lambda verdict: verdict.seq),
    "result_id": (DataType.STRING, lambda verdict: verdict.result_id),
    "is_simulated": (DataType.BOOLEAN, lambda verdict: verdict.is_simulated),
    "boot_id": (DataType.UUID, lambda verdict: verdict.boot_id),
    "site": (DataType.STRING, lambda verdict: verdict.site),
    "line": (DataType.STRING, lambda verdict: verdict.line),
    "station": (DataType.STRING, lambda verdict: verdict.station),
    "part_id": (DataType.STRING, lambda verdict: verdict.part_id),
    "product_id": (DataType.STRING, lambda verdict: verdict.product_id),
    "external_recipe_id": (DataType.STRING, lambda verdict: verdict.external_recipe_id),
    "internal_recipe_id": (DataType.STRING, lambda verdict: verdict.internal_recipe_id),
    "captured_at": (DataType.DATETIME, lambda verdict: milliseconds(verdict.captured_at)),
    "decided_at": (DataType.DATETIME, lambda verdict: milliseconds(verdict.decided_at)),
    "verdict": (DataType.STRING, lambda verdict: verdict.verdict.value),
    "label": (DataType.STRING, lambda verdict: verdict.label),
    "reason": (DataType.STRING, lambda verdict: verdict.reason),
    "thresholds/review_from": (DataType.DOUBLE, lambda verdict: verdict.thresholds.review_from),
    "thresholds/defect_from": (DataType.DOUBLE, lambda verdict: verdict.thresholds.defect_from),
    "model_sha256": (DataType.STRING, lambda verdict: verdict.model_sha256),
    "config_sha256": (DataType.STRING, lambda verdict: verdict.config_sha256),
    "timings_ms/wait": (DataType.DOUBLE, lambda verdict: verdict.timings_ms.wait),
    "timings_ms/preprocess": (DataType.DOUBLE, lambda verdict: verdict.timings_ms.preprocess),
    "timings_ms/infer": (DataType.DOUBLE, lambda verdict: verdict.timings_ms.infer),
    "triggered_at": (
        DataType.DATETIME,
        lambda verdict: (
            None if verdict.triggered_at is None else milliseconds(verdict.triggered_at)
        ),
    ),
}


def verdict_metrics(
    verdict: Verdict | None, labels: Sequence[str], *, now: int, historical: bool = False
) -> list[Metric]:
    """All metrics of the inspection, always the same ones in the same order for the same labels.

    Without a verdict all are null as of `now`, milliseconds since 1970. A label that the verdict has no
    score for is null. Aliases count from 1 in this order, so labels may only ever be added at the end.
    """
    timestamp = now if verdict is None else milliseconds(verdict.decided_at)
    values: list[tuple[str, DataType, Value]] = [
        (name, datatype, None if verdict is None else read(verdict))
        for name, (datatype, read) in _FIELDS.items()
    ]
    scores: Mapping[str, float] = {} if verdict is None else verdict.scores
    values += [(f"scores/{label}", DataType.DOUBLE, scores.get(label)) for label in labels]
    return [
        Metric(
            name=name,
            alias=alias,
            datatype=datatype,
            value=value,
            timestamp=timestamp,
            historical=historical,
        )
        for alias, (name, datatype, value) in enumerate(values, start=1)
    ]


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970, UTC, cut off to whole ones."""
    return int(moment.timestamp() * 1000)
