"""ShuffleNet V2 (Ma et al., 2018, arXiv:1807.11164, table 5): half of the channels pass untouched."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec

_FIRST, _LAST = 24, 1024
# Channels and units of the stages, at width 1.
_STAGES = ((116, 4), (232, 8), (464, 4))


def _basic(net: Network, name: str, source: LayerSpec) -> LayerSpec:
    """Split, work on one half at equal widths (guideline G1), concatenate, shuffle."""
    half = source.output_shape[-1] // 2
    passed, worked = net.split(f"{name}_split", source, 2)
    x = net.conv(f"{name}_a", worked, half)
    x = net.depthwise(f"{name}_depthwise", x, activation="none")
    x = net.conv(f"{name}_b", x, half)
    return net.shuffle(f"{name}_shuffle", net.concat(f"{name}_concat", [passed, x]), 2)


def _down(net: Network, name: str, source: LayerSpec, channels: int) -> LayerSpec:
    """At stride 2 both branches work on all of the source."""
    left = net.depthwise(f"{name}_left_depthwise", source, stride=2, activation="none")
    left = net.conv(f"{name}_left", left, channels // 2)
    right = net.conv(f"{name}_a", source, channels // 2)
    right = net.depthwise(f"{name}_depthwise", right, stride=2, activation="none")
    right = net.conv(f"{name}_b", right, channels // 2)
    return net.shuffle(f"{name}_shuffle", net.concat(f"{name}_concat", [left, right]), 2)


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec, activation="relu")
    x = net.conv("conv", None, spec.width(_FIRST), kernel=(3, 3), stride=2)
    x = net.max_pool("pool", x, size=3)
    for stage, (channels, units) in enumerate(_STAGES, start=2):
        x = _down(net, f"stage{stage}_1", x, spec.width(channels, 2))
        for unit in range(2, units + 1):
            x = _basic(net, f"stage{stage}_{unit}", x)
    return net.classifier(net.conv("conv_last", x, spec.width(_LAST)))


ARCHITECTURE = Architecture("shufflenet_v2", "ShuffleNet V2 (2018)", _layers)
