"""From line to manifest: kept by a daemon, exported beside it, labelled in a browser, indexed."""

import csv
import subprocess
import sys
from pathlib import Path

from edge_runtime.cli.main import main as edge_inspect
from edge_runtime.samples.folder import SAMPLES, Folder
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from tests.browser import needs_chromium
from tests.devtools import tab
from tests.patience import eventually
from train.cli.main import main as train

SEED = 7
LEFT_ALONE = 3
FLAGS = {
    "station": "L07-S3",
    "bundle": "demo",
    "source": f"simulated:gen3?seed={SEED}",
    "broker": "memory://round-trip",
    "samples-generation": "gen3",
}


@needs_chromium
def test_what_a_daemon_kept_comes_back_as_rows_with_the_labels_of_a_person(tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder = Folder(state / SAMPLES)
    package = tmp_path / "package"
    where = ["--state-dir", str(state)]
    flags = [f"--{key}={value}" for key, value in FLAGS.items()]
    words = [sys.executable, "-m", "edge_runtime.cli", "run", *flags, *where]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as daemon:
        try:
            assert eventually(lambda: len(folder.names()) >= 10, 90.0)
            assert edge_inspect(["samples", "export", *where, "--out", str(package)]) == 0
            assert daemon.poll() is None
        finally:
            daemon.terminate()
            assert daemon.wait(60) == 0
    with (package / "manifest.csv").open(newline="") as stream:
        exported = list(csv.DictReader(stream))
    truth = [true_label(row["part_id"]) for row in exported]

    with tab(tmp_path) as page:
        page.open(package / "labelling.html")
        keys = {name: str(n) for n, name in enumerate(page.run("labels"), start=1)}
        page.press(*(keys[label] for label in truth[:-LEFT_ALONE]))
        page.press("s")
        page.downloaded("labels.csv")

    out, labels = tmp_path / "labelled.parquet", tmp_path / "downloads" / "labels.csv"
    assert train(["index", str(package), "--labels", str(labels), "--out", str(out)]) == 0
    written = tmp_path / "labelled.csv"
    assert train(["index", str(out), "--out", str(written)]) == 0
    with written.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == truth[:-LEFT_ALONE]
    for row, before in zip(rows, exported, strict=False):
        assert row["path"] == f"package/{before['path']}"
        assert row["group"] == before["part_id"].rpartition("-")[0]
        assert (row["generation"], row["line"], row["station"]) == ("gen3", "L07", "S3")
        assert row["sha256"] == before["sha256"]
        assert (tmp_path / row["path"]).is_file()


def true_label(part_id: str) -> str:
    """What the simulated line drew."""
    _, module, crop = part_id.rsplit("-", 2)
    index = int(module) * CROPS_PER_MODULE + int(crop)
    return SimulatedLine("gen3", SEED).fate(index).true_label
