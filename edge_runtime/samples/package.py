"""A labelling package: chosen samples in a folder of its own, to be taken to where people label.

    manifest.csv          a row for each frame; `train index` reads it back
    images/               the frames, as they came
    labelling.html        a page to label in
    label-studio/         tasks.json and config.xml, for those who have it

Owns the layout and the columns, not the choice (`choice`). Reads the folder beside a daemon that runs: a
sample that is gone by then is left out. The package is written aside and renamed.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.sample import KeptFrame, RandomShare, Reason, Sample
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import UsageError
from edge_runtime.samples.choice import Choice
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.labelling import label_studio
from edge_runtime.samples.labelling.frames import known_label, page_frame
from edge_runtime.samples.labelling.page import PageFrame, labelling_page
from edge_runtime.written_aside import folder_written_aside

MANIFEST, IMAGES, PAGE, LABEL_STUDIO = "manifest.csv", "images", "labelling.html", "label-studio"
COLUMNS = (
    "path",
    "label",
    "predicted",
    "group",
    "line",
    "station",
    "captured_at",
    "generation",
    "sha256",
    "verdict",
    "score",
    "reason",
    "inclusion_probability",
    "part_id",
    "seq",
    "bundle",
    "model_sha256",
)
"""Of the manifest. `label` is empty but where one came back from re-inspection; `score` is the predicted
class's; `inclusion_probability` stands with the random samples: weight each by 1 over it."""
GROUP = r"(.+)-\d{1,2}"
"""What of a part id names the module: by default all but a last number of one or two digits, so that the
crops of a module stay together in a split."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """What a package came to hold."""

    samples: int
    frames: int
    by_reason: Mapping[Reason, int]
    """Samples; those of several reasons count for each."""
    not_shown: int
    """Frames that no program can show, such as damaged files: left out."""
    damaged: int
    """Samples whose files are not what was written: left out."""


Heat = Callable[[Sample, int, Pixels], Pixels | None]
"""Where the model looked in one of a sample's frames, as a picture to lay over it; None: not known."""


def write_package(
    folder: Folder,
    out: Path,
    chosen: Choice,
    *,
    group: str = GROUP,
    heat: Heat | None = None,
) -> Packaged:
    """Write the chosen samples of the folder to a new folder `out`.

    Raises UsageError where nothing is to be written, or `out` cannot be.
    """
    if out.exists():
        raise UsageError(f"{out} is there already: name a new folder")
    if not chosen.samples:
        raise UsageError(f"{folder.path} holds no such samples: see edge-inspect samples list")
    with folder_written_aside(
        out, error=lambda _place, why: UsageError(f"{out} cannot be written: {why}")
    ) as aside:
        packaged = _write(folder, aside, out.name, chosen, _grouping(group), heat)
        if not packaged.frames:
            raise UsageError(f"none of the {len(chosen.samples)} samples has a frame to be shown")
    return packaged


def _write(
    folder: Folder,
    aside: Path,
    name: str,
    chosen: Choice,
    group: Callable[[str], str],
    heat: Heat | None,
) -> Packaged:
    labels = _labels(chosen.samples)
    shown: list[PageFrame] = []
    tasks: list[label_studio.Task] = []
    damaged = not_shown = samples = 0
    by_reason: dict[Reason, int] = dict.fromkeys(Reason, 0)
    (aside / IMAGES).mkdir()
    with (aside / MANIFEST).open("w", encoding="utf-8", newline="") as stream:
        rows = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        rows.writeheader()
        for sample in chosen.samples:
            files = folder.frames(sample)
            if files is None:
                damaged += 1
                continue
            before = len(shown)
            for number, (data, frame) in enumerate(zip(files, sample.frames, strict=True)):
                try:
                    pixels = decode(data)
                except Undecodable:
                    not_shown += 1
                    continue
                (aside / IMAGES / frame.file).write_bytes(data)
                row = _row(sample, frame, chosen.share, group)
                rows.writerow(row)
                over = None if heat is None else heat(sample, number, pixels)
                shown.append(page_frame(sample, frame, row["path"], pixels, over))
                tasks.append(_task(sample, frame, row))
            if len(shown) > before:
                samples += 1
                for reason in {claim.reason for claim in sample.claims}:
                    by_reason[reason] += 1
    if shown:
        stations = sorted({f"{s.verdict.line}-{s.verdict.station}" for s in chosen.samples})
        (aside / PAGE).write_text(
            labelling_page(
                title=f"Frames to label: {', '.join(stations)}",
                package=f"{name} {datetime.now(UTC).isoformat()}",
                labels=labels,
                frames=shown,
            ),
            encoding="utf-8",
        )
        (aside / LABEL_STUDIO).mkdir()
        (aside / LABEL_STUDIO / "tasks.json").write_text(
            label_studio.tasks(name, tasks), encoding="utf-8"
        )
        (aside / LABEL_STUDIO / "config.xml").write_text(
            label_studio.setup(labels), encoding="utf-8"
        )
    return Packaged(
        samples=samples,
        frames=len(shown),
        by_reason={reason: count for reason, count in by_reason.items() if count},
        not_shown=not_shown,
        damaged=damaged,
    )


def _labels(samples: Sequence[Sample]) -> tuple[str, ...]:
    """The classes of the models that judged them, in the models' order."""
    return tuple(dict.fromkeys(label for sample in samples for label in sample.verdict.scores))


def _grouping(pattern: str) -> Callable[[str], str]:
    try:
        compiled = re.compile(pattern)
    except re.error as exc:
        raise UsageError(f"--group {pattern!r} is no regular expression: {exc}") from exc
    if not compiled.groups:
        raise UsageError(f"--group {pattern!r} needs parentheses around what names the module")

    def group(part_id: str) -> str:
        match = compiled.fullmatch(part_id)
        return (match[1] if match else None) or part_id

    return group


def _row(
    sample: Sample, frame: KeptFrame, share: RandomShare | None, group: Callable[[str], str]
) -> dict[str, str]:
    verdict = sample.verdict
    drawn = share is not None and sample.has(Reason.RANDOM)
    score = verdict.scores.get(frame.label or "")
    return {
        "path": f"{IMAGES}/{frame.file}",
        "label": known_label(sample) or "",
        "predicted": frame.label or "",
        "group": group(verdict.part_id),
        "line": verdict.line,
        "station": verdict.station,
        "captured_at": verdict.captured_at.isoformat(),
        "generation": sample.generation,
        "sha256": frame.sha256,
        "verdict": verdict.verdict.value,
        "score": "" if score is None else f"{score:.6f}",
        "reason": ";".join(dict.fromkeys(claim.reason.value for claim in sample.claims)),
        "inclusion_probability": f"{share.probability(verdict.decided_at):.9g}"
        if drawn and share is not None
        else "",
        "part_id": verdict.part_id,
        "seq": str(verdict.seq),
        "bundle": verdict.internal_recipe_id,
        "model_sha256": verdict.model_sha256,
    }


def _task(sample: Sample, frame: KeptFrame, row: Mapping[str, str]) -> label_studio.Task:
    shown = ("part_id", "group", "captured_at", "predicted", "score", "verdict", "reason")
    return label_studio.Task(
        path=row["path"],
        predicted=frame.label,
        score=sample.verdict.scores.get(frame.label or "", 0.0),
        model=f"{row['bundle']} {row['model_sha256'][:12]}",
        about={name: row[name] for name in shown},
    )
