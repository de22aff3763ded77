"""Layer tables of timm networks with random weights: `python -m benchmarks.estimate_layers`.

Four at 224 pixels are of the networks with published T4 results, and lie in the package; six at 256 are
the backbones of docs/estimate.md. The only part of the estimate that needs torch.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import onnx
import timm

from benchmarks.estimate import BACKBONES, LAYERS, SIDE
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from optimize.estimate.layers import Kind, Layer, to_json
from optimize.estimate.network import network
from optimize.estimate.published import table
from train.export import build_graph

_PUBLISHED_SIDE: Final = 224
_PUBLISHED: Final = {
    "efficientnet_b0_small": "tf_efficientnet_lite0",
    "mobilenet_v1": "mobilenetv1_100",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
}
"""Published name to timm's; lite0 is EfficientNet-B0 without squeeze-and-excitation."""


def random_network(model: str, side: int) -> tuple[onnx.ModelProto, ModelSpec]:
    """A timm network for 1000 classes as `train export` would write it, and what it is said to be."""
    labels = tuple(f"class_{index:03d}" for index in range(1000))
    spec = ModelSpec(
        labels=labels,
        input=InputSpec(height=side, width=side),
        decision=DecisionRule(
            ok_labels=labels[:1], thresholds=Thresholds(review_from=0.4, defect_from=0.6)
        ),
        provenance={},
    )
    return build_graph(timm.create_model(model), spec), spec


def graph_layers(model: str, side: int) -> tuple[Layer, ...]:
    """The layers of such a network."""
    return network(random_network(model, side)[0], Path(f"{model}.onnx"), model).layers


def with_separate_activations(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same with each activation a layer of its own: what Paddle's swish plugin makes of them."""
    separate: list[Layer] = []
    for layer in layers:
        if "Clip" not in layer.operators:
            separate.append(layer)
            continue
        operators = tuple(name for name in layer.operators if name != "Clip")
        separate.append(replace(layer, operators=operators))
        separate.append(
            replace(
                layer,
                name=f"{layer.name}_swish",
                kind=Kind.ELEMENTWISE,
                operators=("Swish",),
                taken=layer.given,
                macs=0,
                weights=0,
                reads=layer.writes,
                frame_bytes=0,
            )
        )
    return tuple(separate)


def main() -> None:
    published = Path(table.__file__).parent
    for name, model in _PUBLISHED.items():
        layers = graph_layers(model, _PUBLISHED_SIDE)
        if name == "efficientnet_b0_small":
            layers = with_separate_activations(layers)
        (published / f"{name}.json").write_text(to_json(layers), encoding="utf-8")
        print(f"{name:<24}{len(layers):>4} layers")
    LAYERS.mkdir(exist_ok=True)
    for model in BACKBONES:
        layers = graph_layers(model, SIDE)
        (LAYERS / f"{model}.json").write_text(to_json(layers), encoding="utf-8")
        print(f"{model:<24}{len(layers):>4} layers")


if __name__ == "__main__":
    main()
