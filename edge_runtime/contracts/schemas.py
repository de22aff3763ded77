"""JSON Schemas of everything that leaves the process: `python -m edge_runtime.contracts.schemas DIR`."""

import json
import sys
from pathlib import Path

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.drift import DriftReference, DriftReport
from edge_runtime.contracts.embedding import Classifier, EmbeddingReference
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.label import Label, LabelAnswer
from edge_runtime.contracts.manifest import BundleManifest, ModelSpec
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.contracts.recording import RecordedFrame, RecordingHeader
from edge_runtime.contracts.replay import ReplayAnswer, ReplayRequest
from edge_runtime.contracts.retrain import EvidencePack, RetrainState
from edge_runtime.contracts.sample import Sample
from edge_runtime.contracts.trigger import Trigger
from edge_runtime.contracts.verdict import VerdictMessage

PUBLISHED: dict[str, type[Contract]] = {
    "verdict": VerdictMessage,
    "health": Health,
    "journal": JournalHead,
    "drift": DriftReport,
    "drift-reference": DriftReference,
    "embedding-reference": EmbeddingReference,
    "classifier": Classifier,
    "quality": QualityReference,
    "retrain": RetrainState,
    "evidence": EvidencePack,
    "replay-request": ReplayRequest,
    "replay-answer": ReplayAnswer,
    "label": Label,
    "label-answer": LabelAnswer,
    "trigger": Trigger,
    "recording": RecordingHeader,
    "recorded-frame": RecordedFrame,
    "sample": Sample,
    "bundle": BundleManifest,
    "model-spec": ModelSpec,
}


def schemas() -> dict[str, str]:
    """File name to JSON Schema text, generated from the contracts and never written by hand."""
    return {
        f"{name}.schema.json": json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                **contract.model_json_schema(by_alias=True, mode="serialization"),
            },
            indent=2,
        )
        + "\n"
        for name, contract in PUBLISHED.items()
    }


if __name__ == "__main__":
    for file, text in schemas().items():
        (Path(sys.argv[1]) / file).write_text(text, encoding="utf-8")
