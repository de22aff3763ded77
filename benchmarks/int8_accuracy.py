"""What int8 and float16 cost in accuracy: `python -m benchmarks.int8_accuracy --data DATA --work WORK`.

On simulated seams with the shipped model, and on real images (NEU-DET, X-SDD, magnetic tiles) with
networks that are taught for it, all by commands. Of each real set a third of the groups is held back:
int8 is fitted to the other images and judged on these. The limits on recall and false positives are
opened wide, since a few hundred images show neither; that on flips stands, and layers are left float
where it asks for that.
"""

import argparse
import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step

SETS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "neu_det": ("md5", {}),
    "xsdd": ("md5", {}),
    "magnetic_tile": ("tile_group", {"mixed_label_tile": "0"}),
}
"""Of each real set the column of its groups, and what its rows must say to be used."""
WIDE = "--min-recall 0 --max-false-positives 1"
QUICK = "--latency-samples 40"


def steps(data: Path, float_model: Path) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work."""
    made = [
        step(
            "simulate --generation gen3 --count 3000 --defect-share 0.3 --clean --seed 100 --out seams",
            "seams",
        ),
        step(
            f"build --int8 --fp16 {WIDE} {QUICK} {float_model} --calibration calibration "
            "--validation seams --out seams-bundle/1.0.0",
            "seams-bundle/1.0.0",
            prepare=lambda work: _link(work / "calibration", Path("calibration_data")),
            program="optimize",
        ),
    ]
    for name in SETS:
        held, taught = f"{name}-held.csv", f"{name}-taught.csv"
        made += [
            step(
                f"fit --data-dir data --manifest {taught} --img-size 128 --epochs 6 --warmup-epochs 1 "
                f"--lr 5e-4 --seed 1 --output run-{name}",
                f"run-{name}/best.pth",
                prepare=lambda work, name=name: _deal(work, data, name),  # type: ignore[misc]
            ),
            step(f"export run-{name} --out {name}.onnx", f"{name}.onnx"),
            step(
                f"build --int8 --fp16 {WIDE} {QUICK} {name}.onnx --calibration data/{taught} "
                f"--validation data/{held} --out {name}-bundle/1.0.0",
                f"{name}-bundle/1.0.0",
                program="optimize",
            ),
        ]
    return tuple(made)


def _link(link: Path, place: Path) -> None:
    if not link.exists():
        link.symlink_to(place.resolve(), target_is_directory=True)


def _deal(work: Path, data: Path, name: str) -> None:
    """Write two manifests, by group: two thirds to be taught with, one to be judged on."""
    (work / "data").mkdir(exist_ok=True)
    _link(work / "data" / name, data / name)
    column, wanted = SETS[name]
    with (data / name / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (f"{name}/{row['file']}", row["class"], row[column])
            for row in csv.DictReader(file)
            if all(row[key] == value for key, value in wanted.items())
        ]
    for side, thirds in (("taught", {0, 1}), ("held", {2})):
        with (work / "data" / f"{name}-{side}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "label", "group"))
            writer.writerows(
                row for row in rows if hashlib.sha256(row[2].encode()).digest()[0] % 3 in thirds
            )


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Of a gate's report what a table shows."""
    reference = report["variants"][0]["judgement"]
    rows = {}
    for variant in report["variants"]:
        seen = variant["judgement"]
        rows[variant["precision"]] = {
            "calibration": variant["calibration"],
            "float_layers": len(variant["float_layers"]),
            "macro_f1": seen["macro_f1"],
            "macro_f1_lost": reference["macro_f1"] - seen["macro_f1"],
            "flips": len(seen["flips"]),
            "sqnr_db": seen["sqnr_db"],
            "bounds": {row["figure"]: row for row in seen["bounds"]},
            "classes_lost": [
                row["label"]
                for row in seen["classes"]
                if row["images"] and row["after"] / row["images"] < row["floor"]
            ],
        }
    return {"images": reference["images"], "variants": rows, "warnings": report["warnings"]}


def main() -> None:
    """All steps that are not done yet, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the three real sets")
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    arguments = parser.parse_args()
    work: Path = arguments.work
    shipped = Path("edge_runtime/bundles/weld-seam/1.0.0/float32.onnx").resolve()
    work.mkdir(parents=True, exist_ok=True)
    _link(work / "float32.onnx", shipped)
    done = carry_out(steps(arguments.data.resolve(), Path("float32.onnx")), work)
    result = setting("torch", "timm", "numpy", "onnxruntime") | {
        "steps": done,
        "sets": {
            name: summary(read_json(work / f"{name}-bundle" / "1.0.0.gate.json"))
            for name in ("seams", *SETS)
        },
    }
    print(write_result("int8-accuracy", result))


if __name__ == "__main__":
    main()
