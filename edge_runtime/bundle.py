"""Opening a bundle: every file's hash is checked, then its golden frames are replayed.

Owns the folder format `NAME/VERSION/` from the reading side; `optimize.package` writes it. The manifest
vouches for every other file, `manifest.json.sha256` vouches for the manifest: a flipped byte anywhere is
refused, with the file's name.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import ValidationError

from edge_runtime import policy
from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.embedding import Classifier, EmbeddingReference
from edge_runtime.contracts.manifest import BundleManifest, Variant
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import BundleError

MANIFEST = "manifest.json"
MANIFEST_DIGEST = "manifest.json.sha256"
DRIFT = "drift.json"
EMBEDDING = "embedding.json"
CLASSIFIER = "classifier.json"
QUALITY = "quality.json"
DEMO = "demo"
_SHIPPED = Path(__file__).parent / "bundles"

Form = TypeVar("Form", bound=Contract)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle whose every byte was checked when it was opened."""

    path: Path
    manifest: BundleManifest

    @property
    def title(self) -> str:
        """`NAME/VERSION`."""
        return f"{self.manifest.name}/{self.manifest.version}"

    def variant(self, precision: str | None, target: Literal["cpu", "tensorrt"] = "cpu") -> Variant:
        """The variant of that precision, or the one to run on `target` unless told otherwise.

        Raises BundleError naming the choices, or when TensorRT is to run what is not made for it.
        """
        try:
            chosen = self.manifest.variant(precision or self._default(target))
        except KeyError as exc:
            raise BundleError(f"{self.path}: {exc.args[0]}") from exc
        if target == "tensorrt" != chosen.target:
            made = ", ".join(self._made_for_tensorrt()) or "none"
            raise BundleError(
                f"{self.path}: variant {chosen.precision!r} is not made for TensorRT; of this bundle's "
                f"variants these are: {made}"
            )
        return chosen

    def plans(self, variant: Variant) -> tuple[Plan, ...]:
        """The TensorRT engines recorded for the variant, those that passed on their device."""
        return tuple(
            Plan(
                file=self.path / engine.plan,
                sha256=engine.sha256,
                device=device.name,
                compute_capability=device.compute_capability,
                tensorrt=device.tensorrt,
            )
            for device in self.manifest.devices
            for engine in device.engines
            if engine.passed and engine.precision == variant.precision
            if engine.plan is not None and engine.sha256 is not None
        )

    def _default(self, target: Literal["cpu", "tensorrt"]) -> str:
        if target == "cpu":
            return self.manifest.default_variant
        chosen = list(dict.fromkeys(device.chosen for device in self.manifest.devices))
        if len(chosen) > 1:
            raise BundleError(
                f"{self.path}: its devices run {' or '.join(chosen)}: name one with --variant"
            )
        made = self._made_for_tensorrt()
        if not made:
            raise BundleError(
                f"{self.path} has no variant for TensorRT: build one with "
                "`optimize build --target tensorrt`"
            )
        return chosen[0] if chosen else made[0]

    def _made_for_tensorrt(self) -> list[str]:
        return [v.precision for v in self.manifest.variants if v.target == "tensorrt"]

    def model_file(self, variant: Variant) -> Path:
        """Where the variant's ONNX file lies."""
        return self.path / variant.file

    def drift_reference(self) -> DriftReference | None:
        """What the training domain looked like; None in a bundle that was built without it.

        Raises BundleError where it is of another form than this version reads.
        """
        return self._read_contract(DRIFT, DriftReference)

    def embedding_reference(self) -> EmbeddingReference | None:
        """What the training domain looked like to the network; None and BundleError likewise."""
        return self._read_contract(EMBEDDING, EmbeddingReference)

    def classifier(self) -> Classifier | None:
        """What heat maps are drawn by; None where none can be, BundleError likewise."""
        return self._read_contract(CLASSIFIER, Classifier)

    def quality_reference(self) -> QualityReference | None:
        """The limits of the frame quality gate; None in a bundle that was built without them.

        Raises BundleError where they are of another form than this version reads.
        """
        return self._read_contract(QUALITY, QualityReference)

    def _read_contract(self, name: str, form: type[Form]) -> Form | None:
        if name not in self.manifest.files:
            return None
        try:
            return form.model_validate_json(_read(self.path / name))
        except ValidationError as exc:
            first = exc.errors()[0]
            where = ".".join(map(str, first["loc"])) or "reference"
            raise BundleError(f"{self.path / name}: {where}: {first['msg']}") from exc

    def replay(self, engine: InferenceEngine, variant: Variant) -> int:
        """Run the golden frames through `engine`; returns how many agreed.

        Raises BundleError when a probability is off by more than the manifest's tolerance.
        """
        model = self.manifest.model
        replayed = 0
        for golden in self.manifest.golden:
            expected = golden.probabilities.get(variant.precision)
            if expected is None:
                continue
            try:
                pixels = decode((self.path / golden.file).read_bytes())
            except Undecodable as exc:
                raise BundleError(f"golden frame {self.path / golden.file}: {exc}") from exc
            logits = engine.infer(pixels[None]).logits
            seen = policy.probabilities(logits, model.decision.temperature)[0]
            off = float(np.abs(seen - np.asarray(expected)).max())
            if not off <= self.manifest.golden_tolerance:
                raise BundleError(
                    f"{self.path}: golden frame {golden.file} answers {off:.3f} away from its record "
                    f"on {engine.name} (tolerance {self.manifest.golden_tolerance}); rebuild the bundle "
                    "on this kind of machine or choose another engine or variant"
                )
            replayed += 1
        return replayed


