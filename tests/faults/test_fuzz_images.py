"""No image file does harm on its way to the model: the short form of `tests.faults.fuzz_images`."""

from pathlib import Path

from tests.faults.fuzz_images import CONTROL_FILES, WAYS, file, fuzz, work


def test_every_damaged_file_is_admitted_or_refused_in_time_and_in_little_memory() -> None:
    found = fuzz("gate", files=400, seed=1)
    assert found.defects == []
    assert found.files == 400
    codes = {outcome.rpartition(" ")[2] for outcome in found.outcomes}
    assert {"admitted", "undecodable"} <= codes <= {"admitted", "undecodable", "blank", "tiny"}
    kinds = {outcome.partition(" ")[0] for outcome in found.outcomes}
    assert {"jpeg", "png", "bmp", "tiff", "mjpeg", "bomb"} <= kinds


def test_control_a_decoder_that_believes_no_header_is_caught_by_its_memory() -> None:
    found = fuzz("control: decodes without a look at the header", files=CONTROL_FILES, seed=1)
    assert any(" MB" in defect for defect in found.defects), found


def test_control_a_file_that_is_never_done_is_caught_and_the_others_are_done() -> None:
    found = fuzz("control: hangs", files=CONTROL_FILES // 2, seed=1, hang_s=0.5)
    assert [defect.partition(":")[0] for defect in found.defects] == [
        "file 1",
        "file 21",
    ]


def test_control_a_crash_is_named(tmp_path: Path) -> None:
    said: list[str] = []

    def crash(kind: str, data: bytes, folder: Path) -> None:
        raise RuntimeError("out of bounds")

    WAYS["crash"] = crash  # type: ignore[assignment]
    try:
        work("crash", 1, 0, 2, said.append)
    finally:
        del WAYS["crash"]
    assert "RuntimeError: out of bounds" in said[-1]


def test_a_finding_can_be_had_again_by_its_number() -> None:
    assert [file(1, number) for number in range(50)] == [file(1, number) for number in range(50)]
