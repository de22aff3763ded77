"""The embedding reference of a bundle: what its validation images look like to the network.

Owns how features are summed up: a mean for each decided class, and the axes in which images of one class
differ most, by PCA. What an image's distance usually is, is taken from images that were held out when
means and axes were fitted, whole groups at a time: fitted images lie nearer than new ones ever will.
What is made of it on the line is the business of `edge_runtime.drift`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime import policy
from edge_runtime.bundle import CLASSIFIER, EMBEDDING
from edge_runtime.contracts.array import Array
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.drift.embedding import log_length, split
from edge_runtime.engines.base import InferenceEngine
from optimize.builder.drift_reference import effective_images
from optimize.classifier import classifier
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.errors import ModelError
from optimize.watch import Watch

Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

MOST_IMAGES = 4096
"""More say no more of some thirty axes, and their features would fill the memory."""
FEWEST_OF_CLASS = 20
"""Of a class that fewer images were decided for, nothing is known."""
MOST_AXES = 32
_IMAGES_PER_AXIS = 20
_FOLDS = 5
_POOLED = 20
"""So many images' worth of all classes' scatter is mixed into that of each class."""
_UNFAMILIAR = 0.02
"""Share of the reference's own images that count as unfamiliar: rare enough to be news when it doubles,
and common enough to be known from some hundred images."""
_BATCH = 8


def write_embedding(
    folder: Path,
    images: Dataset,
    named: str,
    engine: InferenceEngine,
    precision: str,
    spec: ModelSpec,
    watch: Watch,
    *,
    line_mix: bool,
) -> EmbeddingReference | None:
    """Write `embedding.json` from validation images as the variant `precision` sees them.

    Of at most MOST_IMAGES, evenly chosen. None, which is said, where the model tells no features or no
    class has FEWEST_OF_CLASS images.
    """
    count = len(images.samples)
    chosen = images.at(
        sorted(set(np.linspace(0, count - 1, min(count, MOST_IMAGES), dtype=int).tolist()))
    )
    features: list[Features] = []
    decided: list[str] = []
    groups: list[str] = []
    with watch.stage("measuring the embedding reference", len(chosen.samples)) as advanced:
        for batch in _batches(chosen, spec, advanced):
            answer = engine.infer(np.stack([image.pixels for image in batch]))
            if answer.features is None:
                return None  # which was said when the model was read
            features.append(answer.features)
            rows = policy.probabilities(answer.logits, spec.decision.temperature)
            decided += [each.label or "" for each in policy.decide(rows, spec)]
            groups += [image.group for image in batch]
    made = (
        reference(
            named, np.concatenate(features), decided, groups, precision=precision, line_mix=line_mix
        )
        if features
        else None
    )
    if made is None:
        watch.note(
            "warning: drift of features will not be monitored: no class was decided for "
            f"{FEWEST_OF_CLASS} validation images"
        )
        return None
    (folder / EMBEDDING).write_text(made.to_json() + "\n", encoding="utf-8")
    return made


def write_classifier(folder: Path, model: onnx.ModelProto, watch: Watch) -> None:
    """Write `classifier.json`, which heat maps are drawn by, or say why there are none."""
    try:
        made = classifier(model)
    except ModelError as exc:
        watch.note(f"warning: no heat map can be drawn: {exc}")
        return
    (folder / CLASSIFIER).write_text(made.to_json() + "\n", encoding="utf-8")


def reference(
    dataset: str,
    features: Features,
    decided: Sequence[str],
    groups: Sequence[str],
    *,
    precision: str,
    line_mix: bool,
) -> EmbeddingReference | None:
    """Sum up features (images, features) by the class that was decided for each image.

    `groups` names what each image belongs to, the empty string what stands alone. None where no class
    has FEWEST_OF_CLASS images.
    """
    labels = tuple(
        label for label in sorted(set(decided)) if label and decided.count(label) >= FEWEST_OF_CLASS
    )
    if not labels:
        return None
    known = np.array([label in labels for label in decided])
    classes = np.array([labels.index(label) for label in decided if label in labels])
    named = [group or f"\0{i}" for i, group in enumerate(groups)]
    _, members = np.unique([g for g, k in zip(named, known, strict=True) if k], return_inverse=True)
    seen = features[known]
    axes = int(np.clip(len(seen) // _IMAGES_PER_AXIS, 1, min(MOST_AXES, seen.shape[1] // 2)))
    fit = _fit(seen, classes, len(labels), axes)
    held_out = _held_out(seen, classes, members, len(labels), axes)
    # Of held-out images the mean square along the axes is 1 with these scales.
    wider = np.array(
        [_root_mean_square(held_out.lengths[classes == c]) for c in range(len(labels))]
    )
    fit.scales *= wider[:, None]
    distances = np.log(held_out.lengths / wider[classes])
    summed = [_by_class(values, classes) for values in (distances, held_out.residuals)]
    away = [
        (values - sums[classes, 0]) / sums[classes, 1]
        for values, sums in zip((distances, held_out.residuals), summed, strict=True)
    ]
    standing = [str(group) for group in members]
    along = np.array(
        [
            split(row - fit.means[c], fit.axes)[0] / fit.scales[c]
            for row, c in zip(seen, classes, strict=True)
        ]
    )
    alone = float(np.mean([effective_images(column, standing) for column in (*along.T, *away)]))
    # Where the line has another mix, the class that is known least may be the one that is seen most.
    rarest = 1.0 if line_mix else np.bincount(classes).min() / len(classes)
    error = float(1 / np.sqrt(alone * rarest))
    return EmbeddingReference(
        dataset=dataset,
        images=len(seen),
        precision=precision,
        labels=labels,
        means=Array.of(fit.means),
        axes=Array.of(fit.axes),
        scales=Array.of(fit.scales),
        distances=Array.of(summed[0]),
        residuals=Array.of(summed[1]),
        unfamiliar_from=float(np.quantile(np.maximum(*away), 1 - _UNFAMILIAR)),
        unfamiliar_share=_UNFAMILIAR,
        centre_error=error * float(np.sqrt(axes)),
        mean_error=error,
        effective_images=alone,
    )


@dataclass(slots=True, kw_only=True)
class _Fit:
    """What a set of images says of the space."""

    means: Features
    axes: Features
    scales: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldOut:
    """What a fit without an image's group says of the image, for each image."""

    lengths: Floats
    """Root mean square along the axes, in that fit's scales."""
    residuals: Floats
    """Logarithms."""


