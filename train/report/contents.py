"""What is reported of a run: everything that its page and its model card say, and what is missing.

Values alone, so that both say the same. `train.report.gathering` gathers them; `web_page` and
`model_card` beside it write them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from edge_runtime.contracts.frame import Pixels
from train.data.ledger import Opening
from train.decision.calibration import Calibration
from train.decision.frontier import Frontier
from train.evidence.comparison import Comparison
from train.evidence.evaluation import Evaluation
from train.evidence.transfer import Transfer
from train.figures.intervals import Figure
from train.fitting.recipe import Recipe
from train.fitting.record import RunRecord
from train.report.audit_summary import AuditSummary
from train.report.examples import Example
from train.report.exclusions import Exclusion

_NAMES = {
    "img_size": "side of the images, pixels",
    "epochs": "epochs",
    "batch_size": "images per step",
    "lr": "highest learning rate",
    "loss": "loss",
    "smoothing": "label smoothing, against wrong labels",
    "sampling_power": "sampling power: 1 draws classes as they come, 0 equally often",
    "logit_adjustment": "logit adjustment: 1 answers as if classes were equally frequent",
    "seed": "seed",
}
"""Settings that are shown whatever they are, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that the report cannot show."""

    what: str
    why: str
    """And how to mend it; one sentence without its full stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtEpoch:
    """One epoch of the training curve."""

    epoch: int
    loss: float
    reachable_f1: float
    macro_f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """One class."""

    label: str
    good: bool
    taught: int
    judged: int
    recall: Figure
    precision: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is known of a run. What is None or empty has its entry in `missing`."""

    title: str
    made_at: datetime
    command: str
    record: RunRecord
    weights_sha256: str
    rule_from: str
    """How the decision rule was chosen, in words."""
    validation: Evaluation
    """On the images that the run held back, by which the rule was chosen."""
    final: Evaluation | None = None
    """On others: the one that counts, where there is one."""
    calibration: Calibration | None = None
    frontier: Frontier | None = None
    """Of the validation images; None without good or without defective ones."""
    epochs: tuple[TaughtEpoch, ...] = ()
    sheet: Pixels | None = None
    """What augmentation makes of some images."""
    transfer: Transfer | None = None
    examples: Mapping[str, Sequence[Example]]
    """Of the validation images, by their label."""
    grid: tuple[int, int] | None = None
    """Rows and columns of places that the heat maps tell apart; None without heat maps."""
    comparison: Comparison | None = None
    audit: AuditSummary | None = None
    exclusions: tuple[Exclusion, ...]
    """Images that were not used, step by step."""
    openings: tuple[Opening, ...] | None = None
    """Of the sealed test set; None where there is no frozen split, or it is not known where."""
    concerns: tuple[str, ...] = ()
    """What a reader must not overlook; whole sentences without their full stop."""
    missing: tuple[Missing, ...] = ()

    @property
    def shown(self) -> Evaluation:
        """The evaluation whose figures are shown."""
        return self.final or self.validation

    @property
    def judged_on(self) -> str:
        """What the shown figures were measured on, and what that is worth; one or two sentences."""
        data = self.shown.data
        counted = f"Measured on {data.images:,} images in {data.groups:,} groups (modules)"
        if self.final is None:
            return (
                f"{counted} that the network was not taught with. The thresholds were chosen on these "
                "same images, so the figures are a little hopeful; a sealed test set says how much."
            )
        if data.split is not None and data.split.opened is not None:
            times = data.split.opened.times
            often = (
                "once, for this evaluation" if times == 1 else f"{times} times, this one included"
            )
            return (
                f"{counted} of the sealed test set: neither weights nor thresholds had seen them. It "
                f"had been opened {often}."
            )
        return f"{counted} of {data.name}, with thresholds that were chosen on other images."

    @property
    def headline(self) -> list[tuple[str, Figure]]:
        """The figures that one asks for first, by their names for people."""
        wanted = {
            "macro F1": "Macro F1 over all classes",
            "defect recall": "Defective parts found",
            "false positives": "Good parts called defective",
            "calibration error": "Calibration error",
        }
        by_name = {figure.name: figure for figure in self.shown.figures}
        found = ((words, by_name.get(name)) for name, words in wanted.items())
        return [(words, figure) for words, figure in found if figure and figure.value is not None]

    @property
    def classes(self) -> list[ClassRow]:
        """Every class with its figures, in the order of the labels."""
        made = self.shown
        return [
            ClassRow(
                label=label,
                good=label in made.model.decision.ok_labels,
                taught=self.record.images[label].train,
                judged=sum(row),
                recall=made.figure(f"recall {label}"),
                precision=made.figure(f"precision {label}"),
            )
            for label, row in zip(made.model.labels, made.confusion, strict=True)
        ]

    @property
    def recipe(self) -> list[tuple[str, str]]:
        """The settings that shaped the weights: the chief ones, what was done about rare classes and
        wrong labels, and all that differ from the usual."""
        settings = self.record.settings
        usual, chosen = Recipe(), settings.recipe
        altered = "light, colour, highlights, sharpness, noise, something in the way at a border"
        return [
            ("backbone", settings.model),
            ("initial weights", self.record.initial_weights),
            *(
                (
                    _NAMES.get(each.name, each.name.replace("_", " ")),
                    f"{getattr(chosen, each.name)}",
                )
                for each in fields(Recipe)
                if each.name in _NAMES or getattr(chosen, each.name) != getattr(usual, each.name)
            ),
            ("augmentation", "none" if settings.augmentation is None else altered),
        ]
