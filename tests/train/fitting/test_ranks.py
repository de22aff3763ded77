"""Runs that several processes share: real ones, started by torchrun on the CPU."""

import csv
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError
from tests.train.conftest import write_folder
from train.cli.main import main
from train.data.augment import Augmentation
from train.data.manifest import read_class_folders
from train.data.stream import BatchStream, open_again, open_images
from train.fitting.ranks import ALONE, Ranks, shared_run
from train.fitting.state import Keeper, State
from train.run_folder import RunFolder

SIZE = InputSpec(height=32, width=32)
# Batches of 5 for two processes: their shares are unequal, as is the weight of their gradients.
FLAGS = shlex.split(
    "--manifest rows.csv --path-column file --label-column kind --group-column serial --val-split 0.4 "
    "--initial-weights scratch --img-size 32 --epochs 3 -b 5 --grad-accum-steps 2 --lr 3e-3 --seed 3 "
    "--min-epoch-images 0 -j 1 --cache-gb 0.00003"
)
TORCHRUN = shlex.split("-m torch.distributed.run --standalone --nproc-per-node 2 -m")


def fit(out: Path, *flags: str) -> int:
    return main(["fit", "--output", str(out), *flags])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process and, in the same folder, those of two."""
    folder = tmp_path_factory.mktemp("shared")
    flags = ["--data-dir", str(write_folder(folder / "data", 16)), *FLAGS]
    whole = [*flags, "--model", "test_convnext"]
    assert fit(folder / "alone", *whole) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Keeper, "write_epoch", _interrupted_after_the_first(Keeper.write_epoch))
        assert fit(folder / "begun", *whole) == 130
    script = [*TORCHRUN, "tests.train.fitting.shared_runs", str(folder), *flags]
    done = subprocess.run(
        [sys.executable, *script], check=False, capture_output=True, text=True, timeout=240
    )
    (folder / "printed").write_text(done.stdout)
    (folder / "complaints").write_text(done.stderr)
    (folder / "code").write_text(str(done.returncode))
    return folder


def _interrupted_after_the_first(write_epoch: object) -> object:
    def write(keeper: Keeper, state: State) -> None:
        write_epoch(keeper, state)
        raise KeyboardInterrupt

    return write


def weights(run: Path) -> torch.Tensor:
    """All that was learned, averaged weights included, as one vector."""
    stored = torch.load(RunFolder(path=run).last, weights_only=True)
    tensors = [*stored["network"].values(), *stored["average"].values()]
    return torch.cat([tensor.double().flatten() for tensor in tensors])


def figures(run: Path) -> list[list[float]]:
    """Loss and validation figures of every epoch."""
    with RunFolder(path=run).metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith(("loss", "macro", "reach", "recall"))]
    return [[float(row[name]) for name in names if name != "loader_share"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("run", ["shared", "begun"])
def test_two_processes_come_to_what_one_comes_to(runs: Path, run: str) -> None:
    # Sums are added in another order: some 1e-7 in float32, after nine updates of AdamW.
    torch.testing.assert_close(weights(runs / run), weights(runs / "alone"), rtol=0, atol=2e-5)
    np.testing.assert_allclose(figures(runs / run), figures(runs / "alone"), atol=2e-5)


@pytest.mark.slow
def test_a_wrong_share_would_be_noticed(runs: Path) -> None:
    with pytest.raises(AssertionError):
        test_two_processes_come_to_what_one_comes_to(runs, "wrong")
    assert (weights(runs / "wrong") - weights(runs / "alone")).abs().max() > 1e-3


@pytest.mark.slow
def test_batch_norm_on_a_cpu_runs_and_stays_close(runs: Path) -> None:
    found = np.array(figures(runs / "normed"))
    assert np.isfinite(found).all()
    assert 0.5 < found[-1][0] < 1.5
    assert "each one's own statistics" in (runs / "printed").read_text()


@pytest.mark.slow
def test_the_leader_alone_speaks(runs: Path) -> None:
    printed = (runs / "printed").read_text()
    assert printed.count("could not be decoded and are listed") == 5
    assert printed.count("epoch 3: ") == 4


@pytest.mark.slow
def test_a_process_that_fails_ends_all_and_leaves_nothing_that_looks_whole(runs: Path) -> None:
    assert (runs / "code").read_text() == "1"
    assert "train: it vanished" in (runs / "complaints").read_text()
    assert (runs / "broken" / "run.json").exists()
    assert not (runs / "broken" / "last.pth").exists()


@given(count=st.integers(1, 9), images=st.integers(0, 40))
def test_shares_are_disjoint_and_leave_nothing_out(count: int, images: int) -> None:
    shares = [range(images)[Ranks(rank=rank, count=count).share] for rank in range(count)]
    assert sorted(place for share in shares for place in share) == list(range(images))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_that_leaves_a_process_with_one_image_is_refused() -> None:
    Ranks(count=4).require_enough(8)
    ALONE.require_enough(1)
    with pytest.raises(UsageError, match="a batch of 7 images cannot be shared by 4 processes"):
        Ranks(count=4).require_enough(7)


def test_without_torchrun_a_process_is_alone() -> None:
    with shared_run() as ranks:
        assert ranks is ALONE
    assert ALONE.tell(lambda: 7) == 7
    assert ALONE.total(torch.ones(2)).tolist() == [1, 1]
    network = torch.nn.Linear(1, 1)
    assert ALONE.joined(network) is network


def test_shares_of_a_batch_are_the_batch_pixel_for_pixel(folder_of_images: Path) -> None:
    images = open_images(
        read_class_folders(folder_of_images), SIZE, workers=1, memory_limit=1 << 20
    )
    again = open_again(
        read_class_folders(folder_of_images),
        SIZE,
        workers=2,
        memory_limit=7 * 32 * 32 * 3,
        quarantined=images.quarantined,
        sha256=images.sha256,
    )
    assert len(again.cached) == 7
    order = [5, 0, 29, 12, 7]
    with ThreadPoolExecutor(2) as pool:

        def frames(store: object, share: slice) -> list[np.ndarray]:
            stream = BatchStream(
                store=store,
                order=order,
                batch_size=3,
                size=SIZE,
                pool=pool,
                augmentation=Augmentation(),
                share=share,
            )
            return [batch.frames for batch in stream]

        whole = frames(images, slice(None))
        parts = [frames(again, Ranks(rank=rank, count=2).share) for rank in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        np.testing.assert_array_equal(batch[0::2], first)
        np.testing.assert_array_equal(batch[1::2], second)
