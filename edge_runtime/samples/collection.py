"""The samples of a station at work: what the reservoir decides, the folder follows.

Owns the order in which files change, so that a kill at any moment leaves whole samples, no more bytes
than the quota, and random samples whose probability is known. When the disk refuses in the middle, what
is there is read anew before anything else is decided. Used by one thread (`keeper` has it); every method
raises OSError or StateError for whatever the disk refuses.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import cv2
import numpy as np

from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.contracts.sample import (
    Claim,
    DriftThen,
    KeptFrame,
    RandomShare,
    Reason,
    Sample,
)
from edge_runtime.errors import DiskFullError
from edge_runtime.image_header import Undecodable, read_header
from edge_runtime.inspection import Answered, Judgement
from edge_runtime.samples.folder import Folder, bytes_on_disk
from edge_runtime.samples.looks import Looks, embedding, look
from edge_runtime.samples.reservoir import HALF_LIFE_S, MOST, Entry, Reservoir, Room
from edge_runtime.samples.rules import MOST_LIKELY, lot, returned

LEAST_FREE = 256_000_000
"""Bytes that are left on the disk for the journal: with less, nothing is kept."""
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif"}
_DAMAGED = ".bin"
_QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class Collection:
    """What is kept in one folder, within `quota` bytes of the disk and `most` samples."""

    def __init__(
        self,
        folder: Folder,
        *,
        quota: int,
        generation: str = "",
        most: int = MOST,
        most_likely: float = MOST_LIKELY,
        least_free: int = LEAST_FREE,
    ) -> None:
        """`generation` is written into every sample; `most_likely` is that of the rules."""
        self._folder = folder
        self._quota = quota
        self._generation = generation
        self._most = most
        self._least_free = least_free
        self._share = RandomShare(most=most_likely, half_life_s=HALF_LIFE_S, limit=None)
        self._in_step = False
        self._random_lost = 0
        self._forget_all()

    def __len__(self) -> int:
        return len(self._reservoir)

    @property
    def bytes(self) -> int:
        """That all samples take up on the disk."""
        return self._reservoir.bytes

    def open(self) -> None:
        """Take up what an earlier run has left, and sweep away what it left half done."""
        self._forget_all()
        self._folder.prepare()
        self._folder.sweep()
        before = self._folder.random_share()
        known = before is not None and (before.most, before.half_life_s) == (
            self._share.most,
            self._share.half_life_s,
        )
        if before is not None and known:
            self._share = before
            self._reservoir.limit = before.limit
        for sample in self._folder.samples():
            rank = self._share.rank(sample.lot, sample.verdict.decided_at)
            claims = self._reservoir.wants(rank, sample.claims)
            if not known:
                # Drawn by another rule than ours: nothing could be reckoned from both together.
                claims = tuple(claim for claim in claims if claim.reason is not Reason.RANDOM)
            if not claims:
                self._folder.remove(sample.name)
                continue
            if claims != sample.claims:
                self._folder.rewrite(sample.model_copy(update={"claims": claims}))
            self._remember(sample)
            self._follow(self._reservoir.offer(_entry(sample, rank, claims)))
        self._folder.write_random_share(self._share)
        self._in_step = True

    def keep(self, part: Answered, claims: Sequence[Claim], drift: DriftThen | None) -> None:
        """Keep a part for these reasons, if there is room for it and nothing like it there."""
        self._be_in_step()
        drawn = lot(part.verdict)
        rank = self._share.rank(drawn, part.verdict.decided_at)
        wanted = self._reservoir.wants(rank, claims)
        views = [v for v in part.views if not isinstance(v.frame.image, Unreadable)]
        pixels, features = views[0].pixels, views[0].features
        shows = "" if pixels is None else look(pixels)
        reads = "" if features is None else embedding(features)
        if self._looks.alike(shows, reads):
            wanted = tuple(claim for claim in wanted if claim.reason is Reason.RANDOM)
        if not wanted:
            return
        if self._folder.free_bytes() < self._least_free:
            raise DiskFullError(f"the disk has less than {self._least_free // 1_000_000} MB left")
        name = f"{part.verdict.seq:012d}-{part.verdict.boot_id[:8]}"
        files = [_file(view.frame) for view in views]
        sample = Sample(
            name=name,
            kept_at=datetime.now(UTC),
            claims=wanted,
            lot=drawn,
            generation=self._generation,
            drift=drift,
            look=shows,
            embedding=reads,
            frames=tuple(
                _kept(f"{name}-{number}{suffix}", data, view)
                for number, ((data, suffix), view) in enumerate(zip(files, views, strict=True))
            ),
            verdict=part.verdict,
        )
        self._in_step = False
        room = self._reservoir.offer(_entry(sample, rank, wanted))
        self._follow(room)
        if room.claims:
            sample = sample.model_copy(update={"claims": room.claims})
            self._folder.write(sample, [data for data, _ in files])
            self._remember(sample)
        self._in_step = True

    def relabel(self, seq: int, label: str) -> None:
        """A label came back for a verdict: its sample, if it was kept, remembers it."""
        self._be_in_step()
        name = next((name for name in self._reservoir if name.startswith(f"{seq:012d}-")), None)
        sample = None if name is None else self._folder.read(name)
        if sample is None:
            return
        self._in_step = False
        claim = returned(sample.verdict, label)
        self._folder.rewrite(sample.model_copy(update={"returned_label": label}))
        if claim is not None:
            room = self._reservoir.claim(sample.name, claim)
            self._follow(room)
            if room.claims:
                update = {"returned_label": label, "claims": room.claims}
                self._folder.rewrite(sample.model_copy(update=update))
        self._in_step = True

    def note_removed(self) -> None:
        """Look whether a command removed samples."""
        self._be_in_step()
        there = self._folder.names()
        for name in [name for name in self._reservoir if name not in there]:
            self._forget(name)

    def note_random_lost(self, parts: int) -> None:
        """So many parts that were drawn by lot could not be kept; it is written with the next change."""
        self._random_lost += parts

    def _be_in_step(self) -> None:
        if not self._in_step:
            self.open()

    def _follow(self, room: Room) -> None:
        """Let the disk follow what the reservoir has decided."""
        # First: a kill in between must not leave a random sample whose probability is not known.
        share = self._share.model_copy(
            update={
                "limit": self._reservoir.limit,
                "lost": self._share.lost + self._random_lost,
            }
        )
        if share != self._share:
            self._folder.write_random_share(share)
            self._share, self._random_lost = share, 0
        for name in room.gone:
            self._folder.remove(name)
            self._forget(name)
        for name, claims in room.lessened.items():
            sample = self._folder.read(name)
            if sample is not None:
                self._folder.rewrite(sample.model_copy(update={"claims": claims}))

    def _remember(self, sample: Sample) -> None:
        self._looks.add(sample.name, sample.look, sample.embedding)

    def _forget(self, name: str) -> None:
        self._reservoir.forget(name)
        self._looks.forget(name)

    def _forget_all(self) -> None:
        self._reservoir = Reservoir(self._quota, most=self._most)
        self._looks = Looks(self._most + 1)


def _entry(sample: Sample, rank: float, claims: tuple[Claim, ...]) -> Entry:
    return Entry(name=sample.name, bytes=bytes_on_disk(sample), rank=rank, claims=claims)


def _file(frame: Frame) -> tuple[bytes, str]:
    """The file of a frame and its suffix: as it came where it came as one, else a PNG."""
    match frame.image:
        case bytes(data):
            try:
                return data, _SUFFIXES[read_header(data).format]
            except Undecodable:
                return data, _DAMAGED
        case np.ndarray() as pixels:
            _, encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _QUICK)
            return encoded.tobytes(), ".png"
        case Unreadable(reason):
            raise AssertionError(f"nothing to keep: {reason}")


def _kept(file: str, data: bytes, view: Judgement) -> KeptFrame:
    return KeptFrame(
        file=file,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        as_it_came=isinstance(view.frame.image, bytes),
        label=view.decision.label,
        rejection=view.decision.reason if view.pixels is None else None,
        statistics=None if view.statistics is None else asdict(view.statistics),
    )
