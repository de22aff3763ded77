"""The rules over time: a cause that holds long enough fires once, and not again before it was gone.

    quiet -> pending -> requested -> quiet
                ^ gone for a quarter of the hold: quiet again
                             ^ gone for as long as it had to hold, and the cool-down over: quiet again

Owns this machine and nothing of what the rules mean. Its memory is a value that outlives the process
(`memory`), so a restart neither forgets that a cause holds nor asks a second time. What a rule cannot
know changes nothing. Another bundle begins anew: the requests before it are answered.

Values and a time in, fired rules out; no clock, no file, no thread.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, UtcTime
from edge_runtime.contracts.retrain import RetrainRequest, RuleName, RuleStanding
from edge_runtime.retraining.rules import Limits, Observation, rules

MEMORY_SCHEMA: Literal["edge-inspect/retrain-memory/1"] = "edge-inspect/retrain-memory/1"
MOST_REQUESTS = 16
"""Open ones that are remembered; the oldest go first."""
_GAP = 0.25
"""Of the time that a cause has to hold, it may be gone in between: a level flickers."""


class Held(Contract):
    """What is remembered of one rule; all null where it is quiet."""

    since: UtcTime | None = None
    """When its cause began."""
    gone: UtcTime | None = None
    """When the cause was last seen to be gone after that; null while it holds."""
    fired: UtcTime | None = None
    """When it fired last."""
    latched: bool = False
    """Whether it fired for the cause that holds."""
    unknown: bool = True
    """Whether the last observation said nothing."""


class Memory(Contract):
    """What survives a restart."""

    schema_: Annotated[Literal["edge-inspect/retrain-memory/1"], Field(alias="schema")] = (
        MEMORY_SCHEMA
    )
    bundle: str
    model_sha256: str
    rules: Mapping[RuleName, Held] = {}
    requests: tuple[RetrainRequest, ...] = ()
    """Those that are open."""


class Triggers:
    """The rules of one station; used by one thread at a time."""

    def __init__(self, limits: Limits, memory: Memory) -> None:
        self._rules = rules(limits)
        self._cool_down = timedelta(hours=limits.cool_down_hours)
        self._about = {"bundle": memory.bundle, "model_sha256": memory.model_sha256}
        self._held = {name: memory.rules.get(name, Held()) for name in self._rules}
        self._requests = memory.requests

    @property
    def memory(self) -> Memory:
        """What is to be kept for the next start."""
        return Memory(**self._about, rules=dict(self._held), requests=self._requests)

    @property
    def requests(self) -> tuple[RetrainRequest, ...]:
        """The open ones, the oldest first."""
        return self._requests

    def observe(self, seen: Observation) -> dict[RuleName, str]:
        """Take in an observation, in the order of time; the rules that fire now, with their words."""
        fired: dict[RuleName, str] = {}
        for name, rule in self._rules.items():
            if not rule.asked:
                continue
            held = self._held[name]
            if not rule.knows(seen):
                self._held[name] = held.model_copy(update={"unknown": True})
                continue
            hold = rule.hold(seen)
            if hold is None:
                held = self._gone(held, seen.at, rule.longest)
            else:
                held = held.model_copy(update={"since": held.since or seen.at, "gone": None})
                if self._due(held, seen.at, hold):
                    held = held.model_copy(update={"latched": True, "fired": seen.at})
                    fired[name] = rule.words(seen)
            self._held[name] = held.model_copy(update={"unknown": False})
        return fired

    def request(self, made: RetrainRequest) -> None:
        """Remember a request that was made."""
        self._requests = (*self._requests, made)[-MOST_REQUESTS:]

    def standings(self) -> tuple[RuleStanding, ...]:
        """How each rule stands."""
        return tuple(self._standing(name) for name in self._rules)

    def _due(self, held: Held, at: datetime, hold: timedelta) -> bool:
        if held.latched or held.since is None:
            return False
        cooled = held.fired is None or at - held.fired >= self._cool_down
        return cooled and at - held.since >= hold

    def _gone(self, held: Held, at: datetime, longest: timedelta) -> Held:
        if held.since is None:
            return held
        gone = held.gone or at
        over = at - gone >= (longest if held.latched else longest * _GAP)
        if over:
            return Held(fired=held.fired, unknown=False)
        return held.model_copy(update={"gone": gone})

    def _standing(self, name: RuleName) -> RuleStanding:
        held, asked = self._held[name], self._rules[name].asked
        standing: Literal["off", "unknown", "quiet", "pending", "requested"] = "quiet"
        since = None
        if not asked:
            standing = "off"
        elif held.latched:
            standing, since = "requested", held.fired
        elif held.since is not None:
            standing, since = "pending", held.since
        elif held.unknown:
            standing = "unknown"
        return RuleStanding(
            rule=name, words=asked or "switched off", standing=standing, since=since
        )
