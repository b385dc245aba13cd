"""The networks that `fit_cost` measures: the zoo's at odd widths and sizes, and layers that the zoo leaves out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from support.net import Net
from support.tflite_schema import Activation

from tinydeploy.graph import Graph
from tinydeploy.tflite import read_model
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import LayerSpec, ModelSpec, describe
from tinydeploy.zoo._network import Network

_ODD, _POOLS, _GROUPED = 14, 8, 3
# Widths from a vector to the last layer: fully connected layers whose ranges do not end as int8 does, so that the DSP
# kernel in C gets them, which the zoo leaves to odd widths.
DENSE = {"dense_0": (96, 40, 12, 28, 96), "dense_1": (240, 100, 20, 36), "dense_2": (48, 24, 16, 90, 52)}


def networks() -> dict[str, tuple[LayerSpec, ...]]:
    """Networks whose kernels span the zoo's: other widths and sizes than the tests hold the model against."""
    specs = [
        ModelSpec("mobilenet_v1", 0.25, 56, 3, 10),
        ModelSpec("mobilenet_v1", 0.4, 36, 1, 7),
        ModelSpec("mobilenet_v1", 0.13, 90, 3, 3),
        ModelSpec("mobilenet_v2", 0.35, 40, 3, 10),
        ModelSpec("mobilenet_v2", 0.2, 84, 3, 4),
        ModelSpec("mobilenet_v2_compact", 0.7, 28, 1, 10),
        ModelSpec("separable", 0.6, 30, 3, 10),
        ModelSpec("xception", 0.4, 44, 3, 12),
        ModelSpec("shufflenet_v1", 0.3, 52, 3, 10, (("groups", "2"),)),
        ModelSpec("shufflenet_v1", 0.25, 36, 3, 10, (("groups", "8"),)),
        ModelSpec("shufflenet_v2", 0.4, 52, 3, 10),
        ModelSpec("resnet", 0.7, 28, 3, 10),
        ModelSpec("resnet", 0.5, 36, 3, 10),
        ModelSpec("resnet", 0.25, 30, 1, 10, (("depth", "14"),)),
        ModelSpec("resnet", 1.0, 20, 3, 10),
        ModelSpec("resnet", 0.4, 20, 3, 10, (("depth", "11"), ("bottleneck", "on"))),
        ModelSpec("resnext", 0.7, 24, 3, 10, (("cardinality", "8"),)),
        ModelSpec("inception", 0.6, 24, 3, 10),
        ModelSpec("inception", 0.4, 28, 3, 10, (("module", "v3"),)),
        ModelSpec("inception", 0.5, 22, 3, 10, (("module", "v4"),)),
        ModelSpec("inception", 0.3, 26, 3, 10, (("module", "resnet"),)),
        ModelSpec("ds_cnn", 0.8, 45, 1, 12, (), 12),
        ModelSpec("autoencoder", 0.7, 300, 1, 2),
    ]
    return {
        **{spec.name: describe(spec) for spec in specs},
        **{f"odd_{seed}": odd_network(seed) for seed in range(_ODD)},
        **{f"pools_{seed}": pool_network(seed) for seed in range(_POOLS)},
        **{f"grouped_{seed}": grouped_network(seed) for seed in range(_GROUPED)},
    }


def odd_network(seed: int) -> tuple[LayerSpec, ...]:
    """Twenty layers with whatever shapes the seed gives."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(8, 33))
    net = Network(ModelSpec("odd", 1.0, size, int(rng.choice([1, 3])), 10), "relu")
    x = net.conv("first", None, int(rng.integers(2, 40)), _odd_kernel(rng), int(rng.integers(1, 3)))
    for number in range(20):
        name, channels = f"layer_{number}", x.output_shape[-1]
        stride = 2 if min(x.output_shape[:2]) >= 6 and rng.random() < 0.2 else 1
        wide = int(rng.integers(2, 65))
        match rng.integers(9):
            case 0 | 1:
                x = net.conv(name, x, wide, activation="none")
            case 2:
                x = net.conv(name, x, wide, _odd_kernel(rng), stride, activation="none" if rng.random() < 0.5 else None)
            case 3 | 4:
                x = net.depthwise(name, x, stride=stride)
            case 5:
                pool = net.max_pool if rng.random() < 0.5 else net.average_pool
                x = pool(name, x, int(rng.integers(2, 4)), stride)
            case 6:
                x = net.add(name, x, net.conv(f"{name}_side", x, channels, activation="relu"), "relu")
            case 7:
                x = net.conv(f"{name}_positive", x, channels)
                sides = [net.conv(f"{name}_{side}", x, int(rng.integers(1, 30))) for side in range(rng.integers(2, 4))]
                x = net.concat(name, [x, *sides])
            case 8:
                groups = int(rng.choice([2, 3, 4, 8]))
                x = net.conv(f"{name}_even", x, groups * int(rng.integers(1, 8)))
                x = net.shuffle(name, x, groups)
                halves = net.split(f"{name}_split", x, groups)
                x = net.concat(f"{name}_joined", [x, halves[-1]])
                x = net.conv(
                    f"{name}_grouped", net.shuffle(f"{name}_again", x, groups + 1), groups + 1, groups=groups + 1
                )
    return net.classifier(x)


def pool_network(seed: int) -> tuple[LayerSpec, ...]:
    """Every pool after every other, on odd and even sizes; grouped 3x3 convolutions between."""
    rng = np.random.default_rng(seed)
    net = Network(ModelSpec("pools", 1.0, 9 + 3 * seed, 3, 10), "relu")
    x = net.conv("first", None, 8)
    number = 0
    for stride in (1, 2):
        for size in (2, 3):
            for pool in (net.max_pool, net.average_pool):
                number += 1
                x = pool(f"pool_{number}", x, size, stride if min(x.output_shape[:2]) > 3 else 1)
                groups = int(rng.choice([2, 4, 8]))
                x = net.conv(f"conv_{number}", x, groups * int(rng.integers(1, 7)))
                x = net.conv(f"grouped_{number}", x, groups * int(rng.integers(1, 7)), (3, 3), groups=groups)
    return net.classifier(x)


def grouped_network(seed: int) -> tuple[LayerSpec, ...]:
    """Grouped 3x3 convolutions of every depth that the portable kernel gets on cores with better ones."""
    rng = np.random.default_rng(seed)
    net = Network(ModelSpec("grouped", 1.0, 5 + 3 * seed, 3, 10), "relu")
    x = net.conv("first", None, 8)
    for number, depth in enumerate((3, 4, 7, 9, 10, 13, 18)):
        groups = int(rng.choice([2, 4]))
        x = net.conv(f"conv_{number}", x, groups * depth)
        x = net.conv(f"grouped_{number}", x, groups * int(rng.choice([1, 3, 5])), (3, 3), groups=groups)
    return net.classifier(x)


def _odd_kernel(rng: np.random.Generator) -> tuple[int, int]:
    rows, columns = rng.choice([(1, 1), (3, 3), (3, 3), (5, 5), (1, 7), (7, 1), (1, 3), (3, 1), (10, 4)])
    return int(rows), int(columns)


def graph_of(name: str) -> Graph:
    """A network that is measured, with random weights: one of `networks` or of `DENSE`."""
    if name not in DENSE:
        return untrained_graph(networks()[name], name)
    source, *widths, last = DENSE[name]
    net = Net(list(DENSE).index(name))
    x = net.input((1, source))
    for width in widths:
        x = net.fully_connected(x, width, Activation.RELU)
    return read_model(net.done(net.fully_connected(x, last)), name)
