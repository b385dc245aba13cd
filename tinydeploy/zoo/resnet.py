"""ResNet for small images (He et al., 2015, arXiv:1512.03385, section 4.2), with basic or bottleneck blocks.

Depth 8 at 32 pixels is the shape of MLPerf Tiny's image classification model.
"""

from __future__ import annotations

from tinydeploy.errors import UsageError
from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import ON_OFF, Architecture, ModelSpec, Option

_STAGES = (16, 32, 64)
_EXPANSION = 4  # a bottleneck block gives four times the channels of its 3x3 convolution
_DEPTHS = (8, 11, 14, 20, 29, 32, 38, 44, 47, 56, 110)


def blocks_per_stage(depth: int, bottleneck: bool) -> int:
    """How many blocks each of the three stages has: depth is 6 n + 2, or 9 n + 2 of bottlenecks."""
    layers = 3 * (3 if bottleneck else 2)
    blocks, rest = divmod(depth - 2, layers)
    if rest or not blocks:
        kind = f"--bottleneck {'on' if bottleneck else 'off'}"
        fit = [str(known) for known in _DEPTHS if (known - 2) % layers == 0]
        raise UsageError(f"--depth {depth} does not divide into three stages with {kind}; choose from {', '.join(fit)}")
    return blocks


def shortcut(net: Network, name: str, source: LayerSpec, output: LayerSpec, stride: int) -> LayerSpec:
    """The source itself, or its 1x1 projection to the output's shape (option B of the paper)."""
    if source.output_shape == output.output_shape:
        return source
    return net.conv(f"{name}_shortcut", source, output.output_shape[-1], stride=stride, activation="none")


def _basic(net: Network, name: str, source: LayerSpec, channels: int, stride: int) -> LayerSpec:
    x = net.conv(f"{name}_a", source, channels, (3, 3), stride)
    x = net.conv(f"{name}_b", x, channels, (3, 3), activation="none")
    return net.add(f"{name}_add", shortcut(net, name, source, x, stride), x, activation="relu")


def _bottleneck(net: Network, name: str, source: LayerSpec, channels: int, stride: int) -> LayerSpec:
    x = net.conv(f"{name}_reduce", source, channels)
    x = net.conv(f"{name}_a", x, channels, (3, 3), stride)
    x = net.conv(f"{name}_expand", x, channels * _EXPANSION, activation="none")
    return net.add(f"{name}_add", shortcut(net, name, source, x, stride), x, activation="relu")


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    bottleneck = spec.on("bottleneck")
    blocks = blocks_per_stage(int(spec.option("depth")), bottleneck)
    block = _bottleneck if bottleneck else _basic
    net = Network(spec, activation="relu")
    x = net.conv("conv", None, spec.width(_STAGES[0]), kernel=(3, 3))
    for stage, channels in enumerate(_STAGES, start=1):
        for number in range(1, blocks + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            x = block(net, f"stage{stage}_{number}", x, spec.width(channels), stride)
    return net.classifier(x)


DEPTH = Option("depth", "8", tuple(map(str, _DEPTHS)), "layers with weights: 6 n + 2, or 9 n + 2 with bottlenecks")

ARCHITECTURE = Architecture(
    "resnet",
    "ResNet (2015)",
    _layers,
    (DEPTH, Option("bottleneck", "off", ON_OFF, "on: 1x1, 3x3, 1x1 blocks")),
    alpha=1.0,
    input_size=(32, 0),
)
