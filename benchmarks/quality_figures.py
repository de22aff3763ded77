"""The figures of docs/quality.md, from docs/results/quality-gate.json."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from benchmarks.setting import read_result
from optimize.quality_limits.setting import COST

Row: TypeAlias = Mapping[str, Any]

_FOLDS_OFF = 3
"""Of five, from which on a limit counts as switched off."""


def figures() -> str:
    """Everything measured about the quality gate, in Markdown."""
    result = read_result("quality-gate")
    parts = (_line, _cost, _mix, _damage, _size, _real, _time)
    return "\n\n".join("\n".join(part(result)) for part in parts)


def _line(result: Row) -> Iterable[str]:
    reference, smeared, sharp = (
        result[name] for name in ("reference", "smeared_by_the_line", "undamaged")
    )
    default = next(row for row in result["by_cost_asked"] if row["asked"] == COST)
    yield (
        f"The simulated line smears 8 % of its frames in part. Limits from {reference['frames']:,} of "
        f"its frames ({reference['smeared']} smeared, {reference['set_aside']} set aside) turn away "
        f"**{default['smeared_caught']:.1%} of the smeared** frames of another seed, "
        f"**{default['good_rejected']:.2%} of the good** sharp ones and "
        f"{default['defective_rejected']:.1%} of the defective sharp ones. Without the gate the shipped "
        f"int8 model answers `ok` for {smeared['defective_ok_without_gate']} of {smeared['defective']} "
        f"defective parts that the line smeared, and for {sharp['defective_ok_without_gate']} of "
        f"{sharp['defective']} sharp ones: the line's smear spares the defect, so these are parts that "
        "the model judges well and a person now has to. A smear that does not spare it is in the table."
    )


def _cost(result: Row) -> Iterable[str]:
    yield "| `--quality-cost` | good frames turned away | defective ones | smeared ones |"
    yield "|---|---|---|---|"
    for row in result["by_cost_asked"]:
        shares = (row["good_rejected"], row["defective_rejected"], row["smeared_caught"])
        yield f"| {row['asked']:g} | " + " | ".join(f"{share:.1%}" for share in shares) + " |"


def _mix(_: Row) -> Iterable[str]:
    mix = read_result("quality-mix")
    frames, classes = mix["frames"], mix["of_class"]
    yield (
        f"Rare defects: limits from {frames['limits']:,} frames of the line's own mix of classes, and "
        "from as many with three defects in ten ([quality-mix.json](results/quality-mix.json), "
        "`python -m benchmarks.quality_mix`)."
    )
    yield ""
    yield "| sharp frames turned away | line's mix | three defects in ten |"
    yield "|---|---|---|"
    sides = [mix[name] for name in ("line_mix", "three_in_ten_defective")]
    for label, count in sorted(classes.items()):
        seen = [side["sharp_turned_away"].get(label, 0) for side in sides]
        yield f"| {label} | {seen[0]} of {count} | {seen[1]} of {count} |"
    seen = [f"{side['smeared_turned_away']} of {frames['smeared']}" for side in sides]
    yield f"| smeared frames | {seen[0]} | {seen[1]} |"


def _damage(result: Row) -> Iterable[str]:
    yield (
        f"{result['undamaged']['frames']} sharp frames of a third seed, many of them defective, damaged "
        "on purpose. A wrong `ok` is a defective part that the model answers `ok`; the last column "
        "counts those that the gate lets through. *Noise kept*: a real blur comes before the sensor's "
        "noise; the simulator's comes after and takes the noise along, which is easier to see."
    )
    yield ""
    yield "| damage | severity | turned away | mostly as | wrong `ok` without | with the gate |"
    yield "|---|---|---|---|---|---|"
    yield _fate("none", "", result["undamaged"])
    yield _fate("smeared by the line", "beside the defect", result["smeared_by_the_line"])
    for row in result["damaged"]:
        yield _fate(row["kind"], row["severity"], row)


def _fate(kind: str, severity: str, row: Row) -> str:
    mostly = max(row["reasons"], key=row["reasons"].get, default="")
    wrong = f"{row['defective_ok_without_gate']} of {row['defective']}"
    caught = f"{row['caught']:.0%}"
    return (
        f"| {kind} | {severity} | {caught} | {mostly} | {wrong} | {row['defective_ok_with_gate']} |"
    )


def _size(result: Row) -> Iterable[str]:
    size = result["size"]
    yield (
        f"Defocus, seen in the pixels of a camera of {size['camera']} and after the frame was fitted "
        f"to 256x256; {size['frames']} frames, limits at the lowest hundredth of the sharp ones. "
        f"Measuring takes {size['read_us_in_camera_pixels']:,.0f} us and "
        f"{size['read_us_at_model_size']:,.0f} us a frame."
    )
    yield ""
    yield "| sigma, camera's px | model's px | caught by the camera's | by the model's | wrong `ok` |"
    yield "|---|---|---|---|---|"
    for row in size["rows"]:
        sigmas = f"{row['sigma_camera_px']:g} | {row['sigma_model_px']:g}"
        names = ("caught_in_camera_pixels", "caught_at_model_size", "defective_answered_ok")
        yield f"| {sigmas} | " + " | ".join(f"{row[name]:.0%}" for name in names) + " |"


def _real(result: Row) -> Iterable[str]:
    yield "Real images at 128 px, limits from four fifths, held to the last fifth, in turn:"
    yield ""
    yield f"| images | turned away | switched off in {_FOLDS_OFF} of 5 or more |"
    yield "|---|---|---|"
    for row in result["real"]:
        folds = row["switched_off_in_folds"]
        off = ", ".join(sorted(name for name in folds if folds[name] >= _FOLDS_OFF)) or "none"
        yield f"| {row['data']}, {row['images']} | {row['rejected']:.1%} | {off} |"


def _time(result: Row) -> Iterable[str]:
    cost = result["cost"]
    took = cost["us"]
    yield (
        f"At 256x256 on one thread of {result['cpu']} (load {result['load_before']:.0f}), drift's "
        f"measures alone take {took['drift_alone']:.0f} us a frame, gate and drift together "
        f"{took['gate_with_drift']:.0f}: the gate adds {cost['gate_over_decoding']:.2f} of what "
        "decoding the JPEG takes in the same run ([quality-gate.json](results/quality-gate.json), "
        "`python -m benchmarks.quality_gate`)."
    )
