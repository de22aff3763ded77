"""A second way to TensorRT: the run's network compiled by torch-tensorrt, against a bundle's engine.

The bundle's engine came by ONNX, this one straight from the checkpoint. Where both give the same
verdicts on the images that the run held back, neither export nor parser has changed the model. Compiles
for the GPU of this machine; keeps nothing.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from torch import nn

from edge_runtime.bundle import Bundle
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.engines.catalogue import open_engine, target
from edge_runtime.errors import EngineError, first_line
from optimize import gates
from optimize.answers import answer as ask
from optimize.data.images import Image
from optimize.gates import Flip
from train.decision import calibration
from train.errors import RunError
from train.fitting.prediction import predict
from train.fitting.record import read_record
from train.fitting.run import Means
from train.fitting.validation import answer
from train.run_folder import RunFolder

LARGEST = 32
"""Images per inference: `predict` asks for no more."""

Compile = Callable[[nn.Module, InputSpec], nn.Module]
"""Gives a network that answers normalised images (N, 3, height, width) as the given one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """What the two engines said of the same images."""

    images: int
    engine: str
    """The bundle's variant and the engine that ran it."""
    flips: tuple[Flip, ...]
    """Images on which they differ; `before` is the bundle's answer."""


def crosscheck(
    folder: RunFolder,
    bundle: Bundle,
    means: Means,
    compiled_by: Compile,
    *,
    engine: str,
    variant: str | None = None,
) -> CrossCheck:
    """Run both over the images that the run held back, at the bundle's decision rule.

    Raises RunError when the bundle was not built from this run's best weights.
    """
    spec = bundle.manifest.model
    if spec.provenance.get("weights_sha256") != calibration.weights_sha256(folder):
        raise RunError(
            f"{bundle.path} was not built from the best weights of {folder.path}: export and build them "
            "first"
        )
    held_out = answer(folder, read_record(folder), means)
    machine = means.machine(amp=False)
    with machine.workers:
        network = compiled_by(held_out.network.to(machine.device).eval(), spec.input)
        everything = range(len(held_out.images))
        ours = predict(network, held_out.images, everything, spec.input, machine)
    chosen = bundle.variant(variant, target(engine))
    samples = held_out.images.dataset.samples
    frames = (
        Image(
            path=sample.path,
            label=sample.label,
            group=sample.group,
            pixels=held_out.images[index],
        )
        for index, sample in enumerate(samples)
    )
    with closing(
        open_engine(engine, bundle.model_file(chosen), spec, 1, bundle.plans(chosen))
    ) as opened:
        theirs = ask(frames, {engine: opened}, len(spec.labels))
        named = f"{chosen.precision} on {opened.name}"
    flips = gates.find_flips(
        theirs.paths,
        theirs.labels,
        gates.decisions(theirs.logits[engine], spec),
        gates.decisions(ours, spec),
        spec,
    )
    return CrossCheck(images=len(theirs), engine=named, flips=flips)


def torch_tensorrt() -> Compile:
    """The genuine compiler; raises EngineError when torch-tensorrt is not installed."""
    try:
        import torch_tensorrt
    except (ImportError, OSError) as exc:
        raise EngineError(
            "torch-tensorrt is not installed: pip install torch-tensorrt, in the version that goes with "
            "this torch, on a machine with an NVIDIA GPU"
        ) from exc

    def compiled(network: nn.Module, size: InputSpec) -> nn.Module:
        rest = (3, size.height, size.width)
        batches = torch_tensorrt.Input(
            min_shape=(1, *rest), opt_shape=(LARGEST, *rest), max_shape=(LARGEST, *rest)
        )
        try:
            made: nn.Module = torch_tensorrt.compile(network, ir="dynamo", arg_inputs=[batches])
        except RuntimeError as exc:
            raise EngineError(
                f"torch-tensorrt cannot compile the network: {first_line(exc)}"
            ) from exc
        return made

    return compiled
