"""Is a chosen calibration set better than a random one? `python -m benchmarks.calibration_selection`.

The pool is what a line delivers in the time that its sensor is changed: gen2 and gen3, half each, 8 %
defects and fewer, damaged and blurred files as they come. From it, at each size: the set of `optimize
calibrate select`; sets drawn at random; and sets drawn at random with as many of each class as the
first, which tells what the embedding adds to the classes. Int8 is fitted to each and held against
float32 on sound images of gen3 that no set holds: changed verdicts, and the logits' signal to noise.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.setting import setting, write_result
from benchmarks.steps import carry_out, step
from edge_runtime.contracts.frame import Pixels
from edge_runtime.engines.catalogue import open_engine
from optimize import gates, quantize
from optimize.calibration.embedding import Features, embed
from optimize.calibration.observation import observe
from optimize.calibration.ranges import Method
from optimize.calibration.selection import reach, select
from optimize.calibration.strata import by_class, quotas
from optimize.data.dataset import Dataset, open_dataset
from optimize.data.images import Image, read_images
from optimize.graph import FloatModel, read_model, simplify

MODEL = Path(__file__).parents[1] / "edge_runtime/bundles/weld-seam/1.0.0/float32.onnx"
Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Candidates of several data sets."""

    datasets: Sequence[Dataset]
    features: Features
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    """Data set and index in it, per candidate."""

    def read(self, chosen: Sequence[int], model: FloatModel) -> list[Pixels]:
        """The pixels of the chosen."""
        return [
            image.pixels
            for index in chosen
            for number, place in [self.places[index]]
            for image in read_images(self.datasets[number].at([place]), model.spec.input)
            if isinstance(image, Image)
        ]

    def share(self, chosen: Sequence[int], number: int) -> float:
        """Share of the chosen that are of one data set."""
        return sum(self.places[index][0] == number for index in chosen) / len(chosen)


def make_pool(folders: Sequence[Path], model: FloatModel) -> Pool:
    """Embed every image of the folders that can be read."""
    labels: list[str] = []
    groups: list[str] = []
    places: list[tuple[int, int]] = []
    features, sound = [], []
    for number, folder in enumerate(folders):
        dataset = open_dataset(folder)
        embedded = embed(dataset, model.proto, model.spec.input)
        found = len(embedded.dataset.samples)
        print(f"{dataset.root.name}: {found} candidates, {len(embedded.faults)} files unusable")
        labels += embedded.dataset.column("label")
        groups += embedded.dataset.column("group")
        places += [(number, place) for place in range(found)]
        features.append(embedded.features)
        sound.append(embedded.dataset)
    return Pool(
        datasets=sound,
        features=np.concatenate(features),
        labels=tuple(labels),
        groups=tuple(groups),
        places=tuple(places),
    )


def draws(pool: Pool, count: int, repeats: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The set that is chosen, then those drawn, each with the name of its way."""
    yield "selected", select(pool.features, pool.labels, pool.groups, count)
    members = by_class(pool.labels)
    granted = quotas({label: len(indices) for label, indices in members.items()}, count)
    for seed in range(repeats):
        rng = np.random.default_rng([seed, count])
        yield "random", tuple(rng.choice(len(pool.labels), count, replace=False).tolist())
        drawn = [rng.choice(members[c], granted[c], replace=False) for c in members]
        yield "random within classes", tuple(np.concatenate(drawn).tolist())


class Exam:
    """Images that int8 is held against float32 on."""

    def __init__(self, folder: Path, model: FloatModel, count: int) -> None:
        dataset = open_dataset(folder)
        dataset = dataset.at(np.linspace(0, len(dataset.samples) - 1, count).astype(int).tolist())
        images = [i for i in read_images(dataset, model.spec.input) if isinstance(i, Image)]
        self._paths, self._labels = [i.path for i in images], [i.label for i in images]
        self._frames = np.stack([image.pixels for image in images])
        self._spec = model.spec
        self._float = self._answer(model.proto)

    def judge(self, candidate: onnx.ModelProto) -> Figures:
        """Changed verdicts and signal to noise of a model beside the float one."""
        logits = self._answer(candidate)
        before, after = (gates.decisions(rows, self._spec) for rows in (self._float, logits))
        flips = gates.find_flips(self._paths, self._labels, before, after, self._spec)
        return {"flips": len(flips), "sqnr_db": round(gates.sqnr_db(self._float, logits), 2)}

    def _answer(self, proto: onnx.ModelProto) -> npt.NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "model.onnx")
            onnx.save(proto, file)
            with closing(open_engine("onnxruntime", file, self._spec, 1)) as engine:
                parts = [
                    engine.infer(self._frames[i : i + 8]).logits
                    for i in range(0, len(self._frames), 8)
                ]
        return np.concatenate(parts)


def main() -> None:
    """All sizes, all ways, all methods; a line each, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/calibration-selection"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 256])
    parser.add_argument("--repeats", type=int, default=4, help="random draws of either way")
    parser.add_argument("--pool", type=int, default=1500, help="images of each generation")
    parser.add_argument(
        "--exam", type=int, default=500, help="images that verdicts are compared on"
    )
    parser.add_argument("--methods", type=Method, nargs="+", default=[Method.MINMAX, Method.ERROR])
    arguments = parser.parse_args()
    result = setting("numpy", "onnxruntime")
    steps = (
        step(f"simulate --count {arguments.pool} --generation gen2 --seed 302 --out gen2", "gen2"),
        step(f"simulate --count {arguments.pool} --generation gen3 --seed 301 --out gen3", "gen3"),
        step("simulate --count 1000 --defect-share 0.3 --clean --seed 303 --out exam", "exam"),
    )
    carry_out(steps, arguments.work)
    model = simplify(read_model(MODEL))
    pool = make_pool([arguments.work / "gen2", arguments.work / "gen3"], model)
    exam = Exam(arguments.work / "exam", model, arguments.exam)
    activations = quantize.activations(model.proto)
    rows: list[dict[str, Any]] = []
    for size in arguments.sizes:
        for way, chosen in draws(pool, size, arguments.repeats):
            seen = observe(model.proto, activations, pool.read(chosen, model))
            facts = {
                "images": size,
                "way": way,
                "gen3_share": round(pool.share(chosen, 1), 2),
                "reach": round(reach(pool.features, chosen), 3),
            }
            for method in arguments.methods:
                figures = exam.judge(quantize.quantise(model.proto, seen, method))
                rows.append(facts | {"method": method.value} | figures)
                print(rows[-1], flush=True)
        # After each size: the largest takes longest.
        facts = {"model": "weld-seam 1.0.0, float32", "pool": len(pool.labels)}
        about = facts | {"exam": arguments.exam, "summary": summary(rows), "sets": rows}
        print(write_result("calibration-selection", result | about))


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per size, method and way what the sets reach: least, median, most."""
    keys = dict.fromkeys((row["images"], row["method"], row["way"]) for row in rows)
    lines = []
    for images, method, way in keys:
        same = [r for r in rows if (r["images"], r["method"], r["way"]) == (images, method, way)]
        spread = {
            figure: [
                round(float(np.quantile([r[figure] for r in same], q)), 2) for q in (0, 0.5, 1)
            ]
            for figure in ("flips", "sqnr_db")
        }
        lines.append({"images": images, "method": method, "way": way, "sets": len(same)} | spread)
    return lines


if __name__ == "__main__":
    main()
