"""What lies on the disk: whole samples, within the quota, after a kill and on a disk that refuses."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.decoding import decode
from edge_runtime.errors import DiskFullError, StateError
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.reservoir import Reservoir
from tests.edge_runtime.samples.parts import part, picture
from tests.patience import eventually

RANDOM = Claim(reason=Reason.RANDOM)
REVIEW = Claim(reason=Reason.UNCERTAIN, kind="crack")
MANY = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "samples")


@pytest.fixture
def collect(folder: Folder) -> Callable[..., Collection]:
    """Opens the collection of the folder: `collect(quota=...)`."""

    def opened(**settings: int) -> Collection:
        collection = Collection(
            folder, **{"quota": MANY, "least_free": 0, "most_likely": 1.0, **settings}
        )
        collection.open()
        return collection

    return opened


def size_of(folder: Folder) -> int:
    return sum(file.stat().st_size for file in folder.path.iterdir())


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", picture(number)[..., ::-1])[1].tobytes()


def test_a_file_is_kept_to_the_byte_and_pixels_without_loss(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collection = collect()
    collection.keep(part(1, image=jpeg(1)), [REVIEW], None)
    collection.keep(part(2, image=picture(2)), [REVIEW], None)
    came, drawn = folder.samples()
    assert [frame.as_it_came for frame in (*came.frames, *drawn.frames)] == [True, False]
    assert (folder.path / came.frames[0].file).read_bytes() == jpeg(1)
    assert came.frames[0].file.endswith(".jpg")
    (data,) = folder.frames(drawn) or ()
    assert np.array_equal(decode(data), picture(2))


def test_the_verdict_stands_in_the_sample_as_committed_to_the_byte(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    answered = part(7, defect=0.5, outcome=Outcome.REVIEW)
    collect().keep(answered, [REVIEW], None)
    (file,) = (file for file in folder.path.glob("*.json") if file.name != "random.json")
    assert answered.verdict.to_json().encode() in file.read_bytes()
    (sample,) = folder.samples()
    assert sample.verdict == answered.verdict
    assert json.loads(file.read_bytes())["frames"][0]["sha256"] == sample.frames[0].sha256


def test_a_part_of_several_frames_is_one_sample(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collect().keep(part(1, frames=3), [REVIEW], None)
    (sample,) = folder.samples()
    assert len({frame.file for frame in sample.frames}) == 3
    assert len(folder.frames(sample) or ()) == 3


def test_a_damaged_file_is_kept_as_it_came(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    damaged = part(1, image=b"no image", rejection="undecodable: unknown format")
    collect().keep(damaged, [Claim(reason=Reason.REJECTED, kind="undecodable")], None)
    (sample,) = folder.samples()
    assert folder.frames(sample) == (b"no image",)
    assert sample.frames[0].rejection == "undecodable: unknown format"


def test_the_same_photograph_is_kept_once_but_for_random_ones(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collection = collect()
    still = picture(1)
    collection.keep(part(1, image=still), [REVIEW], None)
    again = np.clip(still.astype(int) + 3, 0, 255).astype(np.uint8)
    collection.keep(part(2, image=again), [REVIEW], None)
    collection.keep(part(3, image=picture(3)), [REVIEW], None)
    collection.keep(part(4, image=still), [REVIEW, RANDOM], None)
    kept = {sample.verdict.seq: sample.claims for sample in folder.samples()}
    assert kept == {1: (REVIEW,), 3: (REVIEW,), 4: (RANDOM,)}


def test_what_the_network_cannot_tell_from_a_kept_part_is_not_kept(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    random = np.random.default_rng(1)
    seen = random.uniform(size=(3, 1280)).astype(np.float32) ** 3
    seen[1] = seen[0] * 1.2 + random.normal(0, 0.02, 1280)
    collection = collect()
    for seq, features in enumerate(seen, start=1):
        collection.keep(part(seq, features=features), [REVIEW], None)
    assert [sample.verdict.seq for sample in folder.samples()] == [1, 3]
    again = collect()  # what an earlier run kept is known to this one
    again.keep(part(4, features=seen[2]), [REVIEW], None)
    assert len(again) == 2


class Boundless(Reservoir):
    """A reservoir that never makes room."""

    def _fullest(self) -> Claim:
        self._quota = MANY
        return super()._fullest()


@pytest.mark.parametrize("broken", [False, True])
def test_the_disk_never_holds_more_than_the_quota(
    broken: bool,
    folder: Folder,
    collect: Callable[..., Collection],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if broken:
        monkeypatch.setattr("edge_runtime.samples.collection.Reservoir", Boundless)
    quota = 200_000
    collection = collect(quota=quota)
    highest, kept = 0, set()
    for seq in range(1, 301):
        claims: Sequence[Claim] = [REVIEW, RANDOM] if seq % 3 else [RANDOM]
        collection.keep(part(seq, image=jpeg(seq)), claims, None)
        highest = max(highest, size_of(folder))
        kept |= folder.names()
    assert len(kept) > len(folder.names()) > 10
    assert (highest > quota) == broken


def test_what_was_kept_is_taken_up_by_the_next_run(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    quota = 200_000
    first = collect(quota=quota)
    for seq in range(1, 120):
        first.keep(part(seq, image=jpeg(seq)), [RANDOM], None)
    share, names, held = folder.random_share(), folder.names(), first.bytes
    again = collect(quota=quota)
    assert (folder.random_share(), folder.names(), again.bytes) == (share, names, held)
    smaller = collect(quota=quota // 2)
    assert len(smaller) == len(folder.names()) < len(names)
    assert size_of(folder) <= quota // 2


def test_a_run_that_drew_otherwise_begins_its_random_samples_anew(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    first = collect()
    first.keep(part(1), [RANDOM], None)
    first.keep(part(2), [RANDOM, REVIEW], None)
    collect(most_likely=0.5)
    assert {s.verdict.seq: s.claims for s in folder.samples()} == {2: (REVIEW,)}


def test_what_a_command_removed_makes_room(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collection = collect()
    for seq in (1, 2):
        collection.keep(part(seq), [REVIEW], None)
    folder.remove(min(folder.names()))
    collection.note_removed()
    assert len(collection) == 1
    collection.keep(
        part(1, boot_id="0" * 8), [REVIEW], None
    )  # no longer alike to one that is there
    assert len(collection) == 2


def test_a_label_that_came_back_is_remembered_and_claims_where_it_disagrees(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collection = collect()
    for seq in (1, 2, 3):
        collection.keep(part(seq), [REVIEW], None)
    collection.relabel(1, "crack")
    collection.relabel(2, "no_defect")
    collection.relabel(99, "crack")
    wrong = Claim(reason=Reason.DISAGREEING, kind="crack")
    seen = {s.verdict.seq: (s.returned_label, s.claims) for s in folder.samples()}
    assert seen == {
        1: ("crack", (REVIEW, wrong)),
        2: ("no_defect", (REVIEW,)),
        3: (None, (REVIEW,)),
    }


# --- a disk that refuses --------------------------------------------------------------------------


def test_with_little_left_on_the_disk_nothing_is_kept_and_it_is_said(
    folder: Folder, collect: Callable[..., Collection]
) -> None:
    collection = collect(least_free=10**18)
    with pytest.raises(DiskFullError, match=r"the disk has less than \d+ MB left"):
        collection.keep(part(1), [REVIEW], None)
    assert folder.names() == frozenset()


def test_a_write_that_fails_half_way_leaves_nothing_and_the_next_one_works(
    folder: Folder, collect: Callable[..., Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = collect(quota=200_000)
    for seq in range(1, 100):
        collection.keep(part(seq, image=jpeg(seq)), [RANDOM], None)
    write_text = Path.write_text

    def full(path: Path, text: str, **how: str) -> int:
        if not path.name.startswith(".random"):
            raise OSError(28, "No space left on device")
        return write_text(path, text, **how)

    refused = 0
    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_text", full)
        for seq in range(100, 140):
            try:
                collection.keep(part(seq, image=jpeg(seq)), [REVIEW], None)
            except StateError:
                refused += 1
    assert refused == 40
    files = {file.name for file in folder.path.iterdir()}
    assert files == belonging(folder)
    collection.keep(part(200, image=jpeg(200)), [REVIEW], None)
    assert any(sample.verdict.seq == 200 for sample in folder.samples())
    assert size_of(folder) <= 200_000


def belonging(folder: Folder) -> set[str]:
    """Every file that belongs to a sample whose frames are what was written."""
    found = {"random.json"}
    for sample in folder.samples():
        if folder.frames(sample) is not None:
            found |= {f"{sample.name}.json", *(frame.file for frame in sample.frames)}
    return found


# --- kill -9 --------------------------------------------------------------------------------------

_WRITER = """
import sys
from pathlib import Path
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import Folder
from tests.edge_runtime.samples.test_collection import RANDOM, REVIEW, jpeg, part
if {careless}:
    Folder.sweep = lambda self: 0
