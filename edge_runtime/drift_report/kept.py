"""Which of a station's kept samples a drift report shows: the newest that were kept because of drift."""

from pathlib import Path
from typing import Final

from edge_runtime.contracts.sample import Reason, Sample
from edge_runtime.drift_history.records import Picture, Role
from edge_runtime.samples.folder import SAMPLES, Folder

SHOWN: Final = 6


def drifted_samples(state_dir: Path) -> tuple[Picture, ...]:
    """The first frame of each, the newest first; nothing where the station keeps no samples.

    A sample that the daemon removes meanwhile is passed over.
    """
    folder = Folder(state_dir / SAMPLES)
    if not folder.path.is_dir():
        return ()
    found: list[Picture] = []
    for name in sorted(folder.names(), reverse=True):
        sample = folder.read(name)
        if sample is None or not sample.has(Reason.DRIFTED):
            continue
        frames = folder.frames(sample)
        if frames:
            found.append(_picture(sample, frames[0]))
        if len(found) == SHOWN:
            break
    return tuple(found)


def _picture(sample: Sample, frame: bytes) -> Picture:
    kinds = ", ".join(
        claim.kind.replace("_", " ")
        for claim in sample.claims
        if claim.reason is Reason.DRIFTED and claim.kind
    )
    said = f"{sample.verdict.part_id}: {sample.verdict.verdict.value}"
    return Picture(
        role=Role.RECENT,
        at=sample.verdict.decided_at,
        caption=f"{said}; {kinds}" if kinds else said,
        image=frame,
    )
