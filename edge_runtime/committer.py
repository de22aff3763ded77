"""From an answer to a durable verdict, and whom that is told: the last thing that happens to a part.

Owns the numbering, the commit, and the order: first durable, then known. Used by the thread that
records. A disk that refuses is tried again until it takes what it is given, or until that is given
up.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from edge_runtime import policy
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.part import Part
from edge_runtime.errors import StateError
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Answered, Observer
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.base import Mirror
from edge_runtime.parts import PartAnswer

_LOG = logging.getLogger(__name__)
_RETRY_S = 1.0
"""Pause before a batch that the disk refused is tried again."""


class Committer:
    """Commits the answers of one station."""

    def __init__(
        self,
        *,
        identity: Identity,
        model: ModelSpec,
        journal: Journal,
        delivery: Delivery,
        health: HealthLog,
        drift: DriftLog,
        mirror: Mirror | None,
        observers: Sequence[Observer],
    ) -> None:
        self._identity = identity
        self._model = model
        self._journal = journal
        self._delivery = delivery
        self._health = health
        self._drift = drift
        self._mirror = mirror
        self._observers = tuple(observers)

    def commit(
        self,
        answers: Sequence[PartAnswer],
        *,
        on_refusal: Callable[[StateError], None],
        give_up: threading.Event,
    ) -> None:
        """Make answers durable, together; `on_refusal` is told each time the disk does not take them.

        Raises StateError once `give_up` is set and the disk refuses.
        """
        first = self._journal.next_seq
        verdicts = [
            self._identity.verdict(first + index, answer, self._model.decision.thresholds)
            for index, answer in enumerate(answers)
        ]
        entries = [Entry(seq=verdict.seq, body=verdict.to_json().encode()) for verdict in verdicts]
        self._health.time_verdicts(
            {first + index: answer.announcement.at for index, answer in enumerate(answers)}
        )
        self._delivery.time_verdicts(
            {first + index: answer.decided.monotonic for index, answer in enumerate(answers)}
        )
        began = time.monotonic()
        self._append(entries, on_refusal, give_up)
        self._health.verdicts_committed(
            (verdict.verdict for verdict in verdicts),
            complete=sum(answer.complete for answer in answers),
            shed=sum(answer.shed for answer in answers),
        )
        self._health.time_stages(
            (answer.timings_ms for answer in answers), commit_s=time.monotonic() - began
        )
        answered = [
            Answered(verdict=verdict, views=answer.judgements)
            for verdict, answer in zip(verdicts, answers, strict=True)
        ]
        for observer in self._observers:
            observer.observe(answered)
        self._drift.observe(_part(answer, self._model) for answer in answers)
        if self._mirror is not None:
            self._mirror.mirror(verdicts)
        self._delivery.notify()

    def _append(
        self,
        entries: Sequence[Entry],
        on_refusal: Callable[[StateError], None],
        give_up: threading.Event,
    ) -> None:
        while True:
            try:
                self._journal.append(entries)
                break
            except StateError as exc:
                self._health.disk_refused()
                self._health.set_problem("journal", str(exc))
                _LOG.error("%s; %d verdicts are held back, trying again", exc, len(entries))
                on_refusal(exc)
                if give_up.wait(_RETRY_S):
                    raise
        self._health.set_problem("journal", None)


def _part(answer: PartAnswer, model: ModelSpec) -> Part:
    decision = answer.decision
    measured = [
        (judged.camera, judged.statistics)
        for judged in answer.judgements
        if judged.statistics is not None
    ]
    return Part(
        at=answer.decided.utc,
        statistics=measured[0][1] if measured else None,
        further=tuple(statistics for _, statistics in measured[1:]),
        cameras=tuple(camera for camera, _ in measured),
        outcome=decision.outcome,
        label=decision.label,
        score=policy.defect_score(decision.scores, model) if decision.scores else None,
        certain=decision.scores.get(decision.label) if decision.label is not None else None,
        features=next(
            (
                judged.features
                for judged in answer.judgements
                if judged.features is not None and judged.decision.label == decision.label
            ),
            None,
        ),
    )
