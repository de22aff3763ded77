"""Pixels for the trainer: decoded once by threads, kept in memory as far as it reaches, then batched.

`open_images` reads every file once: what does not decode is quarantined with its reason. The first
images are kept as uint8 at the model's input size, as many as a memory limit allows; the rest is read
and decoded anew at each use, so pixels take no more memory as the data set grows. `BatchStream`
prepares the next batches on threads while the network works on the present one; decoding, resizing and
augmenting release the interpreter lock, so no processes are needed.

Invariant: a batch's pixels depend on its indices, the seed, the epoch and the place within the epoch
alone, never on the number of threads or their timing.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.preprocessing import fit
from optimize.data.dataset import Dataset
from train.data.augment import Augmentation
from train.errors import DatasetError

_BATCHES_AHEAD = 2
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """An image that cannot be used."""

    index: int
    """Into the samples of the data set that was opened."""
    path: str
    label: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ImageStore:
    """The images of a data set at one size, all of them decodable. Safe to read from many threads."""

    dataset: Dataset
    """Without the quarantined samples."""
    size: InputSpec
    quarantined: tuple[Quarantined, ...]
    sha256: str
    """Over path, label, group and file bytes of every usable sample, in order."""
    cached: npt.NDArray[np.uint8] = field(repr=False)
    """The first images, (n, height, width, 3)."""

    def __len__(self) -> int:
        return len(self.dataset.samples)

    def __getitem__(self, index: int) -> Pixels:
        """Pixels (height, width, 3) of one image; not to be written to."""
        if index < len(self.cached):
            return np.asarray(self.cached[index])
        try:
            return fit(decode(read_image(self.dataset, index)), self.size)
        except Undecodable as exc:
            raise DatasetError(
                f"{self.dataset.file(index)} changed while it was in use: {exc}"
            ) from exc


def open_images(
    dataset: Dataset,
    size: InputSpec,
    *,
    workers: int,
    memory_limit: int,
    undecodable: Collection[str] | None = None,
) -> ImageStore:
    """Read every image once on `workers` threads, keeping at most `memory_limit` bytes of pixels.

    `undecodable` are the paths that an earlier opening found to be so. Then the others are decoded only
    to be kept: whoever compares `sha256` with the earlier one knows that they still can be. Raises
    DatasetError when a file cannot be read or when no image of a class can be decoded.
    """
    total = len(dataset.samples)
    room = min(memory_limit // (size.height * size.width * 3), total)
    # Untouched pages cost nothing, so images that turn out to be damaged leave no hole in memory.
    cached = np.empty((room, size.height, size.width, 3), np.uint8)
    kept = 0
    digest = hashlib.sha256()
    quarantined: list[Quarantined] = []

    def look(index: int) -> _Seen:
        keep = index < room
        decodes = keep or undecodable is None or dataset.samples[index].path in undecodable
        return _look(dataset, index, size, keep=keep, decodes=decodes)

    with (
        ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool,
        tqdm(total=total, desc="opening", unit="image", disable=None, leave=False) as bar,
    ):
        looks = in_order(pool, look, total, ahead=4 * workers)
        for index, (sample, seen) in enumerate(zip(dataset.samples, looks, strict=True)):
            bar.update()
            if seen.fault is not None:
                quarantined.append(
                    Quarantined(
                        index=index, path=sample.path, label=sample.label, reason=seen.fault
                    )
                )
                continue
            if seen.pixels is not None:
                cached[kept] = seen.pixels
                kept += 1
            for part in (sample.path, sample.label, sample.group, seen.sha256):
                digest.update(part.encode() + b"\0")
    usable = dataset.without(bad.index for bad in quarantined)
    require_every_class(dataset, usable.labels)
    return ImageStore(
        dataset=usable,
        size=size,
        quarantined=tuple(quarantined),
        sha256=digest.hexdigest(),
        cached=cached[:kept],
    )


def open_again(
    dataset: Dataset,
    size: InputSpec,
    *,
    workers: int,
    memory_limit: int,
    quarantined: tuple[Quarantined, ...],
    sha256: str,
) -> ImageStore:
    """The images as another process has opened them: only what is kept in memory is read."""
    usable = dataset.without(bad.index for bad in quarantined)
    room = min(memory_limit // (size.height * size.width * 3), len(usable.samples))
    cached = np.empty((room, size.height, size.width, 3), np.uint8)
    store = ImageStore(
        dataset=usable, size=size, quarantined=quarantined, sha256=sha256, cached=cached[:0]
    )
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        decoded = in_order(pool, store.__getitem__, room, ahead=4 * workers)
        for index, pixels in enumerate(decoded):
            cached[index] = pixels
    return replace(store, cached=cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the network is given at one step."""

    frames: npt.NDArray[np.uint8]
    """(N, height, width, 3) uint8 RGB."""
    classes: npt.NDArray[np.int64]
    """(N,) positions in the data set's labels."""


