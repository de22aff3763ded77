"""What leaves the process is pinned: golden payloads, and schemas that match the contracts."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.drift import DriftLevel, DriftReport, MeasureReference, Moved
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.health import Health, Latency
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.performance import Estimated, Figure, Measured
from edge_runtime.contracts.quality import FEATURES, Appearance, Check, Limit, QualityReference
from edge_runtime.contracts.quality import Measure as QualityMeasure
from edge_runtime.contracts.recording import ImageForm, RecordedFrame, RecordingHeader
from edge_runtime.contracts.retrain import RetrainRequest, RetrainState, RuleStanding
from edge_runtime.contracts.sample import Claim, DriftThen, KeptFrame, Reason, Sample
from edge_runtime.contracts.schemas import schemas
from edge_runtime.contracts.trigger import Trigger
from edge_runtime.contracts.verdict import (
    DeliveryNote,
    Lane,
    Outcome,
    Timings,
    Verdict,
    VerdictMessage,
    View,
)

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"

VERDICT = VerdictMessage(
    seq=1042,
    result_id="0b7c1f62-8f0e-4d59-9d6e-0f1c6d1c2b3a:1042",
    is_simulated=False,
    boot_id="0b7c1f62-8f0e-4d59-9d6e-0f1c6d1c2b3a",
    site="voltforge",
    line="L07",
    station="S3",
    part_id="M2601-000123-2",
    product_id="module-96s",
    external_recipe_id="WI-4711",
    internal_recipe_id="weld-seam/1.0.0",
    triggered_at=datetime(2026, 1, 15, 8, 30, 0, 100000, tzinfo=UTC),
    captured_at=datetime(2026, 1, 15, 8, 30, 0, 123456, tzinfo=UTC),
    decided_at=datetime(2026, 1, 15, 9, 30, 0, 150000, tzinfo=timezone(timedelta(hours=1))),
    verdict=Outcome.DEFECT,
    label="micro_crack",
    scores={"no_defect": 0.02, "micro_crack": 0.98},
    views=(
        View(
            camera=1,
            frame_id="gige-00000041",
            captured_at=datetime(2026, 1, 15, 8, 30, 0, 123456, tzinfo=UTC),
            verdict=Outcome.DEFECT,
            label="micro_crack",
            reason=None,
            scores={"no_defect": 0.02, "micro_crack": 0.98},
        ),
        View(
            camera=2,
            frame_id=None,
            captured_at=None,
            verdict=Outcome.NOT_INSPECTED,
            label=None,
            reason="no_frame: none within 480 ms",
            scores={},
        ),
    ),
    thresholds=Thresholds(review_from=0.3, defect_from=0.5),
    model_sha256="a" * 64,
    config_sha256="b" * 64,
    timings_ms=Timings(wait=1.5, preprocess=0.4, infer=6.1),
    delivery=DeliveryNote(lane=Lane.LIVE, waited_ms=4.2),
)
HEALTH = Health(
    boot_id=VERDICT.boot_id,
    site="voltforge",
    line="L07",
    station="S3",
    at=VERDICT.captured_at,
    uptime_s=12.5,
    bundle=VERDICT.internal_recipe_id,
    engine="onnxruntime 1.23",
    parts=10,
    frames=10,
    verdicts={Outcome.OK: 7, Outcome.DEFECT: 1, Outcome.REVIEW: 1, Outcome.NOT_INSPECTED: 1},
    not_inspected={"blurred": 1},
    acknowledged=9,
    pending=1,
    refused=0,
    connections=1,
    latency=Latency(p50_ms=14.0, p99_ms=21.5, frames=9),
    problem=None,
)
DRIFT = DriftReport(
    boot_id=VERDICT.boot_id,
    site="voltforge",
    line="L07",
    station="S3",
    at=VERDICT.captured_at,
    bundle=VERDICT.internal_recipe_id,
    level=DriftLevel.ALARM,
    since=VERDICT.captured_at,
    summary="since 2026-01-15 08:30 UTC: frames are 600 K colder (bluer) than in training; "
    "38% of parts outside the usual range",
    parts=4096,
    moved=(
        Moved(
            statistic="colour",
            level=DriftLevel.ALARM,
            since=VERDICT.captured_at,
            reference=7570.0,
            now=8170.0,
            unit="K",
            effect=-2.2,
            psi=1.4,
            wasserstein=2.2,
            affected=0.38,
            words="frames are 600 K colder (bluer) than in training; "
            "38% of parts outside the usual range",
        ),
    ),
    estimated=Estimated(
        macro_f1=Figure(value=0.95, low=0.91, high=0.97),
        defect_recall=Figure(value=0.985, low=0.96, high=0.998),
        false_positive_rate=Figure(value=0.006, low=0.002, high=0.014),
        confidence=0.95,
        parts=4080,
        unreliable=None,
        words="estimated: macro F1 0.950 (0.910 to 0.970), defect recall 0.985 (0.960 to 0.998), "
        "false positives 0.006 (0.002 to 0.014)",
    ),
    measured=Measured(
        macro_f1=None,
        defect_recall=Figure(value=0.97, low=0.9, high=0.995),
        false_positive_rate=Figure(value=0.008, low=0.003, high=0.017),
        confidence=0.95,
        labels=412,
        random=300,
        since=VERDICT.captured_at,
        received={"accepted": 405, "corrected": 7, "unknown_part": 2},
        words="measured: defect recall 0.970 (0.900 to 0.995), false positives 0.008 (0.003 to 0.017)",
    ),
    effects={"brightness": 0.1, "colour": -2.2},
)
TRIGGER = Trigger(part_id="M2601-000123-2", deadline_ms=500, trigger_id="PLC7-4711")
RETRAIN = RetrainState(
    boot_id=VERDICT.boot_id,
    site="voltforge",
    line="L07",
    station="S3",
    at=VERDICT.captured_at,
    bundle="weld-seam/1.0.0",
    requests=(
        RetrainRequest(
            id="20260115T083000Z-drift",
            at=VERDICT.captured_at,
            rule="drift",
            words="drift alarm: frames are 600 K colder (bluer) than in training",
            bundle="weld-seam/1.0.0",
            model_sha256=VERDICT.model_sha256,
            source_sha256="c" * 64,
            level=DriftLevel.ALARM,
            evidence="20260115T083000Z-drift",
        ),
    ),
    rules=(
        RuleStanding(
            rule="drift",
            words="pictures drift: warning for 24 h or alarm for 1 h",
            standing="requested",
            since=VERDICT.captured_at,
        ),
        RuleStanding(rule="calendar", words="switched off", standing="off", since=None),
    ),
)
RECORDING = RecordingHeader(
    source="rtsp://***@camera/stream", is_simulated=False, began_at=VERDICT.captured_at
)
RECORDED = RecordedFrame(
    part_id=VERDICT.part_id,
    captured_at=VERDICT.captured_at,
    arrived_s=12.04,
    image=ImageForm.PIXELS,
    file="00000302.png",
    sha256="c" * 64,
)
SAMPLE = Sample(
    name="000000001042-0b7c1f62",
    kept_at=VERDICT.captured_at,
    claims=(Claim(reason=Reason.RANDOM), Claim(reason=Reason.NEAR_THRESHOLD, kind="micro_crack")),
    lot=0.003,
    generation="gen3",
    drift=DriftThen(level=DriftLevel.ALARM, moved=("colour",)),
    look="",
    frames=(
        KeptFrame(
            file="000000001042-0b7c1f62-0.jpg",
            sha256="c" * 64,
            bytes=18_342,
            as_it_came=True,
            label="micro_crack",
            rejection=None,
            statistics={"brightness": 96.5, "colour": 131.0},
        ),
    ),
    verdict=Verdict.model_validate(VERDICT.model_dump(exclude={"delivery"}, by_alias=True)),
)
QUALITY = QualityReference(
    dataset="held-out sha256:0123456789ab",
    images=600,
    cost=0.005,
    set_aside=51,
    limits=(
        Limit(
            check=Check.DARK,
            measure=QualityMeasure.BRIGHTNESS,
            side="lowest",
            value=113.42,
            trial="a quarter of the light",
            caught=1.0,
        ),
        Limit(
            check=Check.OCCLUDED,
            measure=QualityMeasure.COVER,
            side="highest",
            value=14.5,
            trial="a shade over a quarter of the frame",
            caught=0.23,
            off="a shade over a quarter of the frame would be noticed in 23% of the images only",
        ),
    ),
    appearance=Appearance(
        mean=(7.1,) * FEATURES, deviation=(0.25,) * FEATURES, directions=((0.07217,) * FEATURES,)
    ),
)
MODEL = ModelSpec(
    labels=("no_defect", "micro_crack"),
    input=InputSpec(),
    decision=DecisionRule(ok_labels=("no_defect",), thresholds=VERDICT.thresholds),
    provenance={"backbone": "tf_efficientnet_lite0"},
)


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("verdict", VERDICT),
        ("health", HEALTH),
        ("drift", DRIFT),
        ("trigger", TRIGGER),
        ("retrain", RETRAIN),
        ("recording", RECORDING),
        ("recorded-frame", RECORDED),
        ("sample", SAMPLE),
        ("model-spec", MODEL),
        ("quality", QUALITY),
    ],
)
def test_the_wire_form_is_the_golden_one_and_reads_back(name: str, contract: Contract) -> None:
    golden = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    assert contract.to_json(indent=2) + "\n" == golden
    assert type(contract).model_validate_json(golden) == contract


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_published_schema_is_generated_from_the_contract(name: str) -> None:
    published = (ROOT / "docs" / "schemas" / name).read_text(encoding="utf-8")
    assert published == schemas()[name], "run `make schemas`"


def test_unknown_fields_and_changes_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Thresholds.model_validate({"review_from": 0.1, "defect_from": 0.2, "colour": 3})
    with pytest.raises(ValidationError, match="frozen"):
        VERDICT.seq = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seq": 0}, "greater than or equal to 1"),
        ({"captured_at": datetime(2026, 1, 1)}, "expected a time with a zone"),  # noqa: DTZ001
        ({"model_sha256": "xyz"}, "should match pattern"),
        ({"site": "a/b"}, "should match pattern"),
        ({"scores": {"a": 1.5}}, "less than or equal to 1"),
    ],
)
def test_a_verdict_that_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Verdict.model_validate(
            {**VERDICT.model_dump(by_alias=True, exclude={"delivery"}), **change}
        )


def test_a_model_spec_must_be_consistent() -> None:
    for change, words in (
        ({"labels": ("a", "a")}, "labels repeat"),
        ({"labels": ("a", "b")}, "ok_labels name no class"),
        ({"labels": ("no_defect",)}, "at least 2"),
    ):
        with pytest.raises(ValidationError, match=words):
            ModelSpec.model_validate({**MODEL.model_dump(), **change})
    with pytest.raises(ValidationError, match="must not lie above"):
        Thresholds(review_from=0.6, defect_from=0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shares": (0.5, 0.4, 0.1)}, "3 edges for 3 bins in noise"),
        ({"edges": (2.0, 1.0, 3.0)}, "the edges of noise do not ascend"),
        ({"shares": (0.5, 0.4)}, "the shares of noise sum to 0.9"),
        ({"name": "smell"}, "Input should be 'brightness'"),
        ({"deviation": 0.0}, "greater than 0"),
    ],
)
def test_a_drift_reference_must_be_consistent(change: dict[str, object], words: str) -> None:
    sound = {
        "name": "noise",
        "mean": 2.0,
        "deviation": 0.3,
        "effective_images": 100.0,
        "low": 1.1,
        "high": 2.9,
        "edges": (1.0, 2.0, 3.0),
        "shares": (0.5, 0.5),
    }
    MeasureReference.model_validate(sound)
    with pytest.raises(ValidationError, match=words):
        MeasureReference.model_validate({**sound, **change})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"limits": QUALITY.limits * 2}, "limited twice on the same side"),
        ({"cost": 2.0}, "less than or equal to 1"),
        (
            {"limits": [{**QUALITY.limits[0].model_dump(), "check": "stuck"}]},
            "no matter of a limit",
        ),
    ],
)
def test_quality_limits_must_be_consistent(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        QualityReference.model_validate({**QUALITY.model_dump(by_alias=True), **change})


def test_an_appearance_has_a_number_for_every_tile() -> None:
    sound = QUALITY.appearance.model_dump()
    with pytest.raises(ValidationError, match="at least 192 items"):
        Appearance.model_validate({**sound, "mean": sound["mean"][1:]})
    with pytest.raises(ValidationError, match="not above 0"):
        Appearance.model_validate({**sound, "deviation": (0.0, *sound["deviation"][1:])})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"file": None}, "a file exactly when it has an image"),
        ({"sha256": None}, "a file and its sha256 come together"),
        ({"reason": "gone"}, "a reason is given exactly for an unreadable frame"),
        ({"file": "../../etc/passwd"}, "should match pattern"),
        ({"arrived_s": -1.0}, "greater than or equal to 0"),
    ],
)
def test_a_recorded_frame_must_be_consistent(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RecordedFrame.model_validate({**RECORDED.model_dump(), **change})


def test_a_frame_checks_its_time_and_pixels() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        Frame(part_id="p", captured_at=datetime(2026, 1, 1), arrived=0.0, image=b"")  # noqa: DTZ001
    with pytest.raises(ValueError, match=r"expected pixels .* got \(4, 4\) uint8"):
        Frame(
            part_id="p",
            captured_at=datetime(2026, 1, 1, tzinfo=UTC),
            arrived=0.0,
            image=np.zeros((4, 4), np.uint8),
        )