def open_bundle(location: Path | str) -> Bundle:
    """Open the bundle at `location` and check every hash.

    `demo` is the bundle that ships with the package. A folder `NAME` stands for its one version.
    Raises BundleError that names the file at fault.
    """
    path = _resolve(location)
    manifest_bytes = _read(path / MANIFEST)
    recorded = _read(path / MANIFEST_DIGEST).decode("ascii", errors="replace")
    if recorded != digest_line(manifest_bytes):
        raise BundleError(
            f"{path / MANIFEST} does not match {MANIFEST_DIGEST}: one of them was changed; "
            "copy the bundle again from where it was built"
        )
    try:
        manifest = BundleManifest.model_validate_json(manifest_bytes)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "manifest"
        raise BundleError(f"{path / MANIFEST}: {where}: {first['msg']}") from exc
    for name, digest in manifest.files.items():
        if hashlib.sha256(_read(_inside(path, name))).hexdigest() != digest:
            raise BundleError(
                f"{path / name} was changed after the bundle was built (its sha256 differs from the "
                "manifest's); copy the bundle again from where it was built"
            )
    return Bundle(path=path, manifest=manifest)


def digest_line(manifest: bytes) -> str:
    """The content of `manifest.json.sha256`, as `sha256sum` writes and checks it."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n"


def _resolve(location: Path | str) -> Path:
    path = _shipped_demo() if str(location) == DEMO else Path(location)
    if not path.exists():
        raise BundleError(f"no bundle at {path}: give a folder NAME/VERSION, or the word {DEMO}")
    if not path.is_dir():
        raise BundleError(f"{path} is a file: give the bundle's folder NAME/VERSION")
    if (path / MANIFEST).exists():
        return path
    # A hidden one is what a killed `optimize` left half done.
    folders = (manifest.parent for manifest in path.glob(f"*/{MANIFEST}"))
    versions = sorted(folder for folder in folders if not folder.name.startswith("."))
    if len(versions) == 1:
        return versions[0]
    if versions:
        choices = ", ".join(version.name for version in versions)
        raise BundleError(f"{path} holds several versions: name one of {choices}")
    raise BundleError(f"{path} holds no {MANIFEST}: it is not a bundle made by `optimize build`")


def _shipped_demo() -> Path:
    shipped = sorted(_SHIPPED.glob(f"*/*/{MANIFEST}"))
    if not shipped:
        raise BundleError("this installation carries no demo bundle: `make bundle` builds it")
    return shipped[-1].parent


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{folder / MANIFEST} names a file outside the bundle: {name}")
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise BundleError(
            f"{path} is missing; copy the bundle again from where it was built"
        ) from exc
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc
