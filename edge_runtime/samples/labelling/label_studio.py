"""A package as Label Studio takes it: tasks with the model's answer as a prediction, and the set-up.

Owns the two documents. Label Studio serves the images itself, from a folder that it was started with
(`LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`) and that has been added to the project as local storage.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

CHOICE, IMAGE = "label", "image"
"""What the project's set-up calls the choice of a class, and the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One image to label."""

    path: str
    """From the package's folder; comes back with the label."""
    predicted: str | None
    score: float
    """Of the predicted class."""
    model: str
    about: Mapping[str, str]
    """Shown beside it, and there to sort and filter by."""


def tasks(folder: str, found: Sequence[Task]) -> str:
    """The import file; `folder` is the package's, below Label Studio's document root."""
    return json.dumps([_task(folder, task) for task in found], indent=1, ensure_ascii=False) + "\n"


def setup(labels: Sequence[str]) -> str:
    """The labelling interface of the project."""
    choices = "\n".join(
        f"    <Choice value={quoteattr(label)} hotkey={quoteattr(str(number))}/>"
        if number < 10
        else f"    <Choice value={quoteattr(label)}/>"
        for number, label in enumerate(labels, start=1)
    )
    return (
        f'<View>\n  <Image name="{IMAGE}" value="$image"/>\n'
        f'  <Choices name="{CHOICE}" toName="{IMAGE}" choice="single" showInline="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def _task(folder: str, task: Task) -> dict[str, object]:
    made: dict[str, object] = {
        "data": {
            "image": f"/data/local-files/?d={folder}/{task.path}",
            "path": task.path,
            **task.about,
        }
    }
    if task.predicted is not None:
        made["predictions"] = [
            {
                "model_version": task.model,
                "score": task.score,
                "result": [
                    {
                        "from_name": CHOICE,
                        "to_name": IMAGE,
                        "type": "choices",
                        "value": {"choices": [task.predicted]},
                    }
                ],
            }
        ]
    return made
