"""What gen3 costs a model of gen2, and how fast the line renders: `python -m benchmarks.domain_shift`.

A linear probe (logistic regression) on frozen ImageNet features of tf_efficientnet_lite0 learns the six
labels from gen2 crops and is examined on gen2 and gen3 crops of other modules; a second probe, taught on
gen3, shows that the loss is the shift's and not gen3's own difficulty. Sets are balanced and clean. The
renderer is timed on one thread, JPEG encoding included, in processor time and beside bare JPEG encoding
of the same pictures, since the machines are shared.
"""

import argparse
import shlex
import sys
import time
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import decode
from edge_runtime.simulation.generations import GENERATIONS, LABELS
from edge_runtime.simulation.line import SimulatedLine
from train.fitting.backbones import IMAGENET, build, load_initial, normalise

BACKBONE = "tf_efficientnet_lite0"
TEACH_SEED, EXAM_SEED = 1, 2

Crops = tuple[npt.NDArray[np.float32], npt.NDArray[np.str_]]
"""Features (n, 1280) and labels (n,)."""


class Backbone:
    """Frozen ImageNet features."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._input = InputSpec(height=size, width=size)
        self._network = build(BACKBONE, len(LABELS), [self._input])
        self.weights = load_initial(self._network, BACKBONE, IMAGENET, LABELS)
        self._network.eval()

    def crops(self, generation: str, seed: int, count: int) -> Crops:
        """Features of the first `count` crops of a balanced, clean line."""
        shares = dict.fromkeys(LABELS, 1 / len(LABELS))
        line = SimulatedLine(
            generation,
            seed,
            size=self.size,
            class_shares=shares,
            corrupt=0.0,
            blurred=0.0,
            mislabelled=0.0,
        )
        parts = list(islice(line, count))
        features = []
        with torch.inference_mode():
            for start in range(0, count, 16):
                pixels = np.stack([decode(part.encoded) for part in parts[start : start + 16]])
                maps = self._network.forward_features(  # type: ignore[operator]
                    normalise(torch.from_numpy(pixels), self._input)
                )
                features.append(maps.mean(dim=(2, 3)).numpy())
        return np.concatenate(features), np.array([part.label for part in parts])


def probe(taught: Crops) -> Pipeline:
    """A linear probe on standardised features."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return model.fit(*taught)


def examine(model: Pipeline, exam: Crops) -> dict[str, float]:
    """F1 by class, and their mean."""
    answers = model.predict(exam[0])
    by_class = f1_score(exam[1], answers, labels=LABELS, average=None, zero_division=0.0)
    scores = {label: round(float(f1), 3) for label, f1 in zip(LABELS, by_class, strict=True)}
    return scores | {"macro": round(float(np.mean(by_class)), 3)}


def render_speed(generation: str, size: int, blocks: int, block: int) -> dict[str, float]:
    """Images per second of one core over blocks of images, and what of it is JPEG encoding."""
    line = SimulatedLine(generation, 5, size=size)
    parts = iter(line)
    next(parts)  # the noise atlas is drawn once per process
    rates, encoding = [], []
    quality = [cv2.IMWRITE_JPEG_QUALITY, GENERATIONS[generation].jpeg_quality]
    for _ in range(blocks):
        began = time.process_time()
        files = [part.encoded for part in islice(parts, block) if part.corruption is None]
        rendered = time.process_time()
        rates.append(block / (rendered - began))
        pictures = [decode(file) for file in files]
        began = time.process_time()
        for picture in pictures:
            cv2.imencode(".jpg", picture, quality)
        encoding.append((time.process_time() - began) / len(files))
    return {
        "images_per_s_best_block": round(max(rates), 1),
        "images_per_s_median": round(float(np.median(rates)), 1),
        "ms_per_image_median": round(1e3 / float(np.median(rates)), 2),
        "ms_of_bare_jpeg_encoding_median": round(1e3 * float(np.median(encoding)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--img-size", type=int, default=128, help="of the probe's crops")
    parser.add_argument("--teach", type=int, default=1500, help="crops that a probe learns from")
    parser.add_argument("--exam", type=int, default=600, help="crops that it is examined on")
    parser.add_argument("--threads", type=int, default=1, help="of the feature extractor")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(arguments.threads)
    result = setting("numpy", "opencv-python-headless", "torch", "timm", "scikit-learn")

    speed = {name: render_speed(name, 256, blocks=10, block=60) for name in GENERATIONS}
    for name, figures in speed.items():
        print(f"rendering {name}: {figures}")

    backbone = Backbone(arguments.img_size)
    exams = {name: backbone.crops(name, EXAM_SEED, arguments.exam) for name in GENERATIONS}
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for taught in GENERATIONS:
        model = probe(backbone.crops(taught, TEACH_SEED, arguments.teach))
        scores[taught] = {name: examine(model, exam) for name, exam in exams.items()}
        for name, figures in scores[taught].items():
            print(f"taught on {taught}, examined on {name}: {figures}")
    loss = scores["gen2"]["gen2"]["macro"] - scores["gen2"]["gen3"]["macro"]
    print(f"a gen2 probe loses {loss:.3f} macro F1 on gen3")
    result |= {
        "command": shlex.join(["python", "-m", "benchmarks.domain_shift", *sys.argv[1:]]),
        "backbone": f"{BACKBONE}, frozen, {backbone.weights}",
        "img_size": arguments.img_size,
        "teach": arguments.teach,
        "exam": arguments.exam,
        "f1_by_taught_and_examined_generation": scores,
        "macro_f1_lost_from_gen2_to_gen3": round(loss, 3),
        "rendering_256px_one_thread": speed,
    }
    print(f"written to {write_result('domain-shift', result)}")


if __name__ == "__main__":
    main()
