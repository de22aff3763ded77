"""`edge-inspect explain IMAGE... --bundle B --out FOLDER`: verdicts in words, and pictures of why."""

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.errors import UsageError
from edge_runtime.explanation.explainer import Explainer, Explanation
from edge_runtime.explanation.heatmaps import overlay
from edge_runtime.quality.admission import Admitted, admit
from edge_runtime.written_aside import written_aside

NAME = "explain"
HELP = "say why images are judged as they are, with heat maps"

_EPILOG = """\
examples:
  edge-inspect explain part.jpg --bundle demo --out why/
  edge-inspect explain kept/*.jpg --bundle bundles/weld-seam/1.2.0 --out why/
  edge-inspect explain part.jpg --bundle demo --class porosity --out why/

Each picture shows the frame as the model saw it, and beside it what speaks for the class that was
decided, or for that of --class: the yellower, the more. An image that the station would not inspect has
no picture.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="files to explain")
    parser.add_argument("--bundle", required=True, metavar="FOLDER", help="NAME/VERSION, or `demo`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="where pictures are written"
    )
    parser.add_argument(
        "--class",
        dest="label",
        metavar="LABEL",
        help="class to look for (default: the decided one)",
    )
    parser.add_argument(
        "--variant", metavar="PRECISION", help="variant to explain (default: the bundle's)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the pictures; returns 0."""
    images: list[Path] = arguments.images
    targets = [Path(arguments.out, f"{image.stem}.png") for image in images]
    if len(set(targets)) < len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        raise UsageError(f"several images would be written as {twice}: explain them one by one")
    bundle = open_bundle(arguments.bundle)
    with Explainer(bundle, precision=arguments.variant) as explainer:
        for image, target in zip(images, targets, strict=True):
            seen = admit(_frame(image), bundle.manifest.model.input)
            if not isinstance(seen, Admitted):
                print(f"{image}: not_inspected: {seen.reason}")
                continue
            (explanation,) = explainer.explain([seen.pixels], [arguments.label])
            target.parent.mkdir(parents=True, exist_ok=True)
            with written_aside(target) as aside:
                aside.write_bytes(_png(seen.pixels, explanation))
            print(f"{image}: {explanation.words()}; {target}")
    return 0


def _frame(image: Path) -> Frame:
    try:
        data: bytes | Unreadable = image.read_bytes()
    except OSError as exc:
        data = Unreadable(reason=exc.strerror or str(exc))
    return Frame(
        part_id=image.name, captured_at=datetime.now(UTC), arrived=time.monotonic(), image=data
    )


def _png(pixels: Pixels, explanation: Explanation) -> bytes:
    side_by_side = np.hstack((pixels, overlay(pixels, explanation.heat)))
    _, data = cv2.imencode(".png", cv2.cvtColor(side_by_side, cv2.COLOR_RGB2BGR))
    return bytes(data)
