"""MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381, table 2): inverted residuals with linear bottlenecks."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import ON_OFF, Architecture, ModelSpec, Option

# Expansion, channels, repeats and stride of the first: t, c, n, s of the paper.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_MULTIPLE = 8  # channels come in eights, as in the authors' code
_LAST = 1280

OPTIONS = (
    Option("linear-bottleneck", "on", ON_OFF, "off: ReLU6 after the bottlenecks too"),
    Option("residual", "on", ON_OFF, "off: no shortcuts"),
)


def bottleneck(
    net: Network, spec: ModelSpec, name: str, source: LayerSpec, expansion: int, channels: int, stride: int = 1
) -> LayerSpec:
    """Expand by 1x1, filter by 3x3 depthwise, project by 1x1; a shortcut at stride 1 between equal channels.

    Without the linear bottleneck the sum is not clipped again: both its sides have passed ReLU6.
    """
    x, wide = source, source.output_shape[-1] * expansion
    if expansion > 1:
        x = net.conv(f"{name}_expand", x, wide)
    x = net.depthwise(f"{name}_depthwise", x, stride=stride)
    x = net.conv(f"{name}_project", x, channels, activation="none" if spec.on("linear-bottleneck") else "relu6")
    if stride == 1 and x.output_shape == source.output_shape and spec.on("residual"):
        x = net.add(f"{name}_add", source, x)
    return x


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec)
    x = net.conv("conv", None, spec.width(32, _MULTIPLE), kernel=(3, 3), stride=2)
    number = 0
    for expansion, channels, repeats, stride in _STAGES:
        for repeat in range(repeats):
            number += 1
            width = spec.width(channels, _MULTIPLE)
            x = bottleneck(net, spec, f"block_{number}", x, expansion, width, stride if repeat == 0 else 1)
    # Kept wide in thin networks, as in the paper (section 5.1).
    return net.classifier(net.conv("conv_last", x, _LAST))


ARCHITECTURE = Architecture("mobilenet_v2", "MobileNetV2 (2018)", _layers, OPTIONS, alpha=0.35)
