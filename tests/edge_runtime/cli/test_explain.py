"""`edge-inspect explain` on a bundle that really runs."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle import open_bundle
from edge_runtime.cli.main import main
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.explanation.explainer import Explainer
from tests.tiny_bundle import GREEN, RED, SIDE, colour, png

MakeBundle = Callable[..., Path]


def half_red() -> np.ndarray:
    """Green on the left, red on the right."""
    frame = colour(*GREEN)
    frame[:, SIDE // 2 :] = colour(*RED)[:, SIDE // 2 :]
    return frame


def test_the_map_lies_on_what_speaks_for_the_class_and_the_words_say_where(
    make_bundle: MakeBundle,
) -> None:
    with Explainer(open_bundle(make_bundle())) as explainer:
        good, red = explainer.explain([half_red()] * 2, ["no_defect", "red"])
    assert good.heat[:, : SIDE // 4].mean() > 0.5 > good.heat[:, -SIDE // 4 :].mean()
    assert red.heat[:, -SIDE // 4 :].mean() > 0.5 > red.heat[:, : SIDE // 4].mean()
    assert red.hottest is not None
    assert red.hottest[0] >= SIDE // 2
    assert f"speaks for red is around column {red.hottest[0]}, row" in red.words()


def test_what_is_explained_is_what_was_decided(make_bundle: MakeBundle) -> None:
    with Explainer(open_bundle(make_bundle())) as explainer:
        good, red = explainer.explain([colour(*GREEN), colour(*RED)])
        assert explainer.explain([]) == ()
    assert (good.label, red.label) == ("no_defect", "red")
    assert good.words().startswith("ok: no_defect 1.00; most of what speaks for no_defect is")


def test_pictures_are_written_and_an_image_that_cannot_be_seen_is_said_so(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "red.png").write_bytes(png(colour(*RED)))
    (tmp_path / "torn.png").write_bytes(png(colour(*RED))[:40])
    images = [str(tmp_path / name) for name in ("red.png", "torn.png", "lost.png")]
    out = tmp_path / "why"
    assert main(["explain", *images, "--bundle", str(make_bundle()), "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{images[0]}: defect: red 1.00; most of what")
    assert said[1].startswith(f"{images[1]}: not_inspected: undecodable")
    assert said[2].startswith(f"{images[2]}: not_inspected: unreadable")
    assert [file.name for file in out.iterdir()] == ["red.png"]
    picture = cv2.imread(str(out / "red.png"))
    assert picture.shape == (SIDE, 2 * SIDE, 3)


def test_two_images_of_one_name_and_an_unknown_class_are_refused(
    make_bundle: MakeBundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(make_bundle())
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "part.png").write_bytes(png(colour(*RED)))
    words = ["--bundle", bundle, "--out", str(tmp_path / "why")]
    assert main(["explain", *map(str, sorted(tmp_path.glob("?/part.png"))), *words]) == 2
    assert "explain them one by one" in capsys.readouterr().err
    assert main(["explain", str(tmp_path / "a" / "part.png"), *words, "--class", "dent"]) == 2
    assert "choose from no_defect, red, blue" in capsys.readouterr().err
    with Explainer(open_bundle(bundle)) as explainer, pytest.raises(UsageError):
        explainer.explain([colour(*RED)], ["dent"])


def test_a_bundle_without_a_classifier_is_refused_in_one_line(make_bundle: MakeBundle) -> None:
    with pytest.raises(BundleError, match=r"holds no classifier\.json") as caught:
        Explainer(open_bundle(make_bundle(tells=False)))
    assert "\n" not in str(caught.value)
