"""A station's evidence pack, as a refresh reads it: which request is answered, and for which model.

Owns the check that a pack is whole and about the model that is to be refreshed. What a pack holds is
decided in `edge_runtime.retraining.pack`.
"""

from pathlib import Path

from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.retraining.pack import open_pack
from optimize.graph import read_model
from train.errors import RunError


def read_request(pack: Path, model: Path) -> RetrainRequest:
    """The request of a pack, a folder or a .zip file.

    Raises StateError where the pack is damaged, RunError where it is about another model.
    """
    request = open_pack(pack).request
    about = read_model(model).sha256
    if request.source_sha256 is not None and request.source_sha256 != about:
        raise RunError(
            f"{pack} is about bundle {request.bundle}, built from the model "
            f"{request.source_sha256[:12]}, and {model} is {about[:12]}: name the model that the "
            "station runs"
        )
    return request
