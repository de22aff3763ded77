"""Verdicts as the station commits them, for tests of what lies behind it."""

from datetime import UTC, datetime

from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.verdict import Outcome, Timings, Verdict
from edge_runtime.journal.journal import Entry


def entries(first: int, count: int, *, decided_at: datetime | None = None) -> list[Entry]:
    """`count` journal entries from seq `first` on."""
    return [
        Entry(seq=seq, body=sample_verdict(seq, decided_at=decided_at).to_json().encode())
        for seq in range(first, first + count)
    ]


def sample_verdict(seq: int, *, decided_at: datetime | None = None) -> Verdict:
    """A defect on part P-<seq>."""
    moment = decided_at or datetime.now(UTC)
    return Verdict(
        seq=seq,
        result_id=f"9d5a1f0e-7a4b-4a53-8f0a-0d8f5b5e1c11:{seq}",
        is_simulated=True,
        boot_id="9d5a1f0e-7a4b-4a53-8f0a-0d8f5b5e1c11",
        site="plant-1",
        line="L07",
        station="S3",
        part_id=f"P-{seq}",
        internal_recipe_id="demo/1",
        captured_at=moment,
        decided_at=moment,
        verdict=Outcome.DEFECT,
        label="micro_crack",
        scores={"no_defect": 0.1, "micro_crack": 0.9},
        thresholds=Thresholds(review_from=0.3, defect_from=0.7),
        model_sha256="a" * 64,
        config_sha256="b" * 64,
        timings_ms=Timings(wait=1.0, preprocess=0.5, infer=6.0),
    )
