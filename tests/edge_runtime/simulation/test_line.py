"""The stream of parts: repeatable, of the promised shares, its faults real and its truth kept beside."""

from collections import Counter
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import UsageError
from edge_runtime.simulation import generations
from edge_runtime.simulation.corruption import CORRUPTIONS, corrupt
from edge_runtime.simulation.generations import GEN3, LABELS, NO_DEFECT
from edge_runtime.simulation.line import Fate, SimulatedLine, SimulatedPart
from edge_runtime.simulation.seam import CROPS_PER_MODULE

SMALL = 64
BOTH = pytest.mark.parametrize("name", ["gen2", "gen3"])


def first(count: int, name: str = "gen3", seed: int = 1, **options: object) -> list[SimulatedPart]:
    return list(islice(SimulatedLine(name, seed, size=SMALL, **options), count))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def many() -> list[Fate]:
    """Enough of a gen3 stream to see its rarest events."""
    line = SimulatedLine("gen3", 1)
    return [line.fate(index) for index in range(20_000)]


def within_binomial_bounds(seen: int, count: int, share: float) -> bool:
    return abs(seen - count * share) <= 4 * np.sqrt(count * share * (1 - share)) + 1


@BOTH
def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    assert first(12, name) == first(12, name)


@BOTH
def test_another_seed_gives_other_pictures(name: str) -> None:
    one, other = first(8, name, seed=1), first(8, name, seed=2)
    assert not {part.encoded for part in one} & {part.encoded for part in other}


@hypothesis_settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**63), index=st.integers(0, 10**7))
def test_a_part_is_the_same_however_it_is_reached(seed: int, index: int) -> None:
    line = SimulatedLine("gen3", seed, size=SMALL)
    entered = next(line.parts(start=index))
    line.part(index + 40)
    assert line.part(index) == entered
    assert SimulatedLine("gen3", seed, size=SMALL).part(index) == entered


def test_part_ids_are_unique_and_name_the_module() -> None:
    parts = first(40)
    assert len({part.part_id for part in parts}) == len(parts)
    assert all(part.part_id.startswith(f"{part.serial}-") for part in parts)
    assert set(Counter(part.serial for part in parts).values()) == {CROPS_PER_MODULE}


def test_time_runs_forward_over_weeks() -> None:
    parts = first(40)
    assert all(one.captured_at < other.captured_at for one, other in pairwise(parts))
    assert parts[0].captured_at.utcoffset() is not None
    later = SimulatedLine("gen3", 1, size=SMALL).part(1999)
    assert (later.captured_at - parts[0].captured_at).days > 14


def test_a_part_meets_its_fate() -> None:
    line = SimulatedLine("gen3", 9, size=SMALL, corrupt=0.3, mislabelled=0.3)
    for part in islice(line, 40):
        fate = line.fate(part.index)
        assert (part.label, part.true_label) == (fate.label, fate.true_label)
        assert (part.blurred, part.corruption) == (fate.blurred, fate.corruption)


def test_a_rendered_picture_is_the_one_in_the_file() -> None:
    line = SimulatedLine("gen2", 2, corrupt=0.0, blurred=0.0)
    part = line.part(6)
    rendered = line.render(6, part.true_label).astype(int)
    assert np.abs(decode(part.encoded) - rendered).mean() < 4


def test_crops_of_a_module_share_station_and_texture() -> None:
    line = SimulatedLine("gen2", 3, size=SMALL)

    def rows(index: int) -> np.ndarray:
        return line.render(index, NO_DEFECT).mean(axis=(1, 2))

    within = [np.abs(rows(4 * n) - rows(4 * n + 1)).mean() for n in range(24)]
    between = [np.abs(rows(4 * n) - rows(4 * n + 4)).mean() for n in range(24)]
    assert np.mean(within) < 0.8 * np.mean(between)
    assert line.part(0).station == line.part(3).station != line.part(4).station


@pytest.mark.parametrize("label", LABELS)
def test_true_classes_come_in_their_shares(many: list[Fate], label: str) -> None:
    seen = sum(part.true_label == label for part in many)
    assert within_binomial_bounds(seen, len(many), GEN3.class_shares[label])


def test_faults_come_in_their_shares(many: list[Fate]) -> None:
    seen = {
        0.015: sum(part.corruption is not None for part in many),
        0.08: sum(part.blurred for part in many),
        0.025: sum(part.label != part.true_label for part in many),
    }
    assert all(within_binomial_bounds(count, len(many), share) for share, count in seen.items())
    assert {part.corruption for part in many} == {None, *CORRUPTIONS}


