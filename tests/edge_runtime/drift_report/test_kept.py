"""The report shows samples that were kept because of drift, where the station keeps samples."""

from pathlib import Path

from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.drift_report.kept import SHOWN, drifted_samples
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import SAMPLES, Folder
from tests.edge_runtime.samples.parts import part

DRIFTED = Claim(reason=Reason.DRIFTED, kind="colour")
RANDOM = Claim(reason=Reason.RANDOM)


def test_the_newest_of_those_that_drifted_are_shown_with_what_had_moved(tmp_path: Path) -> None:
    folder = Folder(tmp_path / SAMPLES)
    collection = Collection(folder, quota=10**9, least_free=0)
    collection.open()
    for seq in range(1, 31):
        collection.keep(part(seq), [DRIFTED if seq % 3 == 0 else RANDOM], None)
    shown = drifted_samples(tmp_path)
    assert [picture.caption for picture in shown] == [
        f"M{seq // 4:06d}-{seq % 4}: ok; colour" for seq in range(30, 30 - 3 * SHOWN, -3)
    ]
    damaged = folder.read(max(folder.names()))
    assert damaged is not None
    (folder.path / damaged.frames[0].file).write_bytes(b"half")
    assert drifted_samples(tmp_path)[0].caption == "M000006-3: ok; colour"


def test_a_station_that_keeps_no_samples_shows_none(tmp_path: Path) -> None:
    assert drifted_samples(tmp_path) == ()
