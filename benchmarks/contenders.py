"""Who runs the same network on the same frames: ours, and what one would otherwise use.

Owns how each contender is made and opened. All take uint8 frames (N, height, width, 3) and answer with
float32 logits, so normalisation is included on every side. The other libraries run as their
documentation starts them, apart from the thread count and, in OpenVINO, float32 where it would take
bf16 unasked. What they quantise for themselves is calibrated on the images that ours is.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from benchmarks.turns import Frames, Network, Side
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.catalogue import open_engine
from optimize.graph import read_model

OUR_ORT, OUR_OPENVINO = "ours in ONNX Runtime", "ours in OpenVINO"
EAGER = "PyTorch eager float32"
ORT_FLOAT = "ONNX Runtime float32"
OPENVINO_FLOAT = "OpenVINO float32"
NNCF = "OpenVINO, NNCF int8"
NAIVE = "ONNX Runtime, naive int8"

OURS = (OUR_ORT, OUR_OPENVINO)
OTHERS = (EAGER, ORT_FLOAT, OPENVINO_FLOAT, NNCF, NAIVE)
QUANTISED = (*OURS, NNCF, NAIVE)

_NAIVE_IMAGES = 32
"""ONNX Runtime's calibrator keeps all activations until the end: some 50 MB for each image."""


def contenders(bundle: Bundle, images: Sequence[Frames], work: Path) -> list[Side]:
    """All sides. The models that others quantise are calibrated on `images` and kept in `work`."""
    floats = _answering(bundle.model_file(bundle.variant("float32")), work / "float32.onnx")
    nncf, naive = work / "nncf.xml", work / "naive.onnx"
    quantise_by_nncf(floats, images, nncf)
    quantise_naively(floats, images[:: max(1, len(images) // _NAIVE_IMAGES)], naive)
    return [
        Side(name=OUR_ORT, open=partial(_ours, "onnxruntime", bundle.path)),
        Side(name=OUR_OPENVINO, open=partial(_ours, "openvino", bundle.path)),
        Side(name=EAGER, open=partial(_eager, bundle.manifest.model)),
        Side(name=ORT_FLOAT, open=partial(_onnxruntime, floats)),
        Side(name=OPENVINO_FLOAT, open=partial(_openvino, floats)),
        Side(name=NNCF, open=partial(_openvino, nncf)),
        Side(name=NAIVE, open=partial(_onnxruntime, naive)),
    ]


def _answering(model: Path, out: Path) -> Path:
    """The model with its logits alone: others would compute and copy the rest for nothing."""
    onnx.save(read_model(model).proto, out)
    return out


def quantise_by_nncf(floats: Path, images: Sequence[Frames], out: Path) -> None:
    """OpenVINO's own post-training quantisation with its defaults."""
    try:
        import nncf
    except ImportError:
        raise SystemExit(
            "nncf is a contender and not installed: uv pip install --group benchmark"
        ) from None
    import openvino

    model = openvino.Core().read_model(floats)
    quantised = nncf.quantize(model, nncf.Dataset([image[None] for image in images]))
    openvino.save_model(quantised, out, compress_to_fp16=False)


def quantise_naively(floats: Path, images: Sequence[Frames], out: Path) -> None:
    """ONNX Runtime's `quantize_static` with its defaults."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Frames] = iter(images)

        def get_next(self) -> dict[str, Frames] | None:
            image = next(self._left, None)
            return None if image is None else {"frames": image[None]}

    quantize_static(floats, out, Reader())


def _ours(engine: str, bundle: Path, threads: int) -> Network:
    opened = open_bundle(bundle)
    file = opened.model_file(opened.variant("int8"))
    loaded = open_engine(engine, file, opened.manifest.model, threads)
    return lambda frames: loaded.infer(frames).logits


def _eager(model: ModelSpec, threads: int) -> Network:
    """The network as timm has it, in channels-last order where it is faster; weights are random."""
    import timm
    import torch

    torch.set_num_threads(threads)
    network = timm.create_model(model.provenance["backbone"], num_classes=len(model.labels))
    network = network.eval().to(memory_format=torch.channels_last)
    zero, scale = model.input.zero_point, model.input.scale

    def infer(frames: Frames) -> np.ndarray:
        with torch.inference_mode():
            # A view: frames are channels-last as they come.
            pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)
            return np.asarray(network(pixels.float().sub_(zero).mul_(scale)).numpy())

    return infer


def _onnxruntime(file: Path, threads: int) -> Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda frames: session.run(["logits"], {"frames": frames})[0]


def _openvino(file: Path, threads: int) -> Network:
    import openvino

    how = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(file, "CPU", how)
    request = compiled.create_infer_request()
    return lambda frames: request.infer({0: frames})[0]
