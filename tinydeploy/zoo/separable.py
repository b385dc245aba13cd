"""A plain stack of depthwise separable convolutions with max pooling: the idea of MobileNetV1 and nothing else."""

from __future__ import annotations

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import Architecture, ModelSpec

# Filters of the separable convolutions between one pooling and the next.
_STAGES = ((32, 64), (64, 128), (64, 128))


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec, activation="relu")
    x: LayerSpec | None = None
    number = 0
    for stage, widths in enumerate(_STAGES):
        if x is not None:
            x = net.max_pool(f"pool_{stage}", x)
        for filters in widths:
            number += 1
            x = net.depthwise(f"conv_dw_{number}", x, batch_norm=False)
            x = net.conv(f"conv_pw_{number}", x, spec.width(filters))
    assert x is not None
    pooled = net.global_average_pool("global_average", x)
    return net.head(net.dense("dense", pooled, spec.width(32), activation="relu"))


ARCHITECTURE = Architecture("separable", "Plain separable convolutions", _layers, alpha=1.0, input_size=(32, 0))
