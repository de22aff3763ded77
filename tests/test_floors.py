"""The lower floors stand without what the upper ones need, and the wheel carries what it must."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is out of reach on this floor")

BLOCKED = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Wall())
count = 0
for floor in sys.argv[2].split(","):
    package = importlib.import_module(floor)
    for module in pkgutil.walk_packages(package.__path__, floor + "."):
        if not module.name.endswith("__main__") and module.name not in sys.argv[3].split(","):
            importlib.import_module(module.name)
            count += 1
print(count)
"""

NOT_IN_THE_BASE_INSTALL = (
    "torch,torchvision,timm,sklearn,onnx,onnxslim,onnxscript,openvino,tqdm,tensorrt,polygraphy,cuda,"
    "jinja2,matplotlib,scipy"
)
ON_A_GPU = (
    "edge_runtime.engines.tensorrt,edge_runtime.engines.device_memory.cuda_python,"
    "edge_runtime.engines.device_memory.pycuda"
)
FOR_PAGES = (
    "edge_runtime.pages.page,edge_runtime.pages.charts,"
    "edge_runtime.drift_report.page,edge_runtime.drift_report.time_axis"
)


@pytest.mark.parametrize(
    ("floors", "blocked", "optional"),
    [
        (
            "edge_runtime",
            NOT_IN_THE_BASE_INSTALL,
            f"edge_runtime.engines.openvino,{ON_A_GPU},{FOR_PAGES}",
        ),
        ("edge_runtime,optimize", "torch,torchvision,timm,sklearn,tensorrt", ON_A_GPU),
    ],
)
def test_a_floor_imports_without_what_the_upper_ones_need(
    floors: str, blocked: str, optional: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING, blocked, floors, optional],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def test_the_wall_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING, "torch", "train", ""],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "torch is out of reach" in done.stderr


@pytest.mark.slow
def test_the_wheel_carries_the_demo_bundle_the_templates_and_nothing_foreign(
    tmp_path: Path,
) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "edge_runtime",
        "optimize",
        "train",
        "edge_inspect",
    }
    bundle = [name for name in names if name.startswith("edge_runtime/bundles/weld-seam/")]
    for suffix in ("manifest.json", "manifest.json.sha256", "int8.onnx", "MODEL_CARD.md"):
        assert any(name.endswith(suffix) for name in bundle), suffix
    for folder in ("edge_runtime/pages/templates", "train/pages/templates"):
        for template in (ROOT / folder).iterdir():
            assert f"{folder}/{template.name}" in names
    for file in (ROOT / "systemd").rglob("*"):
        assert file.is_dir() or f"edge_runtime/{file.relative_to(ROOT)}" in names


WITHOUT_AN_EXTRA = """
import sys
sys.modules[sys.argv[1]] = None
from edge_runtime.cli.extra import start
sys.exit(start(sys.argv[2]))
"""


@pytest.mark.parametrize(("library", "program"), [("tqdm", "optimize"), ("scipy", "train")])
def test_a_program_without_its_extra_says_so_in_one_line(library: str, program: str) -> None:
    words = [sys.executable, "-c", WITHOUT_AN_EXTRA, library, program]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        f"{program}: {library} is not installed: pip install 'edge-inspect[{program}]'\n"
    )
