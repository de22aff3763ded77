"""Residual and tiny networks with what was observed of them."""

import onnx
import pytest

from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.tensorrt import quantize
from tests.optimize.tensorrt.networks import make_residual_proto
from tests.optimize.tiny_network import Pixels


@pytest.fixture
def residual() -> onnx.ModelProto:
    return make_residual_proto()


@pytest.fixture
def quantised(residual: onnx.ModelProto, images: list[Pixels]) -> onnx.ModelProto:
    seen = observe(residual, quantize.activations(residual), images)
    return quantize.quantise(residual, seen, Method.MINMAX)
