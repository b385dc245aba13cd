"""Inception in small: four branches side by side, concatenated; each version of the module on the same network.

v1: 1x1, 3x3, 5x5 and pooling (Szegedy et al., 2014, arXiv:1409.4842). v2: two 3x3 for the 5x5 (2015,
arXiv:1512.00567, figure 5). v3: 1x7 and 7x1 for the 3x3, 1x3 beside 3x1 at the end (figures 6 and 7). v4 pools by
average and keeps all of it at once (2016, arXiv:1602.07261); ``resnet`` is its Inception-ResNet: the branches,
projected by 1x1, are added to the source. Batch normalization everywhere, which v1 did not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.zoo._layers import LayerSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo._spec import ON_OFF, Architecture, ModelSpec, Option


@dataclass(frozen=True, slots=True)
class Branches:
    """Filters of a module: the 1x1, the 3x3 and the 1x1 that reduces before it, likewise 5x5, and that of the pool."""

    one: int
    reduce_three: int
    three: int
    reduce_five: int
    five: int
    pool: int

    def thin(self, spec: ModelSpec) -> Branches:
        """Every branch by the width multiplier."""
        widths = (self.one, self.reduce_three, self.three, self.reduce_five, self.five, self.pool)
        return Branches(*(spec.width(filters) for filters in widths))


# Small relatives of GoogLeNet's 3a and 3b, before and after the second pooling.
_STAGES = (
    (Branches(16, 24, 32, 4, 8, 8), Branches(32, 32, 48, 8, 24, 16)),
    (Branches(48, 24, 52, 4, 12, 16), Branches(64, 32, 72, 8, 32, 24)),
)


def module_v1(net: Network, name: str, x: LayerSpec | None, b: Branches, *, reduction: bool = True) -> LayerSpec:
    """The module of 2014; without `reduction` the naive one of the paper's figure 2 (a), whose pool has no 1x1."""

    def reduce(branch: str, filters: int) -> LayerSpec | None:
        return net.conv(f"{name}_{branch}_reduce", x, filters) if reduction else x

    one = net.conv(f"{name}_1x1", x, b.one)
    three = net.conv(f"{name}_3x3", reduce("3x3", b.reduce_three), b.three, (3, 3))
    five = net.conv(f"{name}_5x5", reduce("5x5", b.reduce_five), b.five, (5, 5))
    pooled = net.max_pool(f"{name}_pool", x, 3, 1)
    if reduction:
        pooled = net.conv(f"{name}_pool_1x1", pooled, b.pool)
    return net.concat(name, [one, three, five, pooled])


def _module_v2(net: Network, name: str, x: LayerSpec, b: Branches) -> LayerSpec:
    five = net.conv(f"{name}_5x5_reduce", x, b.reduce_five)
    five = net.conv(f"{name}_5x5_b", net.conv(f"{name}_5x5_a", five, b.five, (3, 3)), b.five, (3, 3))
    three = net.conv(f"{name}_3x3", net.conv(f"{name}_3x3_reduce", x, b.reduce_three), b.three, (3, 3))
    pooled = net.conv(f"{name}_pool_1x1", net.average_pool(f"{name}_pool", x, 3, 1), b.pool)
    return net.concat(name, [net.conv(f"{name}_1x1", x, b.one), three, five, pooled])


def _module_v3(net: Network, name: str, x: LayerSpec, b: Branches) -> LayerSpec:
    """7x7 as 1x7 and 7x1, and 3x3 as 1x3 beside 3x1."""
    seven = net.conv(f"{name}_7x7_reduce", x, b.reduce_three)
    seven = net.conv(f"{name}_1x7", seven, b.reduce_three, (1, 7))
    seven = net.conv(f"{name}_7x1", seven, b.three, (7, 1))
    three = net.conv(f"{name}_3x3_reduce", x, b.five)
    wide = net.conv(f"{name}_1x3", three, max(1, b.five // 2), (1, 3))
    tall = net.conv(f"{name}_3x1", three, max(1, b.five - b.five // 2), (3, 1))
    pooled = net.conv(f"{name}_pool_1x1", net.average_pool(f"{name}_pool", x, 3, 1), b.pool)
    return net.concat(name, [net.conv(f"{name}_1x1", x, b.one), seven, wide, tall, pooled])


def _module_v4(net: Network, name: str, x: LayerSpec, b: Branches) -> LayerSpec:
    """Inception-v4's A with asymmetric kernels in its second 3x3."""
    five = net.conv(f"{name}_5x5_reduce", x, b.reduce_five)
    five = net.conv(f"{name}_5x5_a", five, b.five, (3, 3))
    five = net.conv(f"{name}_3x1", net.conv(f"{name}_1x3", five, b.five, (1, 3)), b.five, (3, 1))
    three = net.conv(f"{name}_3x3", net.conv(f"{name}_3x3_reduce", x, b.reduce_three), b.three, (3, 3))
    pooled = net.conv(f"{name}_pool_1x1", net.average_pool(f"{name}_pool", x, 3, 1), b.pool)
    return net.concat(name, [pooled, net.conv(f"{name}_1x1", x, b.one), three, five])


def _module_resnet(net: Network, name: str, x: LayerSpec, b: Branches) -> LayerSpec:
    """Inception-ResNet: the branches, joined by a linear 1x1, are what is added to the source."""
    source = x
    width = b.one + b.three + b.five + b.pool
    if x.output_shape[-1] != width:
        source = net.conv(f"{name}_source", x, width)
    five = net.conv(f"{name}_5x5_a", net.conv(f"{name}_5x5_reduce", source, b.reduce_five), b.five, (3, 3))
    five = net.conv(f"{name}_5x5_b", five, b.five, (3, 3))
    three = net.conv(f"{name}_3x3", net.conv(f"{name}_3x3_reduce", source, b.reduce_three), b.three, (3, 3))
    joined = net.concat(f"{name}_concat", [net.conv(f"{name}_1x1", source, b.one), three, five])
    linear = net.conv(f"{name}_join", joined, width, activation="none")
    return net.add(name, source, linear, activation="relu")


_MODULES: dict[str, Callable[[Network, str, LayerSpec, Branches], LayerSpec]] = {
    "v2": _module_v2,
    "v3": _module_v3,
    "v4": _module_v4,
    "resnet": _module_resnet,
}


def _layers(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    version, reduction = spec.option("module"), spec.on("reduction")
    net = Network(spec, activation="relu")
    x = net.conv("conv_1", None, spec.width(16), (3, 3))
    x = net.max_pool("pool_1", net.conv("conv_2", x, spec.width(32), (3, 3)))
    for stage, branches in enumerate(_STAGES, start=1):
        for number, filters in enumerate(branches, start=1):
            name, thin = f"inception_{stage}{'ab'[number - 1]}", filters.thin(spec)
            if version == "v1":
                x = module_v1(net, name, x, thin, reduction=reduction)
            else:
                x = _MODULES[version](net, name, x, thin)
        if stage < len(_STAGES):
            x = net.max_pool(f"pool_{stage + 1}", x)
    return net.classifier(x)


ARCHITECTURE = Architecture(
    "inception",
    "Inception (2014 to 2016), small",
    _layers,
    (
        Option("module", "v1", ("v1", *_MODULES), "version of the module"),
        Option("reduction", "on", ON_OFF, "off: v1's naive module, without 1x1 convolutions before 3x3 and 5x5"),
    ),
    alpha=0.5,
    input_size=(32, 0),
)
