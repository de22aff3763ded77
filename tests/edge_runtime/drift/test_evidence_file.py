"""What was learnt outlives the monitor: gone on from to the last number, or begun anew and said so."""

import logging
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift.evidence_file import EvidenceFile
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.window import BLOCK
from tests.edge_runtime.drift.line import make_reference, parts

REFERENCE = make_reference()
SHIFTED = {"colour": -3.0, "noise": 0.8}


def fresh() -> Monitor:
    return Monitor(REFERENCE, parts_per_day=86_400)


def opened(folder: Path, *, learnt_with: str = "bundle config") -> Monitor:
    return EvidenceFile(folder, learnt_with=learnt_with).monitor(REFERENCE, parts_per_day=86_400)


def written(folder: Path, count: int = 40 * BLOCK) -> Monitor:
    monitor = fresh()
    for part in parts(count, shifts=SHIFTED):
        monitor.observe(part)
    EvidenceFile(folder, learnt_with="bundle config").write(monitor.state())
    return monitor


def test_a_monitor_goes_on_as_if_it_had_never_been_away(tmp_path: Path) -> None:
    stayed = written(tmp_path)
    resumed = opened(tmp_path)
    assert resumed.level is DriftLevel.ALARM
    assert [each.statistic for each in resumed.moved()] == ["colour", "noise"]
    assert resumed.moved() == stayed.moved()
    for monitor in (stayed, resumed):
        for part in parts(20 * BLOCK, first=40 * BLOCK, shifts={"brightness": 2}):
            monitor.observe(part)
    assert resumed.moved() == stayed.moved()
    assert resumed.parts == stayed.parts
    for name, array in stayed.state().items():
        np.testing.assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_without_it_the_evidence_would_be_gone() -> None:
    """The control: a monitor that begins anew has not noticed yet what the other knew."""
    anew = fresh()
    for part in parts(BLOCK, first=40 * BLOCK, shifts=SHIFTED):
        anew.observe(part)
    assert "noise" not in [each.statistic for each in anew.moved()]


def test_parts_of_a_block_that_is_not_full_are_not_counted_twice(tmp_path: Path) -> None:
    written(tmp_path, 2 * BLOCK + 9)
    assert opened(tmp_path).parts == 2 * BLOCK


def test_nothing_written_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert opened(tmp_path).parts == 0
    assert not caplog.records


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (b"", "it is damaged"),
        (b"no archive", "it is damaged"),
        (None, "another bundle or configuration"),
    ],
)
def test_what_cannot_be_gone_on_from_is_begun_anew_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None, why: str
) -> None:
    written(tmp_path)
    if damage is not None:
        (tmp_path / "drift.npz").write_bytes(damage)
    monitor = opened(tmp_path, learnt_with="bundle config" if damage is not None else "other")
    assert (monitor.parts, monitor.level) == (0, DriftLevel.OK)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"drift: {tmp_path / 'drift.npz'} is not gone on from (")
    assert why in said
    assert said.endswith("evidence begins anew")


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_byte_is_never_taken_for_evidence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: float
) -> None:
    stayed = written(tmp_path)
    content = bytearray((tmp_path / "drift.npz").read_bytes())
    content[int(place * len(content))] ^= 0xFF
    (tmp_path / "drift.npz").write_bytes(bytes(content))
    monitor = opened(tmp_path)
    # A byte of the archive's own bookkeeping that nobody reads does no harm.
    assert monitor.parts == 0 or monitor.moved() == stayed.moved()
    assert (monitor.parts == 0) == bool(caplog.records)


def test_evidence_about_other_statistics_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path)
    selected = make_reference(line_mix=False)
    file = EvidenceFile(tmp_path, learnt_with="bundle config")
    assert file.monitor(selected, parts_per_day=86_400).parts == 0
    assert "expected" in caplog.text


def test_a_disk_that_refuses_is_told_once_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = EvidenceFile(tmp_path / "gone", learnt_with="bundle config")
    with caplog.at_level(logging.WARNING):
        file.write(fresh().state())
        file.write(fresh().state())
    (said,) = [record.getMessage() for record in caplog.records]
    assert "evidence will not outlive the daemon" in said


def test_a_half_written_file_leaves_the_old_one(tmp_path: Path) -> None:
    stayed = written(tmp_path)
    (tmp_path / "drift.new").write_bytes(b"cut off by a kill")
    assert opened(tmp_path).moved() == stayed.moved()