collection = Collection(Folder(Path(sys.argv[1])), quota=400_000, least_free=0, most_likely=1.0)
collection.open()
seq = int(sys.argv[2])
while True:
    collection.keep(part(seq, image=jpeg(seq % 50) * 9), [RANDOM, REVIEW], None)
    seq += 1
"""


@pytest.mark.parametrize("careless", [False, True])
def test_kills_leave_whole_samples_and_the_next_run_sweeps_the_rest(
    careless: bool, folder: Folder, collect: Callable[..., Collection]
) -> None:
    """The control does not sweep: its leavings pile up, so that the kills are seen to leave some."""
    program = _WRITER.replace("{careless}", str(careless))
    left_over = 0
    for run in range(12 if careless else 3):
        before = folder.names()
        words = [sys.executable, "-c", program, str(folder.path), str(1 + 100_000 * run)]
        with subprocess.Popen(words, env={**os.environ, "PYTHONPATH": "."}) as writer:
            try:
                assert eventually(lambda before=before: len(folder.names() - before) >= 3, 30.0)
            finally:
                writer.send_signal(signal.SIGKILL)
        for sample in folder.samples():
            files = folder.frames(sample)
            assert files is not None
            assert hashlib.sha256(files[0]).hexdigest() == sample.frames[0].sha256
        left_over += len({file.name for file in folder.path.iterdir()} - belonging(folder))
        if left_over and careless:
            return
    assert not careless or left_over
    collection = collect(quota=400_000)
    assert {file.name for file in folder.path.iterdir()} == belonging(folder)
    assert size_of(folder) <= collection.bytes + 4096 <= 400_000 + 4096