@dataclass(kw_only=True)
class BatchStream:
    """The batches of one epoch, in order. Iterate once; `waited_s` then says what that cost."""

    store: ImageStore
    order: Sequence[int] | npt.NDArray[np.int64]
    """Indices of the samples to show; some may repeat, some may be missing."""
    batch_size: int
    size: InputSpec
    """The size to give out; at most the store's."""
    pool: ThreadPoolExecutor
    augmentation: Augmentation | None = None
    seed: int = 0
    epoch: int = 0
    first: int = 0
    """Place in `order` to begin at, where what comes before it has been shown already."""
    share: slice = field(default_factory=lambda: slice(None))
    """The part of every batch that is prepared: one process's, where several share the run."""
    waited_s: float = 0.0
    """Time in which the caller had to wait for pixels, seconds."""

    def __iter__(self) -> Iterator[Batch]:
        order = np.asarray(self.order, np.int64)
        starts = deque(range(self.first, len(order), self.batch_size))
        ahead: deque[tuple[Batch, list[Future[None]]]] = deque()
        while starts or ahead:
            while starts and len(ahead) <= _BATCHES_AHEAD:
                start = starts.popleft()
                places = range(start, min(start + self.batch_size, len(order)))
                ahead.append(self._begin(order, places[self.share]))
            batch, images = ahead.popleft()
            began = time.perf_counter()
            for image in images:
                image.result()
            self.waited_s += time.perf_counter() - began
            yield batch

    def _begin(
        self, order: npt.NDArray[np.int64], places: range
    ) -> tuple[Batch, list[Future[None]]]:
        """A batch that the pool fills: it is whole when every future is done."""
        indices = order[places]
        shape = (len(indices), self.size.height, self.size.width, 3)
        batch = Batch(frames=np.empty(shape, np.uint8), classes=self.store.dataset.classes[indices])
        return batch, [
            self.pool.submit(self._fill, frame, index, place)
            for frame, index, place in zip(batch.frames, indices.tolist(), places, strict=True)
        ]

    def _fill(self, frame: Pixels, index: int, place: int) -> None:
        pixels = fit(self.store[index], self.size)
        if self.augmentation is not None:
            random = np.random.default_rng((self.seed, self.epoch, place))
            pixels = self.augmentation.apply(pixels, random)
        frame[...] = pixels


class _Seen(NamedTuple):
    """What came of looking at one image."""

    sha256: str
    pixels: Pixels | None
    """Where they are to be kept."""
    fault: str | None


def _look(dataset: Dataset, index: int, size: InputSpec, *, keep: bool, decodes: bool) -> _Seen:
    data = read_image(dataset, index)
    sha256 = hashlib.sha256(data).hexdigest()
    if not decodes:
        return _Seen(sha256, None, None)
    try:
        pixels = decode(data)
    except Undecodable as exc:
        return _Seen(sha256, None, str(exc))
    return _Seen(sha256, fit(pixels, size) if keep else None, None)


def in_order(
    pool: ThreadPoolExecutor, look: Callable[[int], Found], total: int, *, ahead: int
) -> Iterator[Found]:
    """Look at all images in order, with a bounded number of them under way."""
    under_way: deque[Future[Found]] = deque()
    for index in range(total):
        under_way.append(pool.submit(look, index))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def read_image(dataset: Dataset, index: int) -> bytes:
    """The encoded image; raises DatasetError where it is gone or not the one that the manifest names."""
    try:
        data = dataset.read(index)
    except OSError as exc:
        raise DatasetError(f"cannot read {dataset.file(index)}: {exc.strerror}") from exc
    expected = dataset.samples[index].sha256
    if expected and (found := hashlib.sha256(data).hexdigest()) != expected:
        raise DatasetError(
            f"{dataset.file(index)} was changed: its sha256 is {found[:12]}, the manifest or split says "
            f"{expected[:12]}; put it back, or write manifest and split anew"
        )
    return data


def require_every_class(dataset: Dataset, usable: Collection[str]) -> None:
    """Raise DatasetError unless each class has a usable image left."""
    for label in dataset.labels:
        if label not in usable:
            raise DatasetError(
                f"none of the {dataset.counts[label]} images of class {label!r} can be decoded: "
                "replace the files or leave the class out"
            )
