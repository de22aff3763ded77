"""What a build costs in accuracy, speed and time, in Markdown from the results: docs/optimize.md.

Writes nothing; `benchmarks.figures` does.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks import speed_figures
from benchmarks.setting import read_result

_NAMES = {
    "seams": "simulated seams, 256 px",
    "neu_det": "NEU-DET, 128 px",
    "xsdd": "X-SDD, 128 px",
    "magnetic_tile": "magnetic tiles, 128 px",
}
_RUNS = {
    "taught": "taught as usual",
    "longer": "and three epochs more",
    "qat": "and three epochs more with `--qat`",
}


def figures() -> str:
    """Accuracy first, then what imitated rounding is worth, then speed and cost."""
    parts = [
        *_accuracy(read_result("int8-accuracy")),
        "",
        *_aware(read_result("quantisation-aware")),
        "",
        speed_figures.figures(),
    ]
    return "\n".join(parts)


def _accuracy(result: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| images held back | variant | float layers | macro F1 | lost, points | flips | logits, dB "
        "| classes lost |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in result["sets"].items():
        for precision, row in found["variants"].items():
            if precision == "float32":
                where = f"{_NAMES[name]}: {found['images']:,}"
                yield f"| {where} | float32 | | {row['macro_f1']:.4f} | | | | |"
                continue
            lost = ", ".join(row["classes_lost"]) or "none"
            yield (
                f"| | {precision} | {row['float_layers'] or ''} | {row['macro_f1']:.4f} | "
                f"{100 * row['macro_f1_lost']:+.2f} | {row['flips']} | {row['sqnr_db']:.1f} | {lost} |"
            )
    yield ""
    yield (
        "lite0 each time: the shipped one on seams, one taught in six epochs for each real set, of "
        "which a third of the groups is held back; int8 is fitted to the others. A class is lost where "
        "it is recognised less often than float32's own one-sided 95 % lower bound. All files run on a "
        "CPU, those for TensorRT too ([int8-accuracy.json](results/int8-accuracy.json), "
        "`python -m benchmarks.int8_accuracy`)."
    )


def _aware(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| network | float32 macro F1 | int8: flips | logits, dB | int8-tensorrt: flips | logits, dB |"
    yield "|---|---|---|---|---|---|"
    for run, words in _RUNS.items():
        rows = result["runs"][run]["variants"]
        cells = " | ".join(
            f"{rows[precision]['flips']} | {rows[precision]['sqnr_db']:.1f}"
            for precision in ("int8", "int8-tensorrt")
        )
        yield f"| {words} | {rows['float32']['macro_f1']:.4f} | {cells} |"
    images = result["runs"]["taught"]["images"]
    yield ""
    yield (
        f"Each against its own float file on {images:,} simulated images at 64 px; one seed "
        "([quantisation-aware.json](results/quantisation-aware.json), "
        "`python -m benchmarks.quantisation_aware`). Where int8 passes anyway, imitated rounding gains "
        "nothing to speak of."
    )
