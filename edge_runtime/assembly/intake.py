"""What comes in: how parts are announced, how long they have, and what their frames are held to."""

import math
import re

from edge_runtime.bundle import Bundle
from edge_runtime.cameras.sources import parse_source
from edge_runtime.config import StationConfig
from edge_runtime.mes.base import Publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.parts import PartRules, every
from edge_runtime.quality.gate import QualityGate
from edge_runtime.triggers.base import TriggerSource
from edge_runtime.triggers.counter import FrameCounter
from edge_runtime.triggers.file_names import FileNames
from edge_runtime.triggers.free_run import FreeRun
from edge_runtime.triggers.messages import TriggerMessages

_DEADLINE_S = 1.0
"""For what comes at a pace of its own. Parts go by two to twenty a second, so whoever takes them off the
line still knows which part is meant; twenty times what a busy processor needs for one inference, so
nothing is shed on a station that keeps up."""
_COMPANY_S = 10.0
"""For files that belong together: how long the first waits for the others, as long as for an upload."""
_OPEN_PARTS = 256


def open_triggers(config: StationConfig, topics: Topics, publisher: Publisher) -> TriggerSource:
    """Whatever announces parts; what comes by MQTT is listened to from here on."""
    match config.trigger:
        case "free":
            return FreeRun()
        case "camera":
            return FrameCounter()
        case "folder":
            return FileNames(re.compile(config.part_name))
        case "mqtt":
            triggers = TriggerMessages()
            publisher.listen(topics.trigger, triggers.hear)
            return triggers


def part_rules(config: StationConfig) -> PartRules:
    """Which frames a part has, and when it is answered at the latest."""
    match config.trigger:
        case "free" | "camera":
            cameras: tuple[int | None, ...] = (None,)
        case "folder":
            cameras = (None,) * config.part_frames
        case "mqtt":
            cameras = every(range(len(config.sources)), config.part_frames)
    return PartRules(
        cameras=cameras,
        allowed_s=_allowed_s(config),
        unseen=config.part_unseen,
        capacity=max(_OPEN_PARTS, 4 * config.max_batch),
    )


def _allowed_s(config: StationConfig) -> float:
    """From the announcement of a part to its answer, seconds; infinite for whenever."""
    if config.deadline_ms is not None:
        return config.deadline_ms / 1000 or math.inf
    if config.trigger == "folder" and config.part_frames > 1:
        return _COMPANY_S
    waits = config.trigger == "free" and all(parse_source(s).patient for s in config.sources)
    return math.inf if waits or config.trigger == "folder" else _DEADLINE_S


def open_quality_gate(config: StationConfig, bundle: Bundle, source: str) -> QualityGate | None:
    """The gate of one camera; None where the bundle has no limits or it is switched off."""
    reference = bundle.quality_reference() if config.quality_gate else None
    if reference is None:
        return None
    return QualityGate(reference, live=parse_source(source).live)
