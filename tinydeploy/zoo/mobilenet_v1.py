"""MobileNetV1 (Howard et al., 2017, arXiv:1704.04861, table 1): depthwise separable convolutions throughout."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec

# Filters of the pointwise and stride of the depthwise convolution of the 13 blocks.
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),  # the paper prints s2 here, but its own output size, 7x7 from 7x7, is stride 1
)


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec)
    x = net.conv("conv", None, spec.width(32), kernel=(3, 3), stride=2)
    for number, (filters, stride) in enumerate(_BLOCKS, start=1):
        x = net.depthwise(f"conv_dw_{number}", x, stride=stride)
        x = net.conv(f"conv_pw_{number}", x, spec.width(filters))
    return net.classifier(x)


ARCHITECTURE = Architecture("mobilenet_v1", "MobileNetV1 (2017)", _layers)
