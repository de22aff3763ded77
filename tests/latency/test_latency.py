"""Has the shipped bundle become slower? `make latency`, or `pytest -m latency`.

Deselected otherwise: these are the only tests that time anything.
"""

import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.engines.base import Inference, InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from optimize import latency
from optimize.tensorrt.acceptance import CUSTOMER_MS, T4_MS
from tests.latency import baselines
from tests.latency.baselines import Baseline
from tests.latency.device_kind import gpus_here, is_t4, kind_here
from tests.latency.record import ENGINES, installed
from tests.latency.shares import ROUNDS, default_share, frames_of, opened, share_of_time
from tests.latency.slowed import with_needless_layers

pytestmark = pytest.mark.latency


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle("demo")


@pytest.fixture(params=[(engine, batch) for engine in ENGINES for batch in ROUNDS])
def baseline(request: pytest.FixtureRequest) -> Baseline:
    """What was recorded on this kind of device."""
    engine, batch = request.param
    if installed(engine) is None:
        pytest.skip(f"did not run: {engine} is not installed")
    found = baselines.find(baselines.read(), kind_here(), engine, batch)
    if found is None:
        pytest.skip(
            f"did not run: no baseline of {engine} at batch {batch} on this kind of device "
            f"({kind_here()}): record one with `python -m tests.latency.record`"
        )
    return found


def test_the_default_variant_is_as_fast_beside_float32_as_it_was(
    bundle: Bundle, baseline: Baseline
) -> None:
    share = default_share(bundle, baseline.engine, baseline.batch)
    complaint = baselines.complaint(share, baseline)
    assert complaint is None, complaint


def test_control_needless_layers_in_the_graph_are_seen(
    bundle: Bundle, baseline: Baseline, tmp_path: Path
) -> None:
    slowed = tmp_path / "slowed.onnx"
    with_needless_layers(bundle.model_file(bundle.variant(None)), slowed)
    frames = frames_of(bundle, 2)
    with (
        opened(bundle, baseline.engine, slowed) as slow,
        opened(bundle, baseline.engine, bundle.model_file(bundle.variant(None))) as quick,
    ):
        np.testing.assert_allclose(slow.infer(frames).logits, quick.infer(frames).logits, atol=0.3)
    share = default_share(bundle, baseline.engine, baseline.batch, slowed)
    assert baselines.complaint(share, baseline) is not None, f"{share:.3f} passed"


def test_control_work_done_twice_is_seen(bundle: Bundle, baseline: Baseline) -> None:
    class Twice:
        def __init__(self, engine: InferenceEngine) -> None:
            self._engine, self.name = engine, engine.name

        def infer(self, batch: np.ndarray) -> Inference:
            self._engine.infer(batch)
            return self._engine.infer(batch)

        def close(self) -> None: ...

    default, floats = (bundle.model_file(bundle.variant(name)) for name in (None, "float32"))
    with (
        opened(bundle, baseline.engine, default) as engine,
        opened(bundle, baseline.engine, floats) as reference,
    ):
        frames = frames_of(bundle, baseline.batch)
        share = share_of_time(Twice(engine), reference, frames, rounds=ROUNDS[baseline.batch])
    assert baselines.complaint(share, baseline) is not None, f"{share:.3f} passed"


def test_a_t4_keeps_the_customers_limit_and_ours() -> None:
    """Of the bundle that EDGE_INSPECT_BUNDLE names, after `optimize validate` on this T4."""
    if not any(map(is_t4, gpus_here())):
        pytest.skip(
            f"did not run: {CUSTOMER_MS:g} and {T4_MS:g} ms per image are limits of a T4, GPUs here: "
            f"{', '.join(gpus_here()) or 'none'}"
        )
    bundle = open_bundle(os.environ.get("EDGE_INSPECT_BUNDLE", "demo"))
    variants = [v for v in bundle.manifest.variants if bundle.plans(v)]
    assert variants, f"{bundle.path} has no engine for this T4: run `optimize validate` here"
    best = {}
    for variant in variants:
        file, plans = bundle.model_file(variant), bundle.plans(variant)
        with closing(open_engine("tensorrt", file, bundle.manifest.model, 1, plans)) as engine:
            frames = frames_of(bundle, 32)
            (record,) = latency.measure(
                {"it": engine}, frames, threads=1, batches=(32,), samples=32 * 3000
            )["it"]
            assert record.p99_ms <= CUSTOMER_MS, record
            best[variant.precision] = record.p50_ms
    assert min(best.values()) <= T4_MS, best
