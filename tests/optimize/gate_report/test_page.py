"""The gate's page shows what changed and why it matters, and opens in a browser."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contracts.manifest import ModelSpec
from optimize import gates
from optimize.data.dataset import open_dataset
from optimize.errors import PackageError
from optimize.gate_report import page
from optimize.gate_report.record import Attempt, Excluded, GateReport, VariantReport
from optimize.sensitivity import LayerCost
from tests.browser import faults, look, needs_chromium
from tests.optimize.tiny_network import make_image, png

HOSTILE = "<b>crack</b>.png"


@pytest.fixture
def report(spec: ModelSpec) -> GateReport:
    names = [HOSTILE, *(f"{index}.png" for index in range(1, 60))]
    seen = gates.Validation(paths=names, labels=["red"] * 30 + ["green"] * 30, groups=names)
    red, green = [9.0, 0.0, 0.0], [0.0, 9.0, 0.0]
    before = np.array([red] * 30 + [green] * 30, np.float32)
    after = np.array([green] * 5 + [red] * 25 + [green] * 30, np.float32)

    def variant(precision: str, logits: np.ndarray) -> VariantReport:
        judgement = gates.judge(precision, seen, before, logits, spec, gates.Limits())
        return VariantReport(
            precision=precision,
            target="cpu",
            passed=judgement.passed,
            faults=judgement.faults,
            calibration="minmax",
            judgement=judgement,
            sensitivity=(LayerCost(name="conv_blur", sqnr_db=8.5, flips=3, images=32),),
            attempts=tuple(
                Attempt(restored=n, flips=9 // n, sqnr_db=20, speed_up=2 / n, passed=False)
                for n in (1, 2, 4)
            ),
            float_layers=("conv_blur",),
        )

    return GateReport(
        name="tiles",
        version="1.0.0",
        made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        source_sha256="0" * 64,
        model=spec,
        validation="validation sha256:0",
        calibration="calibration sha256:0",
        limits=gates.Limits(),
        variants=(variant("float32", before), variant("int8", after)),
        excluded=(Excluded(path="worn.png", reason="cut short"),),
        warnings=("no validation image of blue: nothing is known of it",),
    )


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images" / "red"
    folder.mkdir(parents=True)
    for index, name in enumerate((HOSTILE.replace("/", "_"), "1.png", "2.png", "3.png", "4.png")):
        (folder.parent / "red" / name).write_bytes(png(make_image("red", index)))
    rows = [f"red/{p.name},red" for p in sorted(folder.iterdir())]
    (folder.parent / "manifest.csv").write_text("\n".join(["path,label", *rows]))
    return folder.parent


def test_the_page_says_what_failed_shows_the_frames_and_escapes_what_it_is_given(
    report: GateReport,
) -> None:
    text = page.render(report, {HOSTILE: "data:image/jpeg;base64,", "1.png": "data:,"})
    assert "No bundle was written." in text
    assert "5 of 60 verdicts differ from float32" in text
    assert "red: ok red 0.000 → defect green 1.000" in text
    assert "worn.png" in text
    assert "no validation image of blue" in text
    assert text.count("<img") == 2
    assert "<b>crack" not in text


def test_both_files_are_written_beside_the_bundles_place_with_the_flipped_frames(
    report: GateReport, images: Path, tmp_path: Path
) -> None:
    dataset = open_dataset(images)
    known = {sample.path for sample in dataset.samples}
    flips = report.variants[1].judgement.flips
    renamed = tuple(
        flip.model_copy(update={"path": path})
        for flip, path in zip(flips, sorted(known), strict=True)
    )
    judgement = report.variants[1].judgement.model_copy(update={"flips": renamed})
    variant = report.variants[1].model_copy(update={"judgement": judgement})
    whole = report.model_copy(update={"variants": (report.variants[0], variant)})
    target = tmp_path / "out" / "tiles" / "1.0.0"
    written = page.write(whole, dataset, target)
    assert written.name == "1.0.0.gate.html"
    assert written.read_text("utf-8").count("<img") == 5
    record = target.with_name("1.0.0.gate.json")
    assert GateReport.model_validate_json(record.read_text("utf-8")) == whole
    assert len(list(target.parent.iterdir())) == 2


def test_a_place_that_cannot_be_written_is_one_line(
    report: GateReport, images: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file")
    bare = report.model_copy(update={"variants": report.variants[:1]})
    with pytest.raises(PackageError, match="cannot be written beside"):
        page.write(bare, open_dataset(images), tmp_path / "out" / "tiles" / "1.0.0")


@needs_chromium
def test_the_page_opens_whole_in_a_browser(report: GateReport, tmp_path: Path) -> None:
    written = tmp_path / "gate.html"
    written.write_text(page.render(report, {}), encoding="utf-8")
    assert faults(written, tmp_path) == []
    for sight in look(written, tmp_path)[0]:
        assert sight.headings[0] == "Gate of tiles 1.0.0"
        assert sight.charts == 1
