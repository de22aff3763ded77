"""The model card of a run, in Markdown: the figures of its report, for whoever hands the model on.

The words stand in `templates/card.md`. The card of a bundle (`optimize.report`) speaks of its files, its
speed and integer arithmetic, this one of how the weights came to be. Headings that both have mean the
same.
"""

from optimize.report import rule
from train.pages import page
from train.report import data_tables, label_tables, quality_tables
from train.report.contents import Report


def model_card(report: Report) -> str:
    """MODEL_CARD.md."""
    return page.render(
        "card.md",
        report=report,
        quality=quality_tables,
        data=data_tables,
        labels=label_tables,
        rule=rule(report.shown.model.decision).capitalize(),
    )
