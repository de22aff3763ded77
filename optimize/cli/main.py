"""Entry of `optimize`."""

import sys
from collections.abc import Sequence

from edge_runtime.cli.program import Program
from optimize.cli import bench, build, calibrate, compare, estimate, inspect, validate

_EPILOG = """\
examples:
  optimize calibrate select data/train --model model.onnx --sealed runs/split --out calibration
  optimize build --int8 model.onnx --calibration calibration_data --validation data/new --out bundles
  optimize inspect bundles/weld-seam/1.0.0
  optimize bench bundles/weld-seam/1.0.0
  optimize compare demo:float32 demo:int8 --images data/new
  optimize estimate model.onnx --device t4

exit codes: 0 done, 1 other, 2 usage, 3 bundle, 5 engine, 8 model, 9 calibration or validation images,
10 gate failed, 11 bundle cannot be written, 12 too slow on the device, 20 data set, 130 interrupted
"""

PROGRAM = Program(
    name="optimize",
    description="Turn a float ONNX model into a bundle that may go on the line.",
    epilog=_EPILOG,
    commands=(build, calibrate, inspect, bench, compare, estimate, validate),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    return PROGRAM.main(words)