@BOTH
def test_shares_of_a_generation_sum_to_one(name: str) -> None:
    own = generations.generation(name)
    assert set(own.class_shares) == set(LABELS)
    assert sum(own.class_shares.values()) == pytest.approx(1.0)


def test_class_shares_can_be_replaced() -> None:
    parts = first(40, class_shares={"porosity": 0.5, "spatter": 0.5}, mislabelled=0.0)
    assert {part.true_label for part in parts} == {"porosity", "spatter"}


def test_faults_can_be_left_out() -> None:
    parts = first(200, corrupt=0.0, blurred=0.0, mislabelled=0.0)
    assert not any(part.corruption or part.blurred for part in parts)
    assert all(part.label == part.true_label for part in parts)


def test_a_wrong_label_never_equals_the_true_one() -> None:
    parts = first(120, mislabelled=1.0, class_shares=dict.fromkeys(LABELS, 1 / 6))
    assert all(part.label != part.true_label for part in parts)
    assert {part.label for part in parts} <= set(LABELS)


def test_faults_do_not_change_what_the_other_parts_look_like() -> None:
    faulty = first(60, corrupt=0.2, mislabelled=0.2)
    sound = first(60, corrupt=0.0, mislabelled=0.0)
    pairs = [(one, other) for one, other in zip(faulty, sound, strict=True) if not one.corruption]
    assert all(one.encoded == other.encoded for one, other in pairs)
    assert 30 < len(pairs) < 60


@pytest.mark.parametrize("size", [64, 100, 256, 333])
@BOTH
def test_a_sound_file_decodes_to_the_size_asked_for(name: str, size: int) -> None:
    part = SimulatedLine(name, 2, size=size, corrupt=0.0).part(5)
    assert decode(part.encoded).shape == (size, size, 3)
    assert part.encoded.startswith(b"\xff\xd8")
    assert part.extension == ".jpg"


@pytest.mark.parametrize("kind", ["truncated", "zero_bytes", "garbage"])
@hypothesis_settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_damaged_files_cannot_be_decoded(kind: str, seed: int) -> None:
    pixels = SimulatedLine("gen3", 1, size=SMALL).render(0, NO_DEFECT)
    data, extension = corrupt(np.random.default_rng(seed), pixels, kind, 92)
    assert extension == ".jpg"
    with pytest.raises(Undecodable):
        decode(data)


def test_a_wrong_extension_hides_a_sound_picture() -> None:
    pixels = SimulatedLine("gen3", 1, size=SMALL).render(0, NO_DEFECT)
    starts = set()
    for seed in range(20):
        data, extension = corrupt(np.random.default_rng(seed), pixels, "wrong_extension", 92)
        assert extension == ".jpg"
        assert not data.startswith(b"\xff\xd8")
        assert np.array_equal(decode(data), pixels)
        starts.add(data[:2])
    assert starts == {b"\x89P", b"BM", b"II"}


def test_an_unknown_corruption_is_refused() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="unknown corruption 'melted'"):
        corrupt(np.random.default_rng(0), pixels, "melted", 90)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generation_name": "gen9"}, "unknown generation 'gen9': choose one of gen2, gen3"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"size": 63}, "image size 63 is out of range: give 64 to 1024 pixels"),
        ({"size": 4096}, "image size 4096 is out of range"),
        ({"class_shares": {"rust": 1.0}}, "unknown label 'rust': the line makes no_defect"),
        ({"class_shares": {NO_DEFECT: 0.5}}, "sum to 1, got a sum of 0.5"),
        ({"class_shares": {NO_DEFECT: 2.0, "spatter": -1.0}}, "must be 0 or more"),
        ({"class_shares": {}}, "got a sum of 0"),
        ({"corrupt": 1.5}, "the corrupt share must lie between 0 and 1, got 1.5"),
        ({"module_interval_s": 0.0}, "module interval 0.0 s must be above 0"),
    ],
)
def test_a_line_that_cannot_be_says_what_to_do(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SimulatedLine(**({"generation_name": "gen3", "seed": 1} | options))  # type: ignore[arg-type]


def test_the_process_of_gen3_drifts_further_than_that_of_gen2() -> None:
    def spread(name: str) -> float:
        line = SimulatedLine(name, 1, size=SMALL)
        return float(np.std([line._process(number).heat for number in range(0, 2000, 50)]))

    assert spread("gen3") > 2 * spread("gen2") > 0
