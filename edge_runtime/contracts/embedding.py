"""What travels with a model about its features: what they looked like in training, and what reads them.

`EmbeddingReference` is a bundle's file `embedding.json`, `Classifier` its file `classifier.json`; both
are written by `optimize build`. What is made of them is the business of `edge_runtime.drift.embedding`
and `edge_runtime.explanation`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.array import Array
from edge_runtime.contracts.base import Contract

EMBEDDING_SCHEMA: Literal["edge-inspect/embedding-reference/1"] = (
    "edge-inspect/embedding-reference/1"
)
CLASSIFIER_SCHEMA: Literal["edge-inspect/classifier/1"] = "edge-inspect/classifier/1"

Error = Annotated[float, Field(ge=0)]


class EmbeddingReference(Contract):
    """The features of the validation images, by the class that the model decided for.

    A part is compared with the images that were answered alike, so another mix of classes is no change.
    """

    schema_: Annotated[Literal["edge-inspect/embedding-reference/1"], Field(alias="schema")] = (
        EMBEDDING_SCHEMA
    )
    dataset: str
    """Which images: name and content hash."""
    images: Annotated[int, Field(ge=1)]
    precision: str
    """Of the variant whose features they are; those of other variants differ by rounding."""
    labels: Annotated[tuple[str, ...], Field(min_length=1)]
    """Classes that enough images were decided for."""
    means: Array
    """(labels, features): the mean of each class."""
    axes: Array
    """(axes, features): directions of length 1 in which images of one class differ most, by PCA."""
    scales: Array
    """(labels, axes): standard deviations of images of one class along each axis, held-out ones."""
    distances: Array
    """(labels, 2): mean and standard deviation of an image's log distance from its class's mean along
    the axes, in `scales`; of held-out images."""
    residuals: Array
    """(labels, 2): likewise of the log length of what the axes do not hold."""
    unfamiliar_from: float
    """Standard deviations; beyond it, in distance or residual, lies the stated share of images."""
    unfamiliar_share: Annotated[float, Field(gt=0, lt=1)]
    centre_error: Error
    """How far, in standard deviations, the means themselves are likely to be off along the axes."""
    mean_error: Error
    """Likewise the means of log distances and residuals."""
    effective_images: Annotated[float, Field(gt=0)]
    """So many independent images would say as much: images of one group are alike."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        classes, (axes, features) = len(self.labels), _matrix(self.axes)
        expected = {
            "means": (classes, features),
            "scales": (classes, axes),
            "distances": (classes, 2),
            "residuals": (classes, 2),
        }
        for name, shape in expected.items():
            seen = getattr(self, name).shape
            if seen != shape:
                raise ValueError(f"{name} is {seen}, its labels and axes ask for {shape}")
        if len(set(self.labels)) != classes:
            raise ValueError(f"labels repeat: {', '.join(self.labels)}")
        for name in ("scales", "distances", "residuals"):
            values = getattr(self, name).values()
            if (values if name == "scales" else values[:, 1]).min() <= 0:
                raise ValueError(f"a deviation of {name} is not above 0")
        return self


class Classifier(Contract):
    """The last layer of a model whose features are the mean over its picture, normalised or not."""

    schema_: Annotated[Literal["edge-inspect/classifier/1"], Field(alias="schema")] = (
        CLASSIFIER_SCHEMA
    )
    weights: Array
    """(classes, features), in the order of the model's labels."""
    normalised: Annotated[float, Field(gt=0)] | None
    """The epsilon of a layer normalisation between the mean and the weights, whose own factors are
    folded into them; null where there is none."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _matrix(self.weights)
        return self


def _matrix(array: Array) -> tuple[int, int]:
    if len(array.shape) != 2:
        raise ValueError(f"expected two axes, got {array.shape}")
    rows, columns = array.shape
    return rows, columns
