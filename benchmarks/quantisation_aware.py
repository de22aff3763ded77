"""What a run with imitated rounding is worth: `python -m benchmarks.quantisation_aware --work WORK`.

Three networks, by commands alone: one that is taught as usual, and two that go on from it for three more
epochs, with `--qat` and without; the second is the control, since going on may help by itself. Of
each the int8 files are made and held against its own float file.
"""

import argparse
from pathlib import Path

from benchmarks.int8_accuracy import QUICK, WIDE, summary
from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step

RUNS = ("taught", "longer", "qat")


def steps(model: str, side: int) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work."""
    size = f"--img-size {side}"
    taught = f"fit --data-dir crops --model {model} {size} --seed 1"
    more = f"{taught} --initial-weights taught --epochs 3 --freeze-epochs 0 --warmup-epochs 0 --lr 3e-4"
    made = [
        step(
            f"simulate --generation gen3 --count 3000 --defect-share 0.5 --seed 1 {size} --out crops",
            "crops",
        ),
        step(
            f"simulate --generation gen3 --count 1500 --defect-share 0.3 --clean --seed 100 {size} "
            "--out held",
            "held",
        ),
        step(f"{taught} --epochs 4 --lr 6e-4 --output taught", "taught/best.pth"),
        step(f"{more} --output longer", "longer/best.pth"),
        step(f"{more} --qat --output qat", "qat/best.pth"),
    ]
    for run in RUNS:
        made += [
            step(f"export {run} --false-positives 0.03 --out {run}.onnx", f"{run}.onnx"),
            step(
                f"build --int8 {WIDE} --max-flips 1 {QUICK} {run}.onnx --calibration crops "
                f"--validation held --out bundles/{run}/1.0.0",
                f"bundles/{run}/1.0.0.gate.json",
                program="optimize",
            ),
        ]
    return tuple(made)


def main() -> None:
    """All steps that are not done yet, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--img-size", type=int, default=64)
    arguments = parser.parse_args()
    work: Path = arguments.work
    done = carry_out(steps(arguments.model, arguments.img_size), work)
    result = setting("torch", "timm", "numpy", "onnxruntime") | {
        "steps": done,
        "model": arguments.model,
        "runs": {
            run: summary(read_json(work / "bundles" / run / "1.0.0.gate.json")) for run in RUNS
        },
    }
    print(write_result("quantisation-aware", result))


if __name__ == "__main__":
    main()
