"""Whether heat maps point at defects: `python -m benchmarks.heatmap_pointing`.

Simulated Gen-3 parts with each defect that is a mark. Where a mark is, the simulation knows: where it
changed the surface by a quarter of its most. The pointing game (Zhang et al. 2018): how often does the
hottest point of the map for that defect lie on the mark, or as near as half a place of the network's
last stage? Against two controls on the same parts: the map of another part, and a point drawn at random.
By the shipped bundle; parts that it does not decide to be the defect count as well. A misaligned weld is
a geometry and no mark, and is left out.
"""

import argparse
import copy
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx

from benchmarks.setting import setting, write_result
from edge_runtime.bundle import CLASSIFIER, Bundle, open_bundle
from edge_runtime.contracts.frame import Pixels
from edge_runtime.explanation.explainer import Explainer, Explanation
from edge_runtime.explanation.heatmaps import overlay
from edge_runtime.simulation.defects import MARKS, harmless
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE, good_offset, weld
from optimize import package
from optimize.classifier import classifier
from optimize.features import expose
from optimize.graph import read_model

PLACE = 32
"""Pixels between two places of the last stage at 256 pixels: maps tell no finer."""
_BATCH = 8


def telling_bundle(folder: Path) -> Bundle:
    """The shipped bundle with what heat maps need, even where it was built before there were any."""
    demo = open_bundle("demo")
    target = folder / demo.manifest.name / demo.manifest.version
    shutil.copytree(demo.path, target)
    for variant in demo.manifest.variants:
        proto = onnx.load(demo.model_file(variant))
        del proto.graph.output[1:]
        onnx.save(expose(proto, feature_map=True), target / variant.file)
    floats = read_model(demo.model_file(demo.variant("float32"))).proto
    (target / CLASSIFIER).write_text(classifier(floats).to_json(), encoding="utf-8")
    for name in ("manifest.json", "manifest.json.sha256"):
        (target / name).unlink()
    files = package.hash_files(target)
    package.seal(target, demo.manifest.model_copy(update={"files": files}))
    return open_bundle(target)


def marked(line: SimulatedLine, index: int, label: str) -> tuple[Pixels, np.ndarray]:
    """A part's picture with a mark, and where the mark is on its surface, (height, width) bool."""
    number, crop = divmod(index, CROPS_PER_MODULE)
    # The steps of the line itself, up to the mark: light, reflections and noise differ with it.
    rng, module = line._random(number, 1 + crop), line._module(number)
    line._fate(rng)
    surface = weld(rng, module, crop, good_offset(rng, module.process))
    harmless(rng, surface, scratches=module.scratches)
    before = copy.deepcopy(surface)
    MARKS[label](rng, surface)
    mask = np.zeros(surface.height.shape, bool)
    for name in ("height", "albedo", "gloss", "colour"):
        apart = np.abs(np.stack([getattr(surface, name)]) - np.stack([getattr(before, name)]))
        apart = apart.reshape(-1, *mask.shape).max(axis=0)
        if apart.max() > 0:
            mask |= apart > apart.max() / 4
    return line.render(index, label), mask


def hits(points: list[tuple[int, int] | None], masks: list[np.ndarray]) -> float:
    """Share of points that lie on the mask, or within half a place of the last stage of it."""
    found = []
    for point, mask in zip(points, masks, strict=True):
        near = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) <= PLACE / 2
        found.append(point is not None and bool(near[point[1], point[0]]))
    return float(np.mean(found))


def sheet(rows: list[tuple[Pixels, Explanation]], file: Path) -> None:
    """Frames above, maps below."""
    above = np.hstack([frame for frame, _ in rows])
    below = np.hstack([overlay(frame, explanation.heat) for frame, explanation in rows])
    cv2.imwrite(str(file), cv2.cvtColor(np.vstack((above, below)), cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=100, help="of each defect")
    parser.add_argument("--seed", type=int, default=909)
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write some of them as a picture"
    )
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless")
    line, rng = SimulatedLine("gen3", arguments.seed), np.random.default_rng(1)
    rows: dict[str, object] = {}
    shown: list[tuple[Pixels, Explanation]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Explainer(telling_bundle(Path(folder))) as explainer,
    ):
        for label in MARKS:
            pairs = [marked(line, 4 * n, label) for n in range(arguments.parts)]
            frames, masks = [frame for frame, _ in pairs], [mask for _, mask in pairs]
            explained: list[Explanation] = []
            for start in range(0, len(frames), _BATCH):
                some = frames[start : start + _BATCH]
                explained += explainer.explain(some, [label] * len(some))
            points = [each.hottest for each in explained]
            anywhere = [(int(x), int(y)) for x, y in rng.integers(0, line.size, (len(masks), 2))]
            rows[label] = {
                "hottest_point_on_the_mark": hits(points, masks),
                "map_of_another_part": hits(points[1:] + points[:1], masks),
                "point_at_random": hits(list(anywhere), masks),
                "mark_covers": float(np.mean([mask.mean() for mask in masks])),
                "decided_to_be_it": float(
                    np.mean([each.decision.label == label for each in explained])
                ),
                "parts": len(masks),
            }
            print(f"{label:<16} {rows[label]}", flush=True)
            right = [n for n, each in enumerate(explained) if each.decision.label == label]
            shown += [(frames[n], explained[n]) for n in right[:1]]
    if arguments.sheet:
        sheet(shown, arguments.sheet)
    options = {"parts": arguments.parts, "seed": arguments.seed}
    result = {**about, "options": options, "simulated": __doc__, "defects": rows}
    print(f"written to {os.path.relpath(write_result('heatmap-pointing', result))}")


if __name__ == "__main__":
    main()
