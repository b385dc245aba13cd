"""MobileNetV2's inverted residuals in a compact network for small images, with max pooling in place of strides."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec
from tinydeploy.zoo.mobilenet_v2 import OPTIONS, bottleneck

_EXPANSION = 6


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec)
    x = net.conv("conv", None, spec.width(32), kernel=(3, 3))
    x = bottleneck(net, spec, "block_1", x, 1, spec.width(8))
    x = net.max_pool("pool_1", x)
    x = bottleneck(net, spec, "block_2", x, _EXPANSION, spec.width(16))
    x = bottleneck(net, spec, "block_3", x, _EXPANSION, spec.width(16))
    x = net.max_pool("pool_2", x)
    x = bottleneck(net, spec, "block_4", x, _EXPANSION, spec.width(32))
    pooled = net.global_average_pool("global_average", x)
    return net.head(net.dense("dense", pooled, spec.width(128), activation="relu6"))


ARCHITECTURE = Architecture(
    "mobilenet_v2_compact",
    "MobileNetV2, compact, with max pooling",
    _layers,
    OPTIONS,
    alpha=1.0,
    input_size=(32, 0),
)
