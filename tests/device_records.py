"""Device records for tests: what `optimize validate` would have written on a T4."""

from datetime import UTC, datetime

from edge_runtime.contracts.device import Clocks, DeviceRecord, EngineRecord, LatencyRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATENCY = LatencyRecord(
    device="Tesla T4",
    engine="tensorrt",
    engine_version="10.16.1.11",
    batch=32,
    threads=1,
    samples=3000,
    p50_ms=0.1,
    p95_ms=0.1,
    p99_ms=0.2,
    max_ms=0.3,
    measured_at=NOW,
)


def engine(precision: str = "int8-tensorrt", **changes: object) -> EngineRecord:
    values: dict[str, object] = {
        "plan": "plans/int8.plan",
        "sha256": "a" * 64,
        "images": 10,
        "flips": 0,
        "latency": (LATENCY,),
        "passed": True,
        "reason": "no verdict changed",
    }
    return EngineRecord.model_validate({"precision": precision, **values, **changes})


def device(*engines: EngineRecord, **changes: object) -> DeviceRecord:
    values: dict[str, object] = {
        "name": "Tesla T4",
        "compute_capability": "7.5",
        "driver": "580.65.06",
        "cuda": "13.0",
        "tensorrt": "10.16.1.11",
        "clocks": Clocks(sm_mhz=1590),
        "reference": "float32 on onnxruntime 1.23.2",
        "dataset": "golden frames",
        "engines": engines or (engine(),),
        "chosen": "int8-tensorrt",
        "validated_at": NOW,
    }
    return DeviceRecord.model_validate({**values, **changes})
