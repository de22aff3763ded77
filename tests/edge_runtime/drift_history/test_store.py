"""The history's file: read while it is written, bounded, whole after a kill, and never in the way."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift_history import store as store_module
from edge_runtime.drift_history.records import Role
from edge_runtime.drift_history.store import NAME, HistoryStore, copied_history, read_history
from edge_runtime.errors import StateError
from tests.edge_runtime.drift.line import START, parts
from tests.edge_runtime.drift_history.course import reference, spread, write_history

ROOT = Path(__file__).parents[3]


def test_what_is_written_is_read_at_once_and_the_reader_locks_nobody_out(tmp_path: Path) -> None:
    with closing(write_history(tmp_path, parts(300))) as store:
        history = read_history(tmp_path)
        reader = sqlite3.connect(f"{(tmp_path / NAME).as_uri()}?mode=ro", uri=True)
        with closing(reader):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM minute").fetchone()
            store.begin("weld-seam/1.0.1", None, [])  # would wait five seconds and fail
        assert [period.parts for period in history.periods] == [60] * 5
        assert history.periods[0].began == START
        assert history.reference == reference()
        assert [each.caption for each in history.pictures if each.role is Role.TRAINING] == [
            "no_defect",
            "spatter",
        ]
        assert history.unreadable == 0
    assert read_history(tmp_path).periods == history.periods


def test_a_copy_of_a_running_stations_history_is_one_file_to_be_read_anywhere(
    tmp_path: Path,
) -> None:
    with closing(write_history(tmp_path / "state", parts(300))) as store:
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / NAME).write_bytes(copied_history(tmp_path / "state"))
        store.begin("next/1", None, [])
    assert len(read_history(tmp_path / "pack").periods) == 5
    assert [file.name for file in (tmp_path / "pack").iterdir()] == [NAME]


def test_what_came_before_a_moment_is_left_out(tmp_path: Path) -> None:
    write_history(tmp_path, parts(300)).close()
    history = read_history(tmp_path, START + timedelta(minutes=3))
    assert [period.began for period in history.periods] == [
        START + timedelta(minutes=minute) for minute in (3, 4)
    ]


def test_minutes_become_hours_and_the_oldest_hours_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MINUTES", 90)
    write_history(tmp_path / "year", spread(parts(600), 30.0)).close()
    periods = read_history(tmp_path / "year").periods
    reaches = [period.ended - period.began for period in periods]
    assert sum(period.parts for period in periods) == 600  # folding loses none
    assert sum(reach > timedelta(minutes=50) for reach in reaches) == 4
    assert 0 < sum(reach < timedelta(minutes=1) for reach in reaches) <= 90
    assert [period.began for period in periods] == sorted(period.began for period in periods)

    monkeypatch.setattr(store_module, "HOURS", 2)
    write_history(tmp_path / "short", spread(parts(600), 30.0)).close()
    kept = read_history(tmp_path / "short").periods
    assert kept == periods[2:]


def test_few_pictures_are_kept_and_those_of_the_present_bundle_are_shown(tmp_path: Path) -> None:
    with closing(write_history(tmp_path, parts(900))) as store:
        recent = [each for each in read_history(tmp_path).pictures if each.role is Role.RECENT]
        assert [each.at for each in recent] == sorted(each.at for each in recent)
        assert len(recent) == store_module.RECENT < 15
        for number in range(5):
            store.begin(f"other/{number}", None, [])
        with closing(sqlite3.connect(store.path)) as database:
            assert database.execute("SELECT count(*) FROM training").fetchone() == (3,)
            assert database.execute("SELECT count(*) FROM picture").fetchone() == (0,)


def test_one_standing_lasts_until_something_else_has_moved(tmp_path: Path) -> None:
    stream = [*parts(640), *parts(1280, first=640, shifts={"colour": -3})]
    write_history(tmp_path, stream).close()
    standings = read_history(tmp_path).standings
    assert [each.report.level for each in standings][:: len(standings) - 1] == [
        DriftLevel.OK,
        DriftLevel.ALARM,
    ]
    whats = [[(m.statistic, m.level) for m in each.report.moved] for each in standings]
    assert all(one != next_one for one, next_one in pairwise(whats))
    assert standings[0].began == START
    assert standings[-1].report.parts == len(stream)  # the last report of its time


@pytest.mark.parametrize("gathered", [1, 50], ids=["as it ships", "control: told before written"])
def test_a_kill_leaves_every_minute_that_was_told_of(tmp_path: Path, gathered: int) -> None:
    program = "tests.edge_runtime.drift_history.writer"
    words = [sys.executable, "-m", program, str(tmp_path), str(gathered)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = 0
        while told < 230:
            told = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        told = max([told, *map(int, writer.stdout.read().split())])
    history = read_history(tmp_path)
    assert history.unreadable == 0
    assert (len(history.periods) >= told) == (gathered == 1)
    write_history(tmp_path, parts(60)).close()


def test_a_damaged_file_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(
        b"no database at all, and longer than a header of SQLite's is" * 40
    )
    write_history(tmp_path, parts(60)).close()
    assert len(read_history(tmp_path).periods) == 1
    assert (tmp_path / "drift-history.damaged").read_bytes().startswith(b"no database")


def test_a_row_that_cannot_be_read_is_counted_and_the_others_are_told(tmp_path: Path) -> None:
    with closing(write_history(tmp_path, parts(180))) as store:
        store._database.execute(
            "UPDATE minute SET body = '{}' WHERE at = (SELECT min(at) FROM minute)"
        )
    history = read_history(tmp_path)
    assert (len(history.periods), history.unreadable) == (2, 1)


def test_a_file_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / NAME)) as database:
        database.execute("PRAGMA user_version = 9")
    for opened in (HistoryStore, read_history):
        with pytest.raises(StateError, match=r"newer edge-inspect \(schema 9, this one knows 1\)"):
            opened(tmp_path)


def test_a_folder_without_a_history_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is not there: give the state folder of a station"):
        read_history(tmp_path)