def _fit(features: Features, classes: npt.NDArray[np.int64], count: int, axes: int) -> _Fit:
    means = np.stack([features[classes == c].mean(axis=0) for c in range(count)])
    centred = (features - means[classes]).astype(np.float64)
    directions = _principal(centred, axes).astype(np.float32)
    along = centred @ directions.T.astype(np.float64)
    pooled = (along**2).mean(axis=0)
    scales = np.sqrt(
        [
            ((along[classes == c] ** 2).sum(axis=0) + _POOLED * pooled)
            / ((classes == c).sum() + _POOLED)
            for c in range(count)
        ]
    )
    return _Fit(means=means.astype(np.float32), axes=directions, scales=np.maximum(scales, 1e-6))


def _principal(centred: Floats, axes: int) -> Floats:
    """(axes, features): orthonormal directions of the largest variance."""
    if len(centred) < centred.shape[1]:
        _, vectors = np.linalg.eigh(centred @ centred.T)
        directions = vectors[:, ::-1][:, :axes].T @ centred
        return np.asarray(np.linalg.qr(directions.T)[0].T)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return np.asarray(vectors[:, ::-1][:, :axes].T)


def _held_out(
    features: Features,
    classes: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    count: int,
    axes: int,
) -> _HeldOut:
    lengths, residuals = np.zeros(len(features)), np.zeros(len(features))
    folds = np.random.default_rng(0).permutation(members.max() + 1)[members] % _FOLDS
    for fold in range(_FOLDS):
        left = folds == fold
        others = ~left
        # A class whose images are all of one group would have no mean.
        alone = [c for c in range(count) if not (classes[others] == c).any()]
        others |= np.isin(classes, alone)
        fit = _fit(features[others], classes[others], count, axes)
        for index in np.flatnonzero(left):
            c = classes[index]
            along, residuals[index] = split(features[index] - fit.means[c], fit.axes)
            lengths[index] = np.exp(log_length(along / fit.scales[c])) / np.sqrt(axes)
    return _HeldOut(lengths=lengths, residuals=residuals)


def _by_class(values: Floats, classes: npt.NDArray[np.int64]) -> Floats:
    """(classes, 2): mean and standard deviation."""
    groups = [values[classes == c] for c in range(classes.max() + 1)]
    return np.array([(group.mean(), max(float(group.std()), 1e-3)) for group in groups])


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


def _batches(
    images: Dataset, spec: ModelSpec, advanced: Callable[[int], None]
) -> Iterator[list[Image]]:
    batch: list[Image] = []
    for item in read_images(images, spec.input):
        if isinstance(item, Image):
            batch.append(item)
        advanced(1)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
