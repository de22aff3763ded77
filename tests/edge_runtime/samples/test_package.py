"""A package to label: what it holds, what it leaves out, and the page in a real browser."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import pytest

from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.errors import UsageError
from edge_runtime.samples.choice import Condition, choose
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.labelling.page import labelling_page
from edge_runtime.samples.package import COLUMNS, write_package
from tests.browser import faults, needs_chromium
from tests.devtools import Tab, tab
from tests.edge_runtime.samples.parts import LABELS, part, picture

RANDOM = Claim(reason=Reason.RANDOM)
REVIEW = Claim(reason=Reason.UNCERTAIN, kind="crack")
REJECTED = Claim(reason=Reason.REJECTED, kind="undecodable")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Twenty samples: ten random ones, eight reviews, a damaged file, and one with a label."""
    folder = Folder(tmp_path_factory.mktemp("station") / "samples")
    collection = Collection(folder, quota=10**9, least_free=0, most_likely=0.5, generation="gen3")
    collection.open()
    for seq in range(1, 11):
        file = cv2.imencode(".jpg", picture(seq)[..., ::-1])[1].tobytes()
        collection.keep(part(seq, image=file), [RANDOM], None)
    for seq in range(11, 20):
        collection.keep(part(seq, defect=0.5, outcome=Outcome.REVIEW), [REVIEW], None)
    collection.relabel(19, "stain")
    damaged = part(20, image=b"\x89PNG", rejection="undecodable: damaged PNG")
    collection.keep(damaged, [REJECTED], None)
    return folder


@pytest.fixture
def package(folder: Folder, tmp_path: Path) -> Path:
    write_package(folder, tmp_path / "package", choose(folder, Condition()))
    return tmp_path / "package"


def rows(package: Path) -> list[dict[str, str]]:
    with (package / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_frame_has_a_row_and_its_file_as_it_came(folder: Folder, package: Path) -> None:
    found = rows(package)
    assert tuple(found[0]) == COLUMNS
    assert [row["seq"] for row in found] == [str(seq) for seq in range(1, 20)]
    assert {row["path"] for row in found} == {
        f"images/{file.name}" for file in (package / "images").iterdir()
    }
    for row in found:
        name = row["path"].removeprefix("images/")
        assert (package / row["path"]).read_bytes() == (folder.path / name).read_bytes()
    first, last = found[0], found[-1]
    assert (first["predicted"], first["group"], first["generation"]) == (
        "no_defect", "M000000", "gen3",
    )  # fmt: skip
    assert (first["reason"], first["inclusion_probability"]) == ("random", "0.5")
    assert (last["reason"], last["inclusion_probability"]) == ("uncertain;disagreeing", "")
    assert [row["label"] for row in found] == [""] * 18 + ["stain"]


def test_what_no_program_can_show_is_left_out_and_counted(folder: Folder, tmp_path: Path) -> None:
    packaged = write_package(folder, tmp_path / "p", choose(folder, Condition()))
    assert (packaged.samples, packaged.frames, packaged.not_shown) == (19, 19, 1)
    assert packaged.by_reason == {Reason.RANDOM: 10, Reason.UNCERTAIN: 9, Reason.DISAGREEING: 1}


def test_a_damaged_sample_is_left_out_and_counted(folder: Folder, tmp_path: Path) -> None:
    chosen = choose(folder, Condition(reasons=(Reason.RANDOM,)))
    file = folder.path / chosen.samples[0].frames[0].file
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        packaged = write_package(folder, tmp_path / "p", chosen)
    finally:
        file.write_bytes(whole)
    assert (packaged.samples, packaged.damaged) == (9, 1)


def test_a_limit_leaves_each_reason_its_share_and_random_ones_random(folder: Folder) -> None:
    chosen = choose(folder, Condition(), 8)
    counts = Counter(claim.reason for sample in chosen.samples for claim in sample.claims)
    assert (len(chosen.samples), chosen.left_out) == (8, 12)
    assert min(counts[Reason.RANDOM], counts[Reason.UNCERTAIN]) >= 2
    assert counts[Reason.REJECTED] == counts[Reason.DISAGREEING] == 1
    everything = folder.random_share()
    assert chosen.share is not None
    assert everything is not None
    lots = {s.lot for s in folder.samples() if s.has(Reason.RANDOM)}
    kept = {s.lot for s in chosen.samples if s.has(Reason.RANDOM)}
    assert max(kept) < min(
        lots - kept
    )  # the lowest lots, since all were decided at nearly one time
    at = chosen.samples[0].verdict.decided_at
    assert max(kept) < chosen.share.probability(at) < everything.probability(at)


def test_a_package_is_written_whole_or_not_at_all(folder: Folder, tmp_path: Path) -> None:
    nothing = choose(folder, Condition(reasons=(Reason.DRIFTED,)))
    with pytest.raises(UsageError, match="holds no such samples"):
        write_package(folder, tmp_path / "p", nothing)
    with pytest.raises(UsageError, match="none of the 1 samples has a frame to be shown"):
        write_package(folder, tmp_path / "p", choose(folder, Condition(reasons=(Reason.REJECTED,))))
    for pattern, words in (("(", "is no regular expression"), ("M.*", "needs parentheses")):
        with pytest.raises(UsageError, match=words):
            write_package(folder, tmp_path / "p", choose(folder, Condition()), group=pattern)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="is there already"):
        write_package(folder, tmp_path, choose(folder, Condition()))


