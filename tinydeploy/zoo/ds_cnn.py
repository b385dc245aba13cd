"""DS-CNN for keywords (Zhang et al., 2017, arXiv:1711.07128), in the shape of MLPerf Tiny: 49 frames of 10 features."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec

_FILTERS, _BLOCKS = 64, 4


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec, activation="relu")
    x = net.conv("conv", None, spec.width(_FILTERS), kernel=(10, 4), stride=2)
    for number in range(1, _BLOCKS + 1):
        x = net.depthwise(f"conv_dw_{number}", x)
        x = net.conv(f"conv_pw_{number}", x, spec.width(_FILTERS))
    return net.classifier(x)


ARCHITECTURE = Architecture(
    "ds_cnn", "DS-CNN for keywords (2017)", _layers, alpha=1.0, input_size=(49, 10), channels=1, classes=12
)
