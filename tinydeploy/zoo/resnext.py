"""ResNeXt for small images (Xie et al., 2016, arXiv:1611.05431): bottleneck blocks whose 3x3 convolution is grouped."""

from __future__ import annotations

import dataclasses

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec, Option
from tinydeploy.zoo.resnet import DEPTH, blocks_per_stage, shortcut

# Channels that the stages give; within a block there are half as many (the paper's figure 1).
_STAGES = (32, 64, 128)


def _block(net: Network, name: str, source: LayerSpec, channels: int, stride: int, cardinality: int) -> LayerSpec:
    x = net.conv(f"{name}_reduce", source, channels // 2)
    x = net.conv(f"{name}_grouped", x, channels // 2, (3, 3), stride, groups=cardinality)
    x = net.conv(f"{name}_expand", x, channels, activation="none")
    return net.add(f"{name}_add", shortcut(net, name, source, x, stride), x, activation="relu")


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    cardinality = int(spec.option("cardinality"))
    blocks = blocks_per_stage(int(spec.option("depth")), bottleneck=True)
    net = Network(spec, activation="relu")
    x = net.conv("conv", None, spec.width(16), kernel=(3, 3))
    for stage, filters in enumerate(_STAGES, start=1):
        channels = spec.width(filters, 2 * cardinality)
        for number in range(1, blocks + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            x = _block(net, f"stage{stage}_{number}", x, channels, stride, cardinality)
    return net.classifier(x)


_DEPTHS = tuple(depth for depth in DEPTH.choices if (int(depth) - 2) % 9 == 0)

ARCHITECTURE = Architecture(
    "resnext",
    "ResNeXt (2016)",
    _layers,
    (
        dataclasses.replace(DEPTH, default="11", choices=_DEPTHS, help="layers with weights: 9 n + 2"),
        Option("cardinality", "4", ("1", "2", "4", "8", "16"), "groups of the 3x3 convolutions"),
    ),
    alpha=1.0,
    input_size=(32, 0),
)
