"""What `tests.faults.gige_soak` calls a fault; the hour itself is a command."""

from dataclasses import replace

import pytest

from tests.faults.gige_soak import GigeSoak, Incident, Sample
from tests.reliability.reckoning import Reckoning

CLEAN = Reckoning(
    last_seq=900, pruned=0, received=900, missing=(), unknown=(), different=(), contradicted=(),
    gaps=(), broken_links=(), passed_unseen=(), unreadable=0, duplicates=0,
)  # fmt: skip


def sample(at: float) -> Sample:
    return Sample(at=at, resident_mb=150.0, camera_mb=125.0, children=1, descriptors=17, mappings=1)


SOUND = GigeSoak(
    seconds=100.0,
    samples=tuple(sample(float(at)) for at in range(100)),
    incidents=(Incident(kind="camera killed", at=30.0, known_s=5.9, back_s=2.2),),
    exit_code=0,
    frames=900,
    verdicts=900,
    lost=8,
    skipped=3,
    restarts=2,
    not_inspected=1,
    reckoning=CLEAN,
)


def grown(**by: float) -> tuple[Sample, ...]:
    return tuple(
        replace(sample, **{name: getattr(sample, name) + rate * index for name, rate in by.items()})
        for index, sample in enumerate(SOUND.samples)
    )


def test_a_sound_soak_has_no_fault() -> None:
    assert SOUND.faults() == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": grown(resident_mb=0.3)}, "memory grew by 30.0 MB"),
        ({"samples": grown(descriptors=0.1)}, "more descriptors at the end"),
        ({"samples": grown(children=0.1)}, "more processes at the end"),
        ({"samples": grown(mappings=0.1)}, "more mappings of shared memory"),
        ({"verdicts": 899}, "900 frames were taken in and 899 answered"),
        ({"skipped": 9}, "9 frames are missing, 8 were said to be lost"),
        ({"exit_code": -9}, "exit code -9"),
        ({"reckoning": replace(CLEAN, missing=(7,))}, "1 never at the consumer: 7"),
        (
            {"incidents": (Incident(kind="camera frozen", at=1, known_s=None, back_s=2.0),)},
            "camera frozen: known after None s",
        ),
        (
            {"incidents": (Incident(kind="camera frozen", at=1, known_s=3.0, back_s=5.1),)},
            "camera frozen: back after 5.1 s",
        ),
    ],
)
def test_control_each_fault_is_said(change: dict[str, object], words: str) -> None:
    (fault,) = replace(SOUND, **change).faults()  # type: ignore[arg-type]
    assert words in fault
