"""Whether validation images with more defects spare defects from the quality gate:
`python -m benchmarks.quality_mix`.

Limits from as many frames of the line's own mix of classes and of a mix with three defects in ten, each
with the line's smears; held to sharp frames of another seed.
"""

from collections import Counter

import cv2

from benchmarks.quality_gate import observed, reasons
from benchmarks.quality_line import shots
from benchmarks.setting import setting, write_result
from edge_runtime.quality.judging import Judge
from optimize.quality_limits.setting import COST, set_limits

_FRAMES, _SHARP, _SMEARED = 1000, 500, 300


def main() -> None:
    cv2.setNumThreads(1)
    result: dict[str, object] = setting("numpy", "opencv-python-headless")
    sharp = shots(602, _SHARP, smeared=0.0, defects=0.6)
    smeared = shots(602, _SMEARED, smeared=1.0, defects=0.6)
    result["frames"] = {"limits": _FRAMES, "sharp": _SHARP, "smeared": _SMEARED}
    result["of_class"] = dict(Counter(shot.label for shot in sharp))
    for name, defects in (("line_mix", None), ("three_in_ten_defective", 0.3)):
        taught = [shot.image() for shot in shots(601, _FRAMES, defects=defects)]
        judge = Judge(set_limits("", observed(taught), COST))
        said = reasons(judge, [shot.pixels for shot in sharp])
        turned_away = Counter(
            shot.label for shot, why in zip(sharp, said, strict=True) if why is not None
        )
        caught = reasons(judge, [shot.pixels for shot in smeared])
        result[name] = {
            "sharp_turned_away": dict(turned_away),
            "smeared_turned_away": sum(why is not None for why in caught),
        }
        print(name, result[name], flush=True)
    print(f"written to {write_result('quality-mix', result).name}")


if __name__ == "__main__":
    main()
