"""An exported model examined on a labelled data set, through the engine and the rule of the line."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.engines.catalogue import open_engine
from optimize.graph import read_model
from train.data.manifest import Source
from train.data.stream import BatchStream, open_images
from train.errors import DatasetError
from train.figures.counts import Metrics, measure
from train.figures.intervals import Figure, figures

_BATCH = 8
"""Larger batches are slower in ONNX Runtime on one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What an examination found."""

    metrics: Metrics
    figures: tuple[Figure, ...]
    """With intervals."""
    groups: int
    defect_rate: float
    """Share of the images that are defective, as labelled."""
    undecodable: int
    """Images that were left out."""


def examine(
    model_file: Path, source: Source, *, engine: str, threads: int, confidence: float = 0.95
) -> Examined:
    """Run every image through the engine and decide by the model's own rule.

    Raises DatasetError when the data has a class that the model does not know.
    """
    model = read_model(model_file).spec
    dataset = source.read()
    unknown = sorted(set(dataset.labels) - set(model.labels))
    if unknown:
        raise DatasetError(
            f"{model_file} knows no class {', '.join(unknown)}, only {', '.join(model.labels)}: "
            f"leave such rows out (--where '{source.columns.label}!={unknown[0]}')"
        )
    runner = open_engine(engine, model_file, model, threads)
    try:
        images = open_images(dataset, model.input, workers=2, memory_limit=0)
        order = range(len(images))
        with ThreadPoolExecutor(2, thread_name_prefix="images") as pool:
            stream = BatchStream(
                store=images, order=order, batch_size=_BATCH, size=model.input, pool=pool
            )
            logits = np.concatenate([runner.infer(batch.frames) for batch in stream])
    finally:
        runner.close()
    samples = images.dataset.samples
    truth = np.array([model.labels.index(sample.label) for sample in samples], np.int64)
    groups = [sample.group for sample in samples]
    defective = [sample.label not in model.decision.ok_labels for sample in samples]
    return Examined(
        metrics=measure(logits, truth, model),
        figures=figures(logits, truth, groups, model, confidence=confidence),
        groups=len(set(groups)),
        defect_rate=sum(defective) / len(defective),
        undecodable=len(images.quarantined),
    )
