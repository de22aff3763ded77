"""What the files for TensorRT do to the shipped lite0's verdicts, run on the CPU.

    python -m benchmarks.tensorrt_files

Calibrated on `calibration_data`, compared on images of the same line drawn with another seed. Whatever
holds float16 is run as its rehearsal. Nothing here says how fast or how exact a device is.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from tqdm import tqdm

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import MODEL_SPEC_KEY, ModelSpec
from edge_runtime.decoding import decode
from edge_runtime.engines.catalogue import open_engine
from optimize import gates, quantize
from optimize.bounds import upper
from optimize.calibration import default_set
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.tensorrt import half, lint
from optimize.tensorrt import quantize as tensorrt
from optimize.tensorrt.rehearsal import rehearse

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "edge_runtime/bundles/weld-seam/1.0.0/float32.onnx"
IMAGES = 600
SEED = 77
CONFIDENCE = 0.95
_BATCH = 8


def answer(
    proto: onnx.ModelProto, spec: ModelSpec, images: list[Pixels]
) -> npt.NDArray[np.float32]:
    """(N, classes) logits by the runtime's own engine, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(proto, path)
        with closing(open_engine("onnxruntime", path, spec, 1)) as engine:
            batches = range(0, len(images), _BATCH)
            return np.concatenate(
                [engine.infer(np.stack(images[i : i + _BATCH])).logits for i in batches]
            )


def files(
    model: onnx.ModelProto, images: list[Pixels]
) -> Iterator[tuple[str, str, onnx.ModelProto, onnx.ModelProto]]:
    """(precision, method, the file, what is run in its place)."""
    names = [*tensorrt.activations(model), *quantize.activations(model)]
    seen = observe(model, list(dict.fromkeys(names)), images)
    typed = half.convert(model, seen)
    yield "tensorrt float16", "", typed, rehearse(typed)
    for method in Method:
        cpu = quantize.quantise(model, seen, method)
        yield "cpu int8", method, cpu, cpu
        for depthwise in (True, False):
            layers = "" if depthwise else ", depthwise float"
            int8 = tensorrt.quantise(model, seen, method, depthwise=depthwise)
            yield f"tensorrt int8{layers}", method, int8, int8
            typed = half.convert(int8, seen)
            yield f"tensorrt int8 and float16{layers}", method, typed, rehearse(typed)


if __name__ == "__main__":
    where = setting("onnx", "onnxruntime", "numpy")
    float_model = onnx.load(MODEL)
    (text,) = [prop.value for prop in float_model.metadata_props if prop.key == MODEL_SPEC_KEY]
    spec = ModelSpec.model_validate_json(text)
    calibration = [decode(f.read_bytes()) for f in sorted(ROOT.glob("calibration_data/*/*.jpg"))]
    drawn = list(tqdm(default_set.draw(IMAGES, SEED), "drawing", IMAGES))
    pixels, labels = [decode(image.data) for image in drawn], [image.label for image in drawn]
    reference = answer(float_model, spec, pixels)
    before = gates.decisions(reference, spec)
    rows: list[dict[str, object]] = []
    for precision, method, file, run in tqdm(files(float_model, calibration), "files", 16):
        logits = answer(run, spec, pixels)
        after = gates.decisions(logits, spec)
        flips = len(gates.find_flips(labels, labels, before, after, spec))
        rows.append(
            {
                "file": precision,
                "method": method,
                "sqnr_db": round(gates.sqnr_db(reference, logits), 1),
                "flips": flips,
                "flips_upper": round(float(upper(flips, IMAGES, CONFIDENCE)), 4),
                "other_class": int((logits.argmax(1) != reference.argmax(1)).sum()),
                "macro_f1": round(gates.macro_f1(labels, [d.label for d in after]), 4),
                "bytes": file.ByteSize(),
                "broken_rules": len(lint.errors(lint.check(file))),
            }
        )
    write_result(
        "tensorrt-files",
        where
        | {
            "model": str(MODEL.relative_to(ROOT)),
            "images": IMAGES,
            "seed": SEED,
            "confidence": CONFIDENCE,
            "float_macro_f1": round(gates.macro_f1(labels, [d.label for d in before]), 4),
            "rows": rows,
        },
    )
    for row in rows:
        print(" | ".join(str(value) for value in row.values()))
