"""How often three one-sided 95 % upper bounds on a share hold where images come in groups.

    python -m benchmarks.bounds_coverage

The truth is drawn, so each bound can be judged: images counted as independent, a measured design effect
(Korn and Graubard 1998), and groups taken to be wholly alike, which is what `optimize.bounds` does.
"""

from typing import Any

import numpy as np
from scipy import special

from benchmarks.setting import setting, write_result
from optimize.bounds import upper

CONFIDENCE = 0.95
SAMPLES = 2000
SETTINGS: list[dict[str, Any]] = [
    {"share": share, "groups": groups, "largest_group": largest, "correlation": correlation}
    for share in (0.01, 0.03, 0.15)
    for groups, largest in ((60, 9), (150, 9), (400, 3))
    for correlation in (0.0, 0.3, 0.8)
]


def coverage(share: float, groups: int, largest_group: int, correlation: float) -> dict[str, float]:
    """Share of samples in which each bound lies at or above the truth."""
    random = np.random.default_rng(1)
    odds = (1 - correlation) / correlation if correlation else 0.0
    held = {"independent": 0, "design_effect": 0, "wholly_alike": 0}
    for _ in range(SAMPLES):
        sizes = random.integers(1, largest_group + 1, groups)
        rates = random.beta(share * odds, (1 - share) * odds, groups) if odds else share
        hits = random.binomial(sizes, rates)
        images, found = int(sizes.sum()), float(hits.sum() / sizes.sum())
        alike = images**2 / float((sizes**2).sum())
        worth = {
            "independent": float(images),
            "design_effect": korn_graubard(hits, sizes, alike),
            "wholly_alike": alike,
        }
        for name, trials in worth.items():
            held[name] += float(upper(found * trials, trials, CONFIDENCE)) >= share
    return {name: count / SAMPLES for name, count in held.items()}


def korn_graubard(hits: np.ndarray, sizes: np.ndarray, alike: float) -> float:
    """Effective trials by the variance between groups, with the correction for few of them."""
    images, groups = int(sizes.sum()), len(sizes)
    share = hits.sum() / images
    if share in (0, 1):
        return alike
    variance = groups / (groups - 1) * ((hits - share * sizes) ** 2).sum() / images**2
    few = special.stdtrit(images - 1, CONFIDENCE) / special.stdtrit(groups - 1, CONFIDENCE)
    return float(min(share * (1 - share) / variance * few**2, images))


if __name__ == "__main__":
    rows = [setting | coverage(**setting) for setting in SETTINGS]
    measured = {"confidence": CONFIDENCE, "samples": SAMPLES, "rows": rows}
    write_result("bounds-coverage", setting("numpy", "scipy") | measured)
    for row in rows:
        print(" | ".join(str(value) for value in row.values()))
