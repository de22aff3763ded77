"""Estimate against measurement where we can measure: `python -m benchmarks.estimate_cpu`.

The machine's row is measured in the same run: its peak is the best of a matrix product and a convolution
in ONNX Runtime, its bandwidth the best of copying what no cache holds. Those and the networks take
turns, one thread each. A network's time is the median of the thread's CPU time, which is its latency
where a core is its own; the wall clock stands beside it. Then the model of
`optimize.estimate.efficiency` is fitted without one network at a time and asked for it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.estimate import BACKBONES, SIDE
from benchmarks.estimate_layers import random_network
from benchmarks.setting import setting, write_result
from edge_runtime.engines.catalogue import open_engine
from optimize.estimate.devices import Device
from optimize.estimate.efficiency import Result, calibrate
from optimize.estimate.layers import Precision
from optimize.estimate.network import Network, network
from optimize.estimate.roofline import bounds, total
from optimize.estimate.statement import fit_values
from optimize.graph import read_model, simplify

_MODELS = (*BACKBONES, "mobilenetv1_100")
_BATCHES = (1, 8)
_MATRIX = 1024
_CHANNELS, _SIDE = 256, 28
_COPIED_BYTES = 256 << 20
_SINGLES = 4
"""Runs at batch 1 in a turn, of which the median counts."""


def kernels() -> dict[str, tuple[float, Callable[[], object]]]:
    """What an engine does best: operations of one run, and the run, float32 on one thread."""
    square, image = [_MATRIX, _MATRIX], [1, _CHANNELS, _SIDE, _SIDE]
    kernel = [_CHANNELS, _CHANNELS, 3, 3]
    return {
        "matrix product": (
            2.0 * _MATRIX**3,
            _session(helper.make_node("MatMul", ["x", "w"], ["y"]), square, square),
        ),
        "convolution": (
            2.0 * 9 * _CHANNELS**2 * _SIDE**2,
            _session(helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4), image, kernel),
        ),
    }


def _session(node: onnx.NodeProto, taken: list[int], weights: list[int]) -> Callable[[], object]:
    """Runs one operator whose output has the shape of its input."""
    rng = np.random.default_rng(1)
    graph = helper.make_graph(
        [node],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, taken)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, taken)],
        [numpy_helper.from_array(rng.random(weights, np.float32), "w")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": rng.random(taken, np.float32)}
    return lambda: session.run(None, feed)


def copy() -> Callable[[], object]:
    """One copy of a buffer far larger than any cache."""
    source = np.ones(_COPIED_BYTES, np.uint8)
    target = np.zeros_like(source)
    return lambda: np.copyto(target, source)


def seconds(run: Callable[[], object], times: int = 1) -> tuple[float, float]:
    """Medians of CPU and wall time of one run."""
    found = []
    for _ in range(times):
        wall, thread = time.perf_counter(), time.thread_time()
        run()
        found.append((time.thread_time() - thread, time.perf_counter() - wall))
    return tuple(map(statistics.median, zip(*found, strict=True)))


def prepare(
    stack: ExitStack, folder: Path
) -> tuple[dict[str, Network], dict[tuple[str, int], Callable[[], object]]]:
    """Layers of every network, and what runs it at each batch."""
    networks: dict[str, Network] = {}
    runs: dict[tuple[str, int], Callable[[], object]] = {}
    rng = np.random.default_rng(1)
    for model in _MODELS:
        proto, spec = random_network(model, SIDE)
        path = folder / f"{model}.onnx"
        onnx.save(proto, path)
        slim = simplify(read_model(path)).proto
        onnx.save(slim, path)
        networks[model] = network(slim, path, model)
        engine = stack.enter_context(closing(open_engine("onnxruntime", path, spec, 1)))
        for batch in _BATCHES:
            frames = rng.integers(0, 256, (batch, SIDE, SIDE, 3), np.uint8)
            runs[model, batch] = partial(engine.infer, frames)
    return networks, runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    about = setting("onnxruntime", "onnx", "onnxslim", "timm", "torch", "numpy")
    best, move = kernels(), copy()
    peaks: dict[str, list[float]] = {name: [] for name in best}
    bandwidths: list[float] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        networks, runs = prepare(stack, folder)
        times: dict[tuple[str, int], list[tuple[float, float]]] = {key: [] for key in runs}
        for number in range(options.rounds + 1):
            rates = {name: work / seconds(run, 3)[0] for name, (work, run) in best.items()}
            moved = 2 * _COPIED_BYTES / seconds(move)[0]
            turn = {key: seconds(run, _SINGLES if key[1] == 1 else 1) for key, run in runs.items()}
            if number:  # the first warms up
                bandwidths.append(moved)
                for name, rate in rates.items():
                    peaks[name].append(rate)
                for key, took in turn.items():
                    times[key].append(took)
    device = Device(
        key="here",
        name=str(about["cpu"]),
        peaks={Precision.FLOAT32: max(map(max, peaks.values()))},
        bandwidth=max(bandwidths),
        l2=None,
        source="measured in this run",
    )
    results = [
        Result(
            network=model,
            precision=Precision.FLOAT32,
            batch=batch,
            seconds=statistics.median(thread for thread, _ in taken),
            copied=False,
            source="measured in this run",
            layers=len(networks[model].layers),
            bound=total(bounds(networks[model].layers, device, batch, Precision.FLOAT32)),
        )
        for (model, batch), taken in times.items()
    ]
    calibration = calibrate(results)
    rows = []
    for result, ratio in zip(results, calibration.without_network, strict=True):
        per_image = 1000 / result.batch
        walls = [wall for _, wall in times[result.network, result.batch]]
        rows.append(
            {
                "network": result.network,
                "batch": result.batch,
                "mmacs": networks[result.network].macs / 1e6,
                "bound_ms": result.bound * per_image,
                "estimate_ms": result.seconds * ratio * per_image,
                "measured_ms": result.seconds * per_image,
                "wall_ms": statistics.median(walls) * per_image,
                "estimate_over_measured": ratio,
            }
        )
        print(
            f"{result.network:<24}{result.batch:>3}  bound {rows[-1]['bound_ms']:8.2f}  estimate "
            f"{rows[-1]['estimate_ms']:8.2f}  measured {rows[-1]['measured_ms']:8.2f} ms/image "
            f"(wall {rows[-1]['wall_ms']:8.2f})  {ratio:.2f}"
        )
    path = write_result(
        "estimate-cpu",
        {
            **about,
            "options": vars(options),
            "threads": 1,
            "side": SIDE,
            "gflops": {name: max(rates) / 1e9 for name, rates in peaks.items()},
            "gflops_median": {name: statistics.median(r) / 1e9 for name, r in peaks.items()},
            "gb_per_s": device.bandwidth / 1e9,
            "gb_per_s_median": statistics.median(bandwidths) / 1e9,
            "fit": fit_values(calibration),
            "load_after": os.getloadavg()[0],
            "networks": rows,
        },
    )
    print(f"{device.peaks[Precision.FLOAT32] / 1e9:.0f} GFLOPS, {device.bandwidth / 1e9:.1f} GB/s")
    print(fit_values(calibration))
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
