"""Writes the pages' figures from the results and the shipped bundle: `python -m benchmarks.figures`.

Nothing between the two markers is written by hand; a test compares.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import (
    build_figures,
    contract_figures,
    drift_figures,
    estimate_figures,
    quality_figures,
    sample_figures,
    station_figures,
    stream_figures,
    training_figures,
)
from benchmarks.setting import read_result
from edge_runtime.bundle import open_bundle

ROOT: Final = Path(__file__).parents[1]
BEGIN, END = "<!-- figures: python -m benchmarks.figures -->", "<!-- end of figures -->"


def readme_figures() -> str:
    """The README's section on what was measured, in Markdown."""
    bundle = open_bundle("demo")
    manifest = bundle.manifest
    speed = read_result("line-speed")
    shift = read_result("domain-shift")
    scores = shift["f1_by_taught_and_examined_generation"]["gen2"]
    rows = [
        "| shipped bundle | macro F1 | defect recall | false positives | for review | size | ms/image |",
        "|---|---|---|---|---|---|---|",
    ]
    for variant in manifest.variants:
        accuracy = variant.accuracy
        latency = next(r for r in variant.latency if r.batch == 8 and r.threads == 1)
        if (
            accuracy is None
            or accuracy.defect_recall is None
            or accuracy.false_positive_rate is None
        ):
            raise SystemExit(f"variant {variant.precision} has no complete accuracy record")
        size = bundle.model_file(variant).stat().st_size / 1e6
        rows.append(
            f"| {variant.precision} | {accuracy.macro_f1:.3f} | {accuracy.defect_recall:.3f} | "
            f"{accuracy.false_positive_rate:.3f} | {accuracy.review_rate:.3f} | {size:.1f} MB | "
            f"{latency.p50_ms:.1f} |"
        )
    images = manifest.variants[0].accuracy.images if manifest.variants[0].accuracy else 0
    ratios, medians = speed["ratios"], speed["medians"]
    words = [
        "",
        (
            f"On {images:,} simulated Gen-3 crops that no training has seen; batch 8, one thread of "
            f"{speed['cpu']}, ONNX Runtime. Recall counts `defect` and `review`."
        ),
        "",
        "| in one run, sides taking turns | |",
        "|---|---|",
        (
            "| daemon, frame in to verdict at the MES, with journal, gate, drift and samples, over the "
            "bare engine | "
            f"{ratios['daemon over bare engine, INT8']:.2f} |"
        ),
        f"| INT8 over float32 in the same engine | {ratios['INT8 over float32, bare engine']:.2f} |",
        f"| seconds from exec to `online` | {medians['online_s']:.2f} |",
        f"| peak RSS of the daemon | {medians['peak_rss_mb']:.0f} MB |",
        (
            "| macro F1 a frozen-feature probe of Gen-2 loses on Gen-3 | "
            f"{scores['gen2']['macro'] - scores['gen3']['macro']:.2f} |"
        ),
    ]
    return "\n".join([*rows, *words, "", *_sealed_test()])


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "README.md": readme_figures,
    "docs/verdict-contract.md": contract_figures.figures,
    "docs/estimate.md": estimate_figures.figures,
    "docs/transfer-learning.md": training_figures.transfer,
    "docs/training-plan.md": training_figures.plan,
    "docs/optimize.md": build_figures.figures,
    "docs/quality.md": quality_figures.figures,
    "docs/performance.md": station_figures.figures,
    "docs/cameras.md": stream_figures.figures,
    "docs/samples.md": sample_figures.figures,
    "docs/drift.md": drift_figures.figures,
    "docs/production-plan.md": drift_figures.loop,
}
"""What stands between the markers of each page."""


def _sealed_test() -> list[str]:
    """What the transfer from Gen-2 to Gen-3 reached, beside what the customer asked for."""
    result = read_result("transfer-learning")
    evaluation, options = result["evaluation"], result["options"]
    taught = sum(counts["train"] for counts in result["split"].values())
    images = sum(sum(row) for row in evaluation["confusion"])
    rows = [
        (
            f"| sealed test, {images:,} simulated Gen-3 images at {options['img_size']} px | asked | "
            "measured | 95 % bound |"
        ),
        "|---|---|---|---|",
    ]
    for criterion in evaluation["criteria"]:
        sign = "at least" if criterion["at_least"] else "at most"
        rows.append(
            f"| {criterion['figure']} | {sign} {criterion['limit']} | {criterion['value']:.4f} | "
            f"{sign} {criterion['bound']:.4f} |"
        )
    return [
        *rows,
        "",
        (
            f"Taught on {options['source_images']:,} Gen-2 images, then on {taught:,} of Gen-3 with "
            "their wrong labels; validation and test labels are true ones, as after a second "
            f"inspection. One seed; the test set was opened {result['openings']} time"
            f"{'s' * (result['openings'] > 1)} (`python -m benchmarks.transfer_learning`)."
        ),
    ]


def with_figures(page: str) -> str:
    """The page with what stands between its markers replaced."""
    before, _, rest = (ROOT / page).read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{PAGES[page]()}\n{END}{after}"


if __name__ == "__main__":
    for page in PAGES:
        (ROOT / page).write_text(with_figures(page), encoding="utf-8")
