"""What Prometheus itself says of a station's metrics and of the alerts in docs/recipes."""

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.service.distribution import Stopwatch
from edge_runtime.service.metrics import State, exposition

ROOT = Path(__file__).parents[3]
ALERTS = ROOT / "docs" / "recipes" / "prometheus-alerts.yml"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (make setup says why)"
)
NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


def promtool(*words: object, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(PROMTOOL), *map(str, words)], input=given, capture_output=True, check=False
    )


@pytest.fixture
def state() -> State:
    about = {"boot_id": "b", "site": "plant", "line": "L07", "station": "S3", "at": NOW}
    return State(
        health=Health(
            **about,
            uptime_s=1,
            bundle="seam/1",
            engine="null",
            frames=1,
            verdicts=dict.fromkeys(Outcome, 1),
            not_inspected={"blurred": 1},
            acknowledged=0,
            pending=0,
            refused=0,
            connections=1,
            latency=None,
            problem=None,
        ),
        drift=DriftReport(
            **about,
            bundle="seam/1",
            level=DriftLevel.ALARM,
            since=NOW,
            summary="-",
            parts=64,
            moved=(),
            effects={"colour": -2.0, "class:micro_crack": 0.1},
        ),
        stages={"infer": Stopwatch().read()},
        stalled_s=0.0,
        ready=True,
    )


@needs_promtool
def test_promtool_finds_nothing_to_complain_of(state: State) -> None:
    done = promtool("check", "metrics", given=exposition(state))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@needs_promtool
def test_control_promtool_complains_of_a_counter_without_its_ending(state: State) -> None:
    text = exposition(replace(state, ready=False)).replace(b"drift_parts_total", b"drift_parts")
    done = promtool("check", "metrics", given=text)
    assert b"drift_parts" in done.stdout + done.stderr
    assert done.returncode != 0


def test_parts_not_inspected_are_counted_by_the_code_of_their_reason(state: State) -> None:
    assert 'edge_inspect_not_inspected_total{reason="blurred"} 1.0' in exposition(state).decode()


def test_every_alert_asks_for_something_that_is_there(state: State) -> None:
    text = exposition(state).decode()
    told = {line.split("{")[0].split()[0] for line in text.splitlines() if line[0] != "#"}
    asked = {
        word.split("{")[0].split("[")[0]
        for word in ALERTS.read_text("utf-8").replace("(", " ").split()
        if word.startswith("edge_inspect_")
    }
    assert len(asked) >= 5
    assert asked <= told


FIRES = """
rule_files: [{alerts}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'edge_inspect_drift_level{{instance="warned"}}'
        values: '0 1x40'
      - series: 'edge_inspect_drift_level{{instance="alarmed"}}'
        values: '0x5 2x40'
      - series: 'edge_inspect_drift_level{{instance="as ever"}}'
        values: '0x60'
      - series: 'edge_inspect_drift_level{{instance="unwatched"}}'
        values: '-1x90'
      - series: 'edge_inspect_drift_history_lost_total{{instance="full"}}'
        values: '0 0 3x60'
      - series: 'up{{job="edge-inspect", instance="gone"}}'
        values: '1 0x30'
      - series: 'edge_inspect_ready{{instance="blind"}}'
        values: '1 0x30'
      - series: 'edge_inspect_verdicts_pending{{instance="cut off"}}'
        values: '0 5000x30'
      - series: 'edge_inspect_verdicts_total{{instance="dim", outcome="ok"}}'
        values: '0+90x60'
      - series: 'edge_inspect_verdicts_total{{instance="dim", outcome="not_inspected"}}'
        values: '0+10x60'
    alert_rule_test:
{expected}
"""
EXPECTED = {
    ("5m", "DriftAlarm"): (),
    ("8m", "DriftAlarm"): (("alarmed", "critical"),),
    ("10m", "DriftWarning"): (),
    ("20m", "DriftWarning"): (("warned", "warning"),),
    ("30m", "DriftNotMonitored"): (),
    ("70m", "DriftNotMonitored"): (("unwatched", "warning"),),
    ("3m", "DriftHistoryLost"): (("full", "warning"),),
    ("1m", "StationGone"): (),
    ("3m", "StationGone"): (("gone", "critical"),),
    ("3m", "StationNotReady"): (("blind", "critical"),),
    ("5m", "VerdictsWait"): (),
    ("20m", "VerdictsWait"): (("cut off", "warning"),),
    ("30m", "PartsNotInspected"): (("dim", "warning"),),
}


SUMMARIES = {
    "StationGone": "gone does not answer",
    "StationNotReady": "blind does not inspect; its health topic and /readyz say why",
    "PartsNotInspected": "dim cannot see 10% of its parts",
    "VerdictsWait": "5000 verdicts of cut off wait for the broker; none is lost",
    "DriftWarning": "warned has moved from training: edge-inspect drift report says what",
    "DriftAlarm": "Verdicts of alarmed may be wrong: edge-inspect drift report says why",
    "DriftNotMonitored": "unwatched runs a bundle without a drift reference",
    "DriftHistoryLost": "The disk of full does not take the drift history",
}


def unit_tests(expected: dict[tuple[str, str], tuple[tuple[str, str], ...]]) -> str:
    lines = []
    for (at, alert), fired in expected.items():
        lines += [f"      - eval_time: {at}", f"        alertname: {alert}"]
        if fired:
            lines.append("        exp_alerts:")
        for instance, severity in fired:
            job = ", job: edge-inspect" if alert == "StationGone" else ""
            lines.append(
                f'          - exp_labels: {{severity: {severity}, instance: "{instance}"{job}}}'
            )
            lines.append(f"            exp_annotations: {{summary: {SUMMARIES[alert]!r}}}")
    return FIRES.format(alerts=ALERTS, expected="\n".join(lines))


@needs_promtool
def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert promtool("check", "rules", ALERTS).returncode == 0
    assert {alert for _, alert in EXPECTED} == {
        line.split()[-1]
        for line in ALERTS.read_text("utf-8").splitlines()
        if line.strip().startswith("- alert:")
    }
    file = tmp_path / "tests.yml"
    file.write_text(unit_tests(EXPECTED))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@needs_promtool
def test_control_an_alert_that_does_not_fire_is_missed(tmp_path: Path) -> None:
    file = tmp_path / "tests.yml"
    file.write_text(unit_tests({("5m", "DriftAlarm"): (("alarmed", "critical"),)}))
    assert promtool("test", "rules", file).returncode != 0