def test_label_studio_gets_tasks_with_predictions_and_the_set_up_for_them(package: Path) -> None:
    tasks = json.loads((package / "label-studio" / "tasks.json").read_text())
    found = rows(package)
    assert [task["data"]["path"] for task in tasks] == [row["path"] for row in found]
    assert tasks[0]["data"]["image"] == f"/data/local-files/?d=package/{found[0]['path']}"
    (answer,) = tasks[0]["predictions"][0]["result"]
    assert answer["value"] == {"choices": ["no_defect"]}
    view = ET.parse(package / "label-studio" / "config.xml").getroot()  # noqa: S314 - ours
    choices = view.find("Choices")
    assert choices is not None
    assert (choices.get("name"), choices.get("toName")) == (answer["from_name"], answer["to_name"])
    assert [choice.get("value") for choice in choices] == list(LABELS)


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture
def opened(package: Path, tmp_path: Path) -> Iterator[Tab]:
    with tab(tmp_path) as page:
        page.open(package / "labelling.html")
        yield page
        assert page.complaints == []


def said(page: Tab, name: str) -> str:
    return str(page.run(f"document.getElementById({name!r}).textContent"))


def labelled(page: Tab, tmp_path: Path) -> list[tuple[str, str]]:
    """What the page saves now: number of the verdict and label."""
    page.press("s")
    saved = page.downloaded("labels.csv")
    (tmp_path / "downloads" / "labels.csv").unlink()
    found = csv.DictReader(saved.splitlines())
    return [(row["path"].removeprefix("images/")[:12].lstrip("0"), row["label"]) for row in found]


@needs_chromium
def test_keys_label_and_go_on_and_undo_takes_back(opened: Tab, tmp_path: Path) -> None:
    assert said(opened, "done") == "1 of 19 labelled"  # the one that came back from re-inspection
    opened.press("2", "1", "3", "u")
    assert said(opened, "spoken") == "M000000-3: undone"
    assert said(opened, "done") == "3 of 19 labelled, not saved"
    opened.press("ArrowRight", "1", "9")
    assert labelled(opened, tmp_path) == [
        ("1", "crack"), ("2", "no_defect"), ("4", "no_defect"), ("19", "stain"),
    ]  # fmt: skip
    assert said(opened, "done") == "4 of 19 labelled"


@needs_chromium
def test_one_reason_can_be_gone_through_and_a_label_changed(opened: Tab, tmp_path: Path) -> None:
    opened.run("""{
      const reason = document.getElementById("reason");
      reason.value = "disagreeing";
      reason.dispatchEvent(new Event("change"));
    }""")
    assert opened.run("document.querySelectorAll('#strip li').length") == 1
    assert said(opened, "facts").count("re-inspected asstain") == 1
    opened.run("document.querySelector('#labels button').click()")
    assert labelled(opened, tmp_path) == [("19", "no_defect")]
    opened.press("u")
    assert labelled(opened, tmp_path) == [("19", "stain")]


@needs_chromium
def test_a_closed_window_loses_no_label(opened: Tab, package: Path, tmp_path: Path) -> None:
    opened.press("1", "2")
    opened.open(package / "labelling.html")
    assert opened.asked == ["beforeunload"]
    assert said(opened, "done") == "3 of 19 labelled, not saved"


@needs_chromium
def test_where_the_model_looked_is_laid_over_the_frame_on_demand(
    folder: Folder, tmp_path: Path
) -> None:
    chosen = choose(folder, Condition(reasons=(Reason.DISAGREEING,)))
    out = tmp_path / "package"
    write_package(folder, out, chosen, heat=lambda _sample, _number, pixels: 255 - pixels)
    with tab(tmp_path) as page:
        page.open(out / "labelling.html")
        shown = []
        for _ in range(3):
            shown.append(page.run("document.querySelectorAll('#place .heat').length"))
            page.press("h")
    assert shown == [0, 1, 0]


@needs_chromium
def test_every_control_has_a_name_and_can_be_reached(opened: Tab) -> None:
    nameless = opened.run("""[...document.querySelectorAll("button, select, input, progress")].filter(
      one => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length""")
    assert nameless == 0
    assert opened.run("[...document.images].every(image => image.hasAttribute('alt'))")
    opened.press("Tab", "Tab", "Tab")
    assert opened.run("document.activeElement !== document.body")


@needs_chromium
def test_the_page_is_sound_at_every_width(package: Path, tmp_path: Path) -> None:
    found = faults(package / "labelling.html", tmp_path)
    # Links lead to the frames beside the page.
    assert [fault for fault in found if "links lead nowhere" not in fault] == []


@needs_chromium
def test_the_page_runs_no_script_but_its_own_whatever_a_part_is_called(
    folder: Folder, tmp_path: Path
) -> None:
    spell = '</script><script>document.title = "run"</script><img src=x onerror="document.title=1">'
    chosen = choose(folder, Condition(reasons=(Reason.DISAGREEING,)))
    (sample,) = chosen.samples
    verdict = sample.verdict.model_copy(update={"part_id": spell, "reason": spell})
    odd = sample.model_copy(update={"verdict": verdict})
    write_package(folder, tmp_path / "package", replace(chosen, samples=(odd,)))
    page = tmp_path / "package" / "labelling.html"
    with tab(tmp_path) as opened:
        opened.open(page)
        assert opened.run("document.title") == "Frames to label: L07-S3"
        assert spell in said(opened, "caption")
        assert opened.complaints == []
        # The control: a script that is not the page's own is refused, and it is told.
        page.write_text(
            page.read_text().replace("</main>", "<script>document.title = 1</script></main>")
        )
        opened.open(page)
        assert opened.run("document.title") == "Frames to label: L07-S3"
        assert any("Content Security Policy" in words for words in opened.complaints)


def test_the_page_names_nothing_outside_of_itself() -> None:
    page = labelling_page(title="x", package="x", labels=LABELS, frames=())
    assert re.findall(r"https?://", page) == []
