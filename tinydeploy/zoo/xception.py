"""Xception (Chollet, 2017, arXiv:1610.02357) in small.

Separable convolutions with nothing between depthwise and pointwise.

Residual connections go around all modules but the first and the last. The activation stands after each convolution
and each sum, where the paper has it before: the shortcut's values are then read by one operator less.
"""

from __future__ import annotations

from tinydeploy.zoo._layers import Activation, LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import ON_OFF, Architecture, ModelSpec, Option

# Modules of the entry flow shrink and widen; those of the middle flow do neither. The paper has 128, 256, 728 and
# eight times 728 at 299 pixels.
_ENTRY = (32, 64, 128)
_MIDDLE = 3
_EXIT = (128, 192)


def _separable(net: Network, name: str, source: LayerSpec, filters: int, activation: Activation = "relu") -> LayerSpec:
    x = net.depthwise(f"{name}_dw", source, batch_norm=False)
    return net.conv(f"{name}_pw", x, filters, activation=activation)


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    net = Network(spec, activation="relu")
    x = net.conv("conv_1", None, spec.width(16), kernel=(3, 3), stride=2)
    x = net.conv("conv_2", x, spec.width(32), kernel=(3, 3))
    for number, filters in enumerate(_ENTRY, start=1):
        x = _module(net, spec, f"entry_{number}", x, spec.width(filters), stride=2 if number > 1 else 1)
    for number in range(1, _MIDDLE + 1):
        x = _module(net, spec, f"middle_{number}", x, spec.width(_ENTRY[-1]), stride=1)
    for number, filters in enumerate(_EXIT, start=1):
        x = _separable(net, f"exit_{number}", x, spec.width(filters))
    return net.classifier(x)


def _module(net: Network, spec: ModelSpec, name: str, source: LayerSpec, filters: int, stride: int) -> LayerSpec:
    """Two separable convolutions, max pooling at stride 2, and the sum with the source or its 1x1 projection."""
    residual = spec.on("residual")
    last: Activation = "none" if residual else "relu"
    x = _separable(net, f"{name}_a", source, filters)
    x = _separable(net, f"{name}_b", x, filters, last)
    if stride == 2:
        x = net.max_pool(f"{name}_pool", x, size=3)
    if not residual:
        return x
    shortcut = source
    if x.output_shape != source.output_shape:
        shortcut = net.conv(f"{name}_shortcut", source, filters, stride=stride, activation="none")
    return net.add(f"{name}_add", shortcut, x, activation="relu")


ARCHITECTURE = Architecture(
    "xception",
    "Xception (2017), small",
    _layers,
    (Option("residual", "on", ON_OFF, "off: no shortcuts"),),
    alpha=0.5,
)
