"""ShuffleNet (Zhang et al., 2017, arXiv:1707.01083, table 1): grouped 1x1 convolutions and a channel shuffle."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec, Option

_FIRST = 24
# Channels of stage 2 by the number of groups, chosen by the authors for equal MACs; each later stage has twice as many.
_STAGE_2 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
_UNITS = (4, 8, 4)
_BOTTLENECK = 4  # a unit's 3x3 convolution has a quarter of its channels


def _unit(
    net: Network, name: str, source: LayerSpec, channels: int, stride: int, first_groups: int, groups: int
) -> LayerSpec:
    """Grouped 1x1, shuffle, 3x3 depthwise, grouped 1x1; added to the source, or at stride 2 beside it, pooled."""
    added = channels - (source.output_shape[-1] if stride == 2 else 0)
    x = net.conv(f"{name}_reduce", source, channels // _BOTTLENECK, groups=first_groups)
    if groups > 1:
        x = net.shuffle(f"{name}_shuffle", x, groups)
    x = net.depthwise(f"{name}_depthwise", x, stride=stride, activation="none")
    if stride == 1:
        x = net.conv(f"{name}_expand", x, added, groups=groups, activation="none")
        return net.add(f"{name}_add", source, x, activation="relu")
    # ReLU before or after the concatenation is the same: an average of what has passed ReLU is not negative.
    x = net.conv(f"{name}_expand", x, added, groups=groups)
    pooled = net.average_pool(f"{name}_pool", source, size=3)
    return net.concat(f"{name}_concat", [pooled, x])


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    groups = int(spec.option("groups"))
    net = Network(spec, activation="relu")
    x = net.conv("conv", None, spec.width(_FIRST, groups), kernel=(3, 3), stride=2)
    x = net.max_pool("pool", x, size=3)
    for stage, units in enumerate(_UNITS):
        channels = spec.width(_STAGE_2[groups] << stage, _BOTTLENECK * groups)
        # Thin networks keep room beside the pooled source for one channel a group.
        channels = max(channels, x.output_shape[-1] + _BOTTLENECK * groups)
        channels = -(-channels // (_BOTTLENECK * groups)) * _BOTTLENECK * groups
        for unit in range(units):
            # The first grouped convolution would see only the 24 channels of the stem.
            first_groups = 1 if stage == unit == 0 else groups
            x = _unit(net, f"stage{stage + 2}_{unit + 1}", x, channels, 2 if unit == 0 else 1, first_groups, groups)
    return net.classifier(x)


ARCHITECTURE = Architecture(
    "shufflenet_v1",
    "ShuffleNet (2017)",
    _layers,
    (Option("groups", "3", tuple(map(str, _STAGE_2)), "groups of the 1x1 convolutions"),),
)
