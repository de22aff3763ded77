"""Reading the verdicts out of what a subscriber received."""

from collections.abc import Iterable, Sequence

from edge_runtime.contracts.verdict import Lane, VerdictMessage
from edge_runtime.mes.base import Message


def verdicts(messages: Iterable[Message]) -> list[VerdictMessage]:
    """The verdicts, replayed ones too, as they came among whatever else was published."""
    return [
        VerdictMessage.model_validate_json(message.payload)
        for message in messages
        if message.topic.endswith(("/verdict", "/replay"))
    ]


def by_number(messages: Sequence[Message]) -> list[VerdictMessage]:
    """The verdicts by their number. They may come otherwise: what was decided before the connection
    stood is backlog and goes beside the live ones. Each lane by itself keeps its order."""
    answers = verdicts(messages)
    for lane in Lane:
        of_lane = [answer.seq for answer in answers if answer.delivery.lane is lane]
        assert of_lane == sorted(of_lane)
    return sorted(answers, key=lambda answer: answer.seq)
