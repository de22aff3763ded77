"""Every inference engine keeps the same promises, the null engine included.

TensorRT is here as `edge_runtime` uses it, on a stand-in for the library and host memory for the GPU.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import ENGINES, open_engine
from edge_runtime.engines.device_memory.host import HostMemory
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import EngineError
from tests.stand_in_tensorrt import VERSION, engine_module, write_plan

SIDE = 32


@pytest.fixture
def bundle(make_bundle: Callable[..., Path]) -> Bundle:
    return open_bundle(make_bundle())


@pytest.fixture(params=sorted(ENGINES))
def engine(
    request: pytest.FixtureRequest, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InferenceEngine]:
    with opened(request.param, bundle, monkeypatch) as engine:
        yield engine


@contextmanager
def opened(name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[InferenceEngine]:
    model = bundle.model_file(bundle.variant(None))
    plans: list[Plan] = []
    if name == "tensorrt":
        engine_module(monkeypatch, HostMemory(random.Random(0)))
        plans.append(plan_of(model))
    with closing(open_engine(name, model, bundle.manifest.model, 1, plans)) as engine:
        yield engine


def plan_of(model: Path) -> Plan:
    file = model.with_suffix(".plan")
    return Plan(
        file=file,
        sha256=hashlib.sha256(write_plan(model, file)).hexdigest(),
        device="host memory",
        compute_capability="0.0",
        tensorrt=VERSION,
    )


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_batch_of_any_size_gives_finite_logits_per_class(
    engine: InferenceEngine, size: int
) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    logits = engine.infer(batch).logits
    assert logits.shape == (size, 3)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_the_answer_for_a_frame_does_not_depend_on_its_company(engine: InferenceEngine) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
    together = engine.infer(batch).logits
    apart = np.concatenate([engine.infer(frame[None]).logits for frame in batch])
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_an_earlier_answer_is_not_overwritten_by_a_later_one(engine: InferenceEngine) -> None:
    dark = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    first = engine.infer(dark)
    logits, features = first.logits.copy(), np.array(first.features)
    engine.infer(np.full_like(dark, 255))
    np.testing.assert_array_equal(first.logits, logits)
    np.testing.assert_array_equal(np.array(first.features), features)


@pytest.mark.parametrize("name", sorted(set(ENGINES) - {"null"}))
def test_beside_the_logits_stands_what_the_classifier_read(
    name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    with opened(name, bundle, monkeypatch) as engine:
        for frames in (batch, batch[:1]):
            features = engine.infer(frames).features
            assert features is not None
            assert features.dtype == np.float32
            colours = (frames.astype(np.float32) - 128).mean(axis=(1, 2)) / 127.5
            np.testing.assert_allclose(features, colours, atol=1e-5)


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_a_model_with_logits_alone_is_run_as_ever(
    name: str, make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = np.random.default_rng(2).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    older = open_bundle(make_bundle(name="older", tells=False))
    with opened(name, older, monkeypatch) as engine:
        answer = engine.infer(batch)
    assert answer.features is None
    assert answer.logits.shape == (3, 3)
    today = open_bundle(make_bundle(name="today"))
    with opened(name, today, monkeypatch) as engine:
        np.testing.assert_allclose(engine.infer(batch).logits, answer.logits, atol=1e-6)


@pytest.mark.parametrize(
    "batch",
    [
        np.zeros((0, SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE + 1, 3), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.float32),
    ],
)
def test_a_batch_of_the_wrong_form_is_refused(engine: InferenceEngine, batch: np.ndarray) -> None:
    with pytest.raises(EngineError, match=r"expected a batch \(N >= 1, 32, 32, 3\) uint8, got"):
        engine.infer(batch)


def test_closing_twice_is_allowed_and_using_it_then_is_an_error(engine: InferenceEngine) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(np.zeros((1, SIDE, SIDE, 3), np.uint8))


def test_an_engine_says_its_name(engine: InferenceEngine) -> None:
    assert engine.name.partition(" ")[0] in ENGINES


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_model_is_refused_in_one_line(
    name: str, bundle: Bundle, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(EngineError, match="refuses") as caught:
        open_engine(name, broken, bundle.manifest.model, 1)
    assert "\n" not in str(caught.value)


def test_an_unknown_engine_names_the_choices(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="choose one of onnxruntime, openvino, tensorrt, null"):
        open_engine("abacus", Path("x"), bundle.manifest.model, 1)


def test_a_model_that_does_not_fit_its_manifest_is_refused(bundle: Bundle) -> None:
    spec = bundle.manifest.model.model_copy(update={"labels": ("a", "b")})
    with (
        closing(
            open_engine("onnxruntime", bundle.model_file(bundle.variant(None)), spec, 1)
        ) as engine,
        pytest.raises(EngineError, match="do not belong together"),
    ):
        engine.infer(np.zeros((1, SIDE, SIDE, 3), np.uint8))
