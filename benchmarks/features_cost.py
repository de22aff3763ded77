"""What a model's second and third output cost: `python -m benchmarks.features_cost`.

The shipped bundle's float32 and int8 file with its logits alone, with its features beside them, and with
the last stage's picture as well, through our engines, which fetch the features and never the picture.
All three take turns, batch by batch, in a random order. CPU time of the process is compared, which
hardly moves with what else the machine does; a ratio's interval is over the rounds. A fourth engine is a
copy of the first: how far its ratio is from 1 is what this measurement can see at all.
"""

import argparse
import os
import random
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import onnx

from benchmarks.setting import setting, write_result
from edge_runtime.bundle import open_bundle
from edge_runtime.engines.catalogue import open_engine
from optimize.features import expose

SIDES = ("logits", "logits again", "features", "features and picture")


def files(source: Path, folder: Path) -> dict[str, Path]:
    """The model in its three forms, and the first of them twice."""
    proto = onnx.load(source)
    del proto.graph.output[1:]
    forms = (proto, proto, expose(proto, feature_map=False), expose(proto, feature_map=True))
    made = {}
    for number, (side, form) in enumerate(zip(SIDES, forms, strict=True)):
        made[side] = folder / f"{source.stem}-{number}.onnx"
        onnx.save(form, made[side])
    return made


def ratios(times: dict[str, list[float]], rng: np.random.Generator) -> dict[str, object]:
    """Of each form's time over that of the logits alone, medians over rounds, with a 95 % interval."""
    base = np.array(times[SIDES[0]])
    rows: dict[str, object] = {}
    for side in SIDES[1:]:
        each = np.array(times[side]) / base
        drawn = np.median(rng.choice(each, (2000, len(each))), axis=1)
        low, high = np.quantile(drawn, (0.025, 0.975))
        rows[side] = {
            "median": round(float(np.median(each)), 4),
            "interval_95": [round(float(low), 4), round(float(high), 4)],
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    about = setting("onnxruntime", "openvino", "onnx", "numpy")
    bundle = open_bundle("demo")
    model = bundle.manifest.model
    rng, order = np.random.default_rng(1), random.Random(1)
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        for precision in ("float32", "int8"):
            made = files(bundle.model_file(bundle.variant(precision)), Path(scratch))
            for name in ("onnxruntime", "openvino"):
                engines = {
                    side: stack.enter_context(closing(open_engine(name, file, model, 1)))
                    for side, file in made.items()
                }
                for batch in (1, 8):
                    size = (batch, model.input.height, model.input.width, 3)
                    frames = rng.integers(0, 256, size, np.uint8)
                    times: dict[str, list[float]] = {side: [] for side in SIDES}
                    for turn in range(arguments.rounds + 3):
                        sides = list(SIDES)
                        order.shuffle(sides)
                        for side in sides:
                            began = time.process_time()
                            engines[side].infer(frames)
                            took = time.process_time() - began
                            if turn >= 3:
                                times[side].append(took)
                    key = f"{name} {precision} batch {batch}"
                    results[key] = ratios(times, rng)
                    print(f"{key:<32} {results[key]}", flush=True)
    result = {**about, "options": vars(arguments), "over_logits_alone": results}
    print(f"written to {os.path.relpath(write_result('features-cost', result))}")


if __name__ == "__main__":
    main()
