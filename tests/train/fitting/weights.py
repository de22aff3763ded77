"""What two runs came to, tensor by tensor."""

import torch

from train.fitting import backbones
from train.run_folder import RunFolder


def state(folder: RunFolder) -> dict[str, torch.Tensor]:
    stored = torch.load(folder.last, weights_only=True)
    moments = stored["optimizer"]["optimizer"]["state"]
    return {
        **{f"network.{name}": value for name, value in stored["network"].items()},
        **{f"average.{name}": value for name, value in stored["average"].items()},
        **{f"{i}.{name}": value for i, row in moments.items() for name, value in row.items()},
        **{f"best.{name}": value for name, value in backbones.load_best(folder).items()},
    }


def assert_same(a: RunFolder, b: RunFolder) -> None:
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
