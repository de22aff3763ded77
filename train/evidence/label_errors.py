"""Which labels are likely wrong: what a classifier that never saw an image's group thinks of its label.

Features of a network that has not learned these labels, a logistic regression on them per fold, and
confident learning (cleanlab; Northcutt et al. 2021) on the answers for the images that the fold held
out. Groups are never on both sides. Owns that chain; where features come from is the caller's business.

Chosen by measurement on 3,960 simulated Gen-3 images with 97 wrong labels, ImageNet features of
tf_efficientnet_lite0, found by one who looks at the first 25, 50, 100, 200:
    this chain, 224 pixels          21  40  70  90    134 suspects, 80 of them wrong
    this chain, 128 pixels          16  32  63  88    164 suspects, 84 of them wrong
    all 1,280 channels, 128 px      15  32  61  87    190 suspects, 86 of them wrong; 40 times slower
    ranked by self-confidence       12  25  58  88
    classes weighed alike           14  30  51  72    672 suspects, 76 of them wrong
Weighing rare classes up makes the classifier see them everywhere, so right labels become suspects.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from train.data.audit import Suspicions
from train.errors import DatasetError

DIMENSIONS = 128
"""Principal components that are kept of the features: 512 bytes an image."""
_SAMPLE = 20_000
"""Images that the components are found on; more do not move them."""
_STRENGTH = 0.01
"""Inverse of the regularisation, on components whose overall deviation is 1."""
_ROUNDS = 300

Real = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]


def compress(batches: Iterable[Real]) -> Real:
    """The main components (N, DIMENSIONS or fewer) of features that come in batches, in random order.

    Only the first 20,000 are ever held in full. Labels play no part.
    """
    coming = iter(batches)
    sample = np.concatenate(list(_until(coming, _SAMPLE)))
    reduce = make_pipeline(
        StandardScaler(),
        PCA(min(DIMENSIONS, *sample.shape), svd_solver="randomized", random_state=0),
    ).set_output(transform="default")
    first = reduce.fit_transform(sample)
    scale = max(float(first.std()), 1e-9)
    parts = [first, *(reduce.transform(batch) for batch in coming)]
    return np.concatenate([(part / scale).astype(np.float32) for part in parts])


def _until(batches: Iterator[Real], rows: int) -> Iterator[Real]:
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch)
        if seen >= rows:
            return


def suspect_labels(
    components: Real, classes: Whole, groups: Iterable[str], *, folds: int, seed: int
) -> Suspicions:
    """Rank the labels `classes` (N,) of images by how likely they are wrong.

    A class that stands in fewer groups than there are folds is left out, neither judged nor suggested:
    too little is taught of it, and its few images can all be looked at by a person. Raises DatasetError
    when there is too little to compare.
    """
    _, parts = np.unique(np.fromiter(groups, object), return_inverse=True)
    taught = _in_enough_groups(classes, parts, folds)
    if len(np.unique(classes[taught])) < 2:
        raise DatasetError(
            f"labels cannot be judged: fewer than two classes stand in {folds} groups or more; "
            "take fewer --folds, or --no-label-errors"
        )
    places = np.flatnonzero(taught)
    shares, known = _answers(components[places], classes[places], parts[places], folds, seed)
    judged = places[known]
    names, positions = np.unique(classes[judged], return_inverse=True)
    # A class that none of the judged images bears is no answer either.
    shares = shares[known][:, names]
    shares = np.clip(shares, 1e-6, None)
    shares /= shares.sum(axis=1, keepdims=True)
    quality = get_label_quality_scores(positions, shares, method="normalized_margin")
    wrong = find_label_issues(positions, shares, filter_by="both", n_jobs=1)
    order = np.lexsort((quality, ~wrong))
    shares[np.arange(len(shares)), positions] = -1  # the likeliest class but the given one
    return Suspicions(
        images=judged[order],
        scores=(1 - quality[order]).astype(np.float32),
        suggested=names[shares.argmax(axis=1)][order],
        suspects=int(wrong.sum()),
    )


def _in_enough_groups(classes: Whole, parts: Whole, least: int) -> npt.NDArray[np.bool_]:
    """Which images belong to a class that stands in `least` groups."""
    pairs = np.unique(np.column_stack([classes, parts]), axis=0)
    enough = np.bincount(pairs[:, 0], minlength=int(classes.max()) + 1) >= least
    return np.asarray(enough[classes])


def _answers(
    components: Real, classes: Whole, parts: Whole, folds: int, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Out-of-fold class shares (N, highest class + 1), and where the given class was taught: its groups
    may all have come into one fold."""
    shares = np.zeros((len(classes), int(classes.max()) + 1))
    known = np.zeros(len(classes), bool)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for others, held_out in splitter.split(classes, classes, parts):
        model = LogisticRegression(C=_STRENGTH, max_iter=_ROUNDS)
        model.fit(components[others], classes[others])
        shares[np.ix_(held_out, model.classes_)] = model.predict_proba(components[held_out])
        known[held_out] = np.isin(classes[held_out], model.classes_)
    return shares, known
