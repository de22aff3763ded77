"""Cells are text that neither Markdown nor a page can take for anything else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.report.conftest import Line
from train.errors import RunError
from train.evidence.comparison import read_comparison
from train.evidence.criteria import Finding
from train.evidence.evaluation import read_evaluation
from train.figures.intervals import Figure
from train.figures.resamples import Estimate
from train.figures.worth import Labels
from train.report import data_tables, label_tables, quality_tables
from train.report.audit_summary import AuditSummary, read_audit
from train.report.table import Table, with_ends

AUDIT = {
    "schema": "edge-inspect/audit/1",
    "audited_at": "2026-11-25T15:42:42+00:00",
    "data": "crops",
    "images": 1234,
    "labels": {"a": 1000, "b": 234},
    "quarantined": {"images": 2, "reasons": {"empty file": 2}},
    "duplicates": {"copies": 3, "pairs_with_different_labels": 1, "merged_groups": 4},
    "flags": {"motion_blur": 5},
    "label_errors": {"judged": 900, "suspects": 30},
}


def test_a_cell_cannot_break_out_of_its_table() -> None:
    made = Table(heads=("class", "n"), rows=[("<b>a|b\nc</b>", "1")], words=())
    assert made.markdown().splitlines() == [
        "| class | n |",
        "| --- | ---: |",
        "| &lt;b>a\\|b c&lt;/b> | 1 |",
    ]


def test_a_figure_that_the_images_do_not_define_is_a_dash() -> None:
    none = Figure(name="macro F1", value=None, interval=None, images=0)
    assert with_ends(none) == with_ends(None) == "-"
    recall = Figure(name="defect recall", value=0.5, interval=(0.25, 0.75), images=4)
    assert with_ends(recall) == "50.0% (25.0% to 75.0%)"


def test_the_audit_says_whether_labels_were_judged() -> None:
    judged = data_tables.audit(AuditSummary.model_validate(AUDIT))
    assert ("labels that a person should look at", "30") in judged.rows
    assert ("flagged: motion blur", "5") in judged.rows
    not_judged = data_tables.audit(AuditSummary.model_validate(AUDIT | {"label_errors": None}))
    assert not_judged.caption == "Labels were not judged."
    assert len(not_judged.rows) == len(judged.rows) - 2


def test_a_damaged_audit_is_named_with_the_field_that_lacks(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text('{"schema": "edge-inspect/audit/1"}')
    with pytest.raises(RunError, match="another version: audited_at: Field required"):
        read_audit(tmp_path)
    (tmp_path / "audit.json").write_text("half")
    with pytest.raises(RunError, match="another version: the file: Invalid JSON"):
        read_audit(tmp_path)


def test_the_best_start_is_set_against_the_others_whichever_way_they_were_compared(
    line: Line,
) -> None:
    made = read_comparison(line / "compared")
    table = label_tables.differences(made)
    assert table is not None
    best, rival = table.heads[1].split(" less ")
    at = made.shares[0]
    gap = (
        made.point(best, at).figures["macro F1"].value
        - made.point(rival, at).figures["macro F1"].value
    )
    assert table.rows[0][1].startswith(f"{gap:+.3f} (")
    assert len(table.rows) == len(made.shares)
    turned = made.model_copy(
        update={
            "differences": tuple(
                each.model_copy(
                    update={
                        "arm": each.rival,
                        "rival": each.arm,
                        "figures": {
                            name: Estimate(value=-found.value, low=-found.high, high=-found.low)
                            for name, found in each.figures.items()
                        },
                    }
                )
                for each in made.differences
            )
        }
    )
    assert label_tables.differences(turned) == table


def test_labels_that_even_the_interval_does_not_reach_are_said_once(line: Line) -> None:
    made = read_comparison(line / "compared")
    never = Labels(value=None, low=None, high=None, at_most=False)
    worths = tuple(each.model_copy(update={"needed": never}) for each in made.worths)
    table = label_tables.worths(made.model_copy(update={"worths": worths}))
    assert table is not None
    most = max(point.labels for point in made.points)
    assert {row[1] for row in table.rows} == {f">{most:,.0f}"}


def test_the_verdict_keeps_apart_what_is_missed_unsure_and_unknown(line: Line) -> None:
    made = read_evaluation(line / "final.json")
    recall, false_positives, f1 = made.criteria
    met = {"met_by_value": True, "met_by_bound": True, "value": 0.9}

    def verdict(*findings: Finding) -> str:
        return quality_tables.verdict(made.model_copy(update={"criteria": findings}))

    sure = [replace(each, **met) for each in (recall, false_positives, f1)]
    assert verdict(*sure) == "Everything that was asked for is met, with confidence."
    unsure = replace(false_positives, **met | {"met_by_bound": False})
    unknown = replace(f1, value=None, met_by_value=False, met_by_bound=False)
    missed = replace(recall, value=0.5, met_by_value=False, met_by_bound=False)
    assert verdict(missed, unsure, unknown) == (
        "NOT met: defect recall. Met by these images, but too few of them to be sure: "
        "false positives. These images do not tell: macro F1."
    )
