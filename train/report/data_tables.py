"""Tables on what a run was made of: its images, what was left out, its settings, and its hashes."""

from edge_runtime.pages.page import count
from train.report.audit_summary import AuditSummary
from train.report.contents import Report
from train.report.table import Table

_SHORT = 12
"""Digits of a hash that name something to people."""


def images(report: Report) -> Table:
    """How many images of each class there were."""
    rows = [(label, each.train, each.validation) for label, each in report.record.images.items()]
    whole = ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))
    return Table(
        heads=("class", "taught", "held back"),
        rows=[(label, count(taught), count(held)) for label, taught, held in (*rows, whole)],
        caption="Held back: not taught; the thresholds were chosen on them.",
    )


def exclusions(report: Report) -> Table:
    """What each step left out."""
    return Table(
        heads=("step", "images left out", "reasons", "listed in"),
        rows=[
            (each.step, count(each.images), each.reasons or "-", each.listed)
            for each in report.exclusions
        ],
        caption="Images that lie in the data and were not used. Each step is given what the step before "
        "kept; the audit only counts what is left out later.",
        words=(2, 3),
    )


def audit(found: AuditSummary) -> Table:
    """What the audit counted."""
    judged = found.label_errors
    rows = [
        ("looked at", found.images),
        ("cannot be used", found.quarantined.images),
        ("copies of another image", found.duplicates.copies),
        ("pairs of copies with different labels", found.duplicates.pairs_with_different_labels),
        *((f"flagged: {name.replace('_', ' ')}", images) for name, images in found.flags.items()),
        *([("labels that were judged", judged.judged)] if judged else []),
        *([("labels that a person should look at", judged.suspects)] if judged else []),
    ]
    return Table(
        heads=("audited images", "number"),
        rows=[(what, count(many)) for what, many in rows],
        caption="" if judged else "Labels were not judged.",
    )


def openings(report: Report) -> Table:
    """Each time that the sealed test set was opened."""
    return Table(
        heads=("opening", "on", "model", "thresholds", "command"),
        rows=[
            (
                str(opening.number),
                f"{opening.opened_at:%Y-%m-%d %H:%M}",
                opening.model_sha256[:_SHORT],
                opening.thresholds_sha256[:_SHORT],
                opening.command,
            )
            for opening in report.openings or ()
        ],
        words=(1, 2, 3, 4),
    )


def recipe(report: Report) -> Table:
    """The settings that shaped the weights."""
    return Table(
        heads=("setting", "value"),
        rows=report.recipe,
        caption="What was used. Whether other settings would suit these images better was not measured "
        "for this report.",
        words=(1,),
    )


def origin(report: Report) -> Table:
    """What one needs to repeat the run, or to doubt it."""
    record = report.record
    final = report.final and (
        "judged",
        f"{report.final.model.name}, sha256 {report.final.model.sha256}; {report.final.command}",
    )
    return Table(
        heads=("what", "value"),
        rows=[
            ("weights", f"sha256 {report.weights_sha256}"),
            ("thresholds", f"sha256 {report.shown.model.thresholds_sha256}"),
            ("data", f"{record.data_name}, sha256 {record.data_sha256}"),
            ("taught", f"{record.started_at:%Y-%m-%d}, {record.device}, {record.threads} threads"),
            ("taught with", record.command),
            *([final] if final else []),
            ("reported with", report.command),
            ("versions", ", ".join(f"{name} {value}" for name, value in record.versions.items())),
        ],
        words=(1,),
    )
