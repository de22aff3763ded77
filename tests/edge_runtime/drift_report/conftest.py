"""One day's history for all tests of the report: a new lamp at noon, more rejects from midnight on."""

from pathlib import Path

import pytest

from tests.edge_runtime.drift_history.course import estimated, lamp_day, write_history


@pytest.fixture(scope="session")
def lamp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder."""
    folder = tmp_path_factory.mktemp("lamp")
    write_history(folder, lamp_day(count=4800, seconds=18.0), also=estimated).close()
    return folder
