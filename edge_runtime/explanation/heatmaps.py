"""Heat maps: from a network's last picture and its classifier to what speaks for a class, and where.

Owns the formula and how a map is laid over a frame. A class activation map (Zhou et al. 2016) is what
Grad-CAM (Selvaraju et al. 2017) gives of a head that is linear behind the mean over places; through a
layer normalisation its slopes are exact too. Values in, values out, any thread.
"""

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.embedding import Classifier
from edge_runtime.contracts.frame import Pixels

Maps = npt.NDArray[np.float32]


class ClassActivation:
    """The maps of one model."""

    def __init__(self, classifier: Classifier) -> None:
        self._weights = classifier.weights.values()
        self._epsilon = classifier.normalised

    def maps(self, pictures: Maps, classes: npt.NDArray[np.int64], height: int, width: int) -> Maps:
        """What speaks for `classes` (N,) in pictures (N, features, rows, columns): `scaled` maps."""
        slopes = self._weights[classes]
        if self._epsilon is not None:
            slopes = _through_normalisation(slopes, pictures.mean(axis=(2, 3)), self._epsilon)
        return scaled(np.einsum("nf,nfrc->nrc", slopes, pictures), height, width)


def scaled(evidence: Maps, height: int, width: int) -> Maps:
    """What speaks for a class, (N, rows, columns), as maps (N, height, width) from 0 to 1.

    What speaks against it counts as nothing. Each is scaled to its own maximum; one that is 0 everywhere
    found nothing that speaks for its class.
    """
    coarse = np.maximum(evidence, 0)
    # Linear: a cubic would overshoot and show places that the network does not tell apart.
    maps = np.stack([cv2.resize(each, (width, height)) for each in coarse])
    highest = maps.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(maps, highest, out=np.zeros_like(maps), where=highest > 0))


def overlay(frame: Pixels, heat: Maps) -> Pixels:
    """The frame in grey, with the map (height, width) over it: what is hot is yellow, what is cold stays
    as it is."""
    grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    levels = np.rint(heat * 255).astype(np.uint8)
    # Inferno rises in lightness alone, so it reads without colour vision and in print.
    glow = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    strength = 0.75 * heat[..., None]
    return np.asarray(np.rint(grey * (1 - strength) + glow * strength), dtype=np.uint8)


def _through_normalisation(slopes: Maps, means: Maps, epsilon: float) -> Maps:
    """Slopes (N, features) behind a layer normalisation as slopes on the means before it."""
    centred = means - means.mean(axis=1, keepdims=True)
    width = np.sqrt((centred**2).mean(axis=1, keepdims=True) + epsilon)
    unit = centred / width
    shared = slopes.mean(axis=1, keepdims=True)
    turned = unit * (slopes * unit).mean(axis=1, keepdims=True)
    return np.asarray((slopes - shared - turned) / width, np.float32)
