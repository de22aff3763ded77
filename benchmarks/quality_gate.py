"""What the quality gate catches, what it costs, and what the model says of the rest:
`python -m benchmarks.quality_gate --real /data/magnetic_tile /data/neu_det`.

Limits are set on frames of the simulated Gen-3 line as it comes, 8 % of them smeared. Judged are frames
of another seed, sound ones and the same damaged; those that pass are given to the shipped int8 model.
Writes docs/results/quality-gate.json and docs/pictures/quality-gate.jpg.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks import quality_sheet
from benchmarks.quality_cost import cost, sizes
from benchmarks.quality_damage import KINDS
from benchmarks.quality_line import Model, Shot, open_model, shots
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.contracts.verdict import Outcome, reason_code
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import read
from optimize.builder.quality_reference import observe
from optimize.data.dataset import open_dataset
from optimize.data.images import Image, read_images
from optimize.data.manifest import Columns
from optimize.quality_limits.setting import COST, Observed, set_limits

_COSTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
_FOLDS = 5
_COLUMNS = {
    "magnetic_tile": Columns(path="file", label="class", group="tile_group"),
    "neu_det": Columns(path="file", label="class", group="file"),
    "xsdd": Columns(path="file", label="class", group="file"),
}
"""What the public sets' manifests call them."""


def observed(images: Sequence[Image]) -> Observed:
    """What a build would see of these images."""
    return observe(images, len(images), lambda _: None)


def reasons(judge: Judge, frames: Sequence[Pixels]) -> list[str | None]:
    """What the gate says of each frame."""
    return [judge.rejection(read(pixels)) for pixels in frames]


def share_rejected(judge: Judge, of: Sequence[Shot]) -> float:
    """Share that the gate turns away."""
    return float(np.mean([r is not None for r in reasons(judge, [shot.pixels for shot in of])]))


def curve(seen: Observed, line: Sequence[Shot], smears: Sequence[Shot]) -> list[dict[str, float]]:
    """What each cost asked for comes to on other frames."""
    rows = []
    for asked in _COSTS:
        judge = Judge(set_limits("", seen, asked))
        rows.append(
            {
                "asked": asked,
                "good_rejected": share_rejected(judge, [shot for shot in line if shot.good]),
                "defective_rejected": share_rejected(judge, [s for s in line if not s.good]),
                "smeared_caught": share_rejected(judge, smears),
            }
        )
        print(rows[-1], flush=True)
    return rows


def fate(
    judge: Judge, model: Model, of: Sequence[Shot], frames: Sequence[Pixels]
) -> dict[str, object]:
    """What becomes of frames, good and defective, with the gate and without."""
    said = reasons(judge, frames)
    outcomes = model.outcomes(frames)
    good = np.array([shot.good for shot in of])
    passed = np.array([reason is None for reason in said])
    ok, wrong = (
        np.array([outcome is wanted for outcome in outcomes])
        for wanted in (Outcome.OK, Outcome.DEFECT)
    )
    return {
        "frames": len(frames),
        "caught": float((~passed).mean()),
        "reasons": dict(Counter(reason_code(reason) for reason in said if reason)),
        "defective": int((~good).sum()),
        "defective_passed": int((~good & passed).sum()),
        "defective_ok_without_gate": int((ok & ~good).sum()),
        "defective_ok_with_gate": int((ok & ~good & passed).sum()),
        "good_defect_without_gate": int((wrong & good).sum()),
        "good_defect_with_gate": int((wrong & good & passed).sum()),
    }


def damaged(judge: Judge, model: Model, sound: Sequence[Shot]) -> list[dict[str, object]]:
    """A row for each kind of damage."""
    rows = []
    for kind in KINDS:
        rng = np.random.default_rng(7)
        frames = [kind.damage(rng, shot.pixels) for shot in sound]
        rows.append(
            {"kind": kind.name, "severity": kind.severity, **fate(judge, model, sound, frames)}
        )
        print(f"{kind.name:<22} {kind.severity:<24} caught {rows[-1]['caught']:.3f}", flush=True)
    return rows


def real(folder: Path, most: int) -> dict[str, object]:
    """Of real images: what limits from four fifths of them turn away of the last fifth."""
    dataset = open_dataset(folder, _COLUMNS.get(folder.name))
    order = np.random.default_rng(3).permutation(len(dataset.samples))[:most]
    chosen = dataset.at(int(index) for index in order)
    images = [
        item
        for item in read_images(chosen, InputSpec(height=128, width=128))
        if isinstance(item, Image)
    ]
    groups = np.unique([image.group for image in images], return_inverse=True)[1]
    folds = np.random.default_rng(4).permutation(int(groups.max()) + 1)[groups] % _FOLDS
    said: list[str | None] = []
    off: Counter[str] = Counter()
    for fold in range(_FOLDS):
        taught = [image for image, of in zip(images, folds, strict=True) if of != fold]
        made = set_limits("", observed(taught), COST)
        off.update(f"{limit.check} by {limit.measure}" for limit in made.limits if limit.off)
        asked = [image.pixels for image, of in zip(images, folds, strict=True) if of == fold]
        said += reasons(Judge(made), asked)
    return {
        "data": folder.name,
        "images": len(said),
        "rejected": float(np.mean([reason is not None for reason in said])),
        "reasons": dict(Counter(reason_code(reason) for reason in said if reason)),
        "switched_off_in_folds": dict(off),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--reference", type=int, default=2000, help="frames that limits are set on")
    parser.add_argument("--sound", type=int, default=1200, help="frames to measure the cost on")
    parser.add_argument("--each", type=int, default=300, help="frames of each kind of damage")
    parser.add_argument("--large", type=int, default=200, help="frames of 1024x1024")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="folders of real images")
    parser.add_argument("--most", type=int, default=600, help="images of each real folder")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    result: dict[str, object] = setting("onnxruntime", "numpy", "opencv-python-headless")
    taught = shots(601, arguments.reference)
    seen = observed([shot.image() for shot in taught])
    line = shots(602, arguments.sound, smeared=0.0)
    smears = shots(602, arguments.sound, smeared=1.0)
    reference = set_limits("gen3 601", seen, COST)
    judge = Judge(reference)
    result["reference"] = {
        "frames": len(taught),
        "smeared": sum(shot.smeared for shot in taught),
        "set_aside": reference.set_aside,
        "limits": [limit.model_dump(mode="json") for limit in reference.limits],
        "bytes": len(reference.to_json()),
    }
    result["by_cost_asked"] = curve(seen, line, smears)
    half = shots(603, arguments.each, smeared=0.0, defects=0.5)
    half_smeared = shots(603, arguments.each, smeared=1.0, defects=0.5)
    with open_model() as model:
        for name, of in (("undamaged", half), ("smeared_by_the_line", half_smeared)):
            result[name] = fate(judge, model, of, [shot.pixels for shot in of])
        result["damaged"] = damaged(judge, model, half)
        result["size"] = sizes(model, arguments.large)
    result["cost"] = cost(reference, [shot.pixels for shot in half[:50]], 31)
    result["real"] = [real(folder, arguments.most) for folder in arguments.real]
    for key in ("undamaged", "smeared_by_the_line", "cost", "size", "real"):
        print(key, result[key])
    quality_sheet.draw(judge, line, half)
    print(f"written to {write_result('quality-gate', result).name}")


if __name__ == "__main__":
    main()
