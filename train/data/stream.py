"""Pixels for the trainer: decoded once by threads, kept in memory as far as it reaches, then batched.

`ImageStore` opens every file once: what does not decode is quarantined with its reason, what does is
kept as uint8 at the model's input size up to a memory limit, and decoded anew beyond it. `BatchStream`
prepares the next batches on threads while the network works on the present one; decoding, resizing and
augmenting release the interpreter lock, so no processes are needed.

Invariant: a batch's pixels depend on its indices, the seed, the epoch and the place within the epoch
alone, never on the number of threads or their timing.
"""

import hashlib
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.preprocessing import fit
from optimize.dataset import Dataset
from train.data.augment import Augmentation
from train.errors import DatasetError

_BATCHES_AHEAD = 2


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
            return fit(decode(_read(self.dataset, index)), self.size)
        except Undecodable as exc:
            raise DatasetError(
                f"{self.dataset.file(index)} changed while it was in use: {exc}"
            ) from exc


def open_images(
    dataset: Dataset, size: InputSpec, *, workers: int, memory_limit: int
) -> ImageStore:
    """Decode every image once on `workers` threads, keeping at most `memory_limit` bytes of pixels.

    Raises DatasetError when a file cannot be read or when no image of a class can be decoded.
    """
    room = memory_limit // (size.height * size.width * 3)
    total = len(dataset.samples)
    # Untouched pages cost nothing, so images that turn out to be damaged leave no hole in memory.
    cached = np.empty((min(room, total), size.height, size.width, 3), np.uint8)
    digest = hashlib.sha256()
    quarantined: list[Quarantined] = []
    kept = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        for index, outcome in enumerate(_decoded(pool, dataset, size, ahead=4 * workers)):
            sample = dataset.samples[index]
            if outcome.pixels is None:
                quarantined.append(
                    Quarantined(
                        index=index, path=sample.path, label=sample.label, reason=outcome.reason
                    )
                )
                continue
            if kept < len(cached):
                cached[kept] = outcome.pixels
            kept += 1
            for part in (sample.path, sample.label, sample.group, outcome.sha256):
                digest.update(part.encode() + b"\0")
    usable = dataset.without(bad.index for bad in quarantined)
    _require_every_class(dataset, usable)
    return ImageStore(
        dataset=usable,
        size=size,
        quarantined=tuple(quarantined),
        sha256=digest.hexdigest(),
        cached=cached[: min(kept, len(cached))],
    )


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
    order: Sequence[int]
    """Indices of the samples to show; some may repeat, some may be missing."""
    batch_size: int
    size: InputSpec
    """The size to give out; at most the store's."""
    pool: ThreadPoolExecutor
    augmentation: Augmentation | None = None
    seed: int = 0
    epoch: int = 0
    waited_s: float = 0.0
    """Time in which the caller had to wait for pixels, seconds."""

    def __iter__(self) -> Iterator[Batch]:
        starts = deque(range(0, len(self.order), self.batch_size))
        ahead: deque[list[Future[Pixels]]] = deque()
        while starts or ahead:
            while starts and len(ahead) <= _BATCHES_AHEAD:
                start = starts.popleft()
                places = range(start, min(start + self.batch_size, len(self.order)))
                ahead.append([self.pool.submit(self._prepare, place) for place in places])
            began = time.perf_counter()
            frames = np.stack([future.result() for future in ahead.popleft()])
            self.waited_s += time.perf_counter() - began
            shown = self._shown
            self._shown += len(frames)
            yield Batch(frames=frames, classes=self._classes[shown : self._shown])

    def __post_init__(self) -> None:
        labels = {label: position for position, label in enumerate(self.store.dataset.labels)}
        samples = self.store.dataset.samples
        self._classes = np.array([labels[samples[i].label] for i in self.order], np.int64)
        self._shown = 0

    def _prepare(self, place: int) -> Pixels:
        pixels = fit(self.store[self.order[place]], self.size)
        if self.augmentation is None:
            return pixels
        return self.augmentation.apply(
            pixels, np.random.default_rng((self.seed, self.epoch, place))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decoded:
    pixels: Pixels | None
    sha256: str
    reason: str


def _decoded(
    pool: ThreadPoolExecutor, dataset: Dataset, size: InputSpec, *, ahead: int
) -> Iterator[_Decoded]:
    """Decode in order, with a bounded number of images under way."""
    under_way: deque[Future[_Decoded]] = deque()
    for index in range(len(dataset.samples)):
        under_way.append(pool.submit(_decode, dataset, index, size))
        if len(under_way) > ahead:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _decode(dataset: Dataset, index: int, size: InputSpec) -> _Decoded:
    data = _read(dataset, index)
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        return _Decoded(pixels=fit(decode(data), size), sha256=sha256, reason="")
    except Undecodable as exc:
        return _Decoded(pixels=None, sha256=sha256, reason=str(exc))


def _read(dataset: Dataset, index: int) -> bytes:
    try:
        return dataset.read(index)
    except OSError as exc:
        raise DatasetError(f"cannot read {dataset.file(index)}: {exc.strerror}") from exc


def _require_every_class(dataset: Dataset, usable: Dataset) -> None:
    for label in dataset.labels:
        if label not in usable.labels:
            raise DatasetError(
                f"none of the {dataset.counts[label]} images of class {label!r} can be decoded: "
                "replace the files or leave the class out"
            )
