"""What the doctor says of machines that lack something, each played on this one."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from edge_runtime.config import ConfigDraft, draft_config
from edge_runtime.diagnosis import machine
from edge_runtime.diagnosis.clock import ClockState, clock_state
from edge_runtime.diagnosis.finding import Finding, Grade
from edge_runtime.diagnosis.machine import examine_machine, measure_syncs


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def draft(tmp_path: Path) -> ConfigDraft:
    return a_draft(state_dir=tmp_path)


def a_draft(**flags: object) -> ConfigDraft:
    return draft_config({"station": "L07-S3", "source": "simulated:gen3", **flags}, {}, None)


def about(part: str, draft: ConfigDraft) -> Finding:
    (finding,) = [finding for finding in examine_machine(draft) if finding.part == part]
    assert (finding.exit_code != 0) == (finding.grade is Grade.FAIL)
    assert (finding.remedy == "") == (finding.grade is Grade.OK)
    return finding


@pytest.mark.parametrize(
    ("free_mb", "grade"), [(20_000, Grade.OK), (9_000, Grade.WARN), (100, Grade.FAIL)]
)
def test_a_disk_is_held_against_what_the_journal_may_grow_to(
    free_mb: int, grade: Grade, draft: ConfigDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, free_mb * 1_000_000))
    finding = about("disk", draft)
    assert finding.grade is grade
    assert f"{free_mb:,} MB free" in finding.found


def test_what_the_journal_has_already_taken_counts_for_it(
    draft: ConfigDraft, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 9_000_000_000))
    with (tmp_path / "journal.sqlite").open("wb") as journal:
        journal.truncate(1_500_000_000)
    assert about("disk", draft).grade is Grade.OK


@pytest.mark.parametrize(
    ("took_s", "grade"), [(0.004, Grade.OK), (0.05, Grade.WARN), (2.0, Grade.FAIL)]
)
def test_a_sync_is_graded_by_its_median(
    took_s: float, grade: Grade, draft: ConfigDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_file_system", lambda _: "ext4")
    monkeypatch.setattr(machine, "measure_syncs", lambda _: [0.001, took_s, took_s, took_s, 9.0])
    finding = about("sync", draft)
    assert finding.grade is grade
    assert "at worst 9000.0 ms" in finding.found


def test_syncs_are_really_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    assert len(measure_syncs(tmp_path, 5)) == len(synced) == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "words"), [("tmpfs", "power cut"), ("nfs4", "remote")])
def test_a_state_folder_in_memory_or_on_the_network_is_named(
    kind: str, words: str, draft: ConfigDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_file_system", lambda _: kind)
    finding = about("sync", draft)
    assert finding.grade is Grade.WARN
    assert words in finding.found


def test_a_clock_that_nobody_sets_is_a_warning(
    draft: ConfigDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    for synchronised, grade in ((True, Grade.OK), (False, Grade.WARN)):
        state = ClockState(synchronised=synchronised, greatest_error_s=0.012)
        monkeypatch.setattr(machine, "clock_state", lambda state=state: state)
        assert about("clock", draft).grade is grade


def test_a_kernel_that_does_not_tell_the_clock_is_a_warning(
    draft: ConfigDraft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> ClockState:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(machine, "clock_state", refuse)
    finding = about("clock", draft)
    assert (finding.grade, "Operation not permitted" in finding.found) == (Grade.WARN, True)


def test_the_kernels_own_answer_is_read() -> None:
    try:
        state = clock_state()
    except OSError as exc:
        pytest.skip(f"the kernel does not tell: {exc}")
    # The kernel's limit is 16 s, which is also what it says while nobody sets the clock.
    assert 0 <= state.greatest_error_s <= 16.0


def test_a_key_that_others_can_read_is_named_with_the_command_that_closes_it(
    tmp_path: Path,
) -> None:
    key = tmp_path / "L07-S3.key"
    key.touch()
    draft = a_draft(state_dir=tmp_path, mqtt_key=key)
    key.chmod(0o640)
    assert about("permissions", draft).remedy == f"chmod 600 {key}"
    key.chmod(0o600)
    assert about("permissions", draft).grade is Grade.OK


def test_a_camera_that_may_not_be_opened_is_a_matter_of_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/video7")
    monkeypatch.setattr("os.access", lambda path, _: str(path) != "/dev/video7")
    finding = about("permissions", a_draft(state_dir=tmp_path, source="opencv:7"))
    assert (finding.grade, finding.exit_code) == (Grade.FAIL, 4)
    assert "video" in finding.remedy


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Exception], None]:
    """Makes importing a module fail, with that error."""
    real = importlib.import_module

    def arrange(name: str, error: Exception) -> None:
        def load(wanted: str) -> ModuleType:
            if wanted == name:
                raise error
            return real(wanted)

        monkeypatch.setattr(importlib, "import_module", load)

    return arrange


def test_a_shared_library_that_is_missing_is_named(
    draft: ConfigDraft, unloadable: Callable[[str, Exception], None]
) -> None:
    unloadable("cv2", ImportError("libGL.so.1: cannot open shared object file"))
    finding = about("libraries", draft)
    assert (finding.grade, finding.exit_code) == (Grade.FAIL, 5)
    assert "libGL.so.1" in finding.remedy


def test_an_engine_that_is_not_installed_names_its_extra(
    tmp_path: Path, unloadable: Callable[[str, Exception], None]
) -> None:
    unloadable("openvino", ModuleNotFoundError("No module named 'openvino'"))
    finding = about("libraries", a_draft(state_dir=tmp_path, engine="openvino"))
    assert "edge-inspect[openvino]" in finding.remedy


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    draft = a_draft(state_dir=tmp_path / "not" / "yet")
    assert f"free under {tmp_path};" in about("disk", draft).found
    assert list(tmp_path.iterdir()) == []


def test_nonsense_in_the_configuration_does_not_hinder_the_doctor(tmp_path: Path) -> None:
    draft = a_draft(state_dir=tmp_path, journal_mb="plenty", engine="abacus", source=None)
    assert [finding.part for finding in examine_machine(draft)] == [
        "disk",
        "sync",
        "clock",
        "permissions",
        "libraries",
    ]
