"""The builder that architectures lay their networks out with."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.zoo._layers import CLASSIFIER, INPUT, Activation, LayerOp, LayerSpec, Padding, Shape
from tinydeploy.zoo._spec import ModelSpec

Kernel = tuple[int, int]


class InputTooSmallError(Exception):
    """The input is used up before the last stride; ``zoo.describe`` turns it into a sentence."""


class Network:
    """Lays a network out: each method appends a layer that reads the one given (None: the input) and returns it.

    `activation` is what follows each batch normalization unless a layer is told otherwise; `input_shape` stands in for
    the spec's (H, W, C) where a network takes something else.
    """

    def __init__(self, spec: ModelSpec, activation: Activation = "relu6", input_shape: Shape | None = None) -> None:
        self._spec = spec
        self._activation = activation
        self._input_shape = input_shape or spec.input_shape
        self._layers: list[LayerSpec] = []

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """All layers so far, in execution order."""
        return tuple(self._layers)

    def conv(
        self,
        name: str,
        source: LayerSpec | None,
        filters: int,
        kernel: Kernel = (1, 1),
        stride: int = 1,
        *,
        groups: int = 1,
        activation: Activation | None = None,
    ) -> LayerSpec:
        """Convolution, batch normalization, activation; `groups` divides the channels of input and output."""
        channels = self._shape(source)[-1]
        assert channels % groups == filters % groups == 0, (
            f"{name}: {channels} to {filters} channels in {groups} groups"
        )
        shape = (*self._windowed(source, kernel, stride), filters)
        return self._add(
            name, "conv", [source], shape, kernel, stride, groups=groups, activation=activation, batch_norm=True
        )

    def depthwise(
        self,
        name: str,
        source: LayerSpec | None,
        kernel: Kernel = (3, 3),
        stride: int = 1,
        *,
        activation: Activation | None = None,
        batch_norm: bool = True,
    ) -> LayerSpec:
        """Depthwise convolution, one filter a channel; without `batch_norm` it has no activation and no bias either."""
        shape = (*self._windowed(source, kernel, stride), self._shape(source)[-1])
        act = activation if batch_norm else "none"
        return self._add(
            name, "depthwise", [source], shape, kernel, stride, activation=act, batch_norm=batch_norm, bias=batch_norm
        )

    def dense(
        self,
        name: str,
        source: LayerSpec | None,
        units: int,
        *,
        activation: Activation = "none",
        batch_norm: bool = False,
    ) -> LayerSpec:
        """Fully connected layer on a vector."""
        return self._add(name, "dense", [source], (units,), activation=activation, batch_norm=batch_norm)

    def max_pool(
        self, name: str, source: LayerSpec | None, size: int = 2, stride: int = 2, padding: Padding = "same"
    ) -> LayerSpec:
        """The largest value of each window."""
        return self._pool(name, "max_pool", source, size, stride, padding)

    def average_pool(
        self, name: str, source: LayerSpec | None, size: int = 2, stride: int = 2, padding: Padding = "same"
    ) -> LayerSpec:
        """The mean of each window."""
        return self._pool(name, "average_pool", source, size, stride, padding)

    def global_average_pool(self, name: str, source: LayerSpec) -> LayerSpec:
        """The mean of each channel: an image to a vector."""
        return self._add(name, "global_average_pool", [source], source.output_shape[-1:])

    def add(self, name: str, a: LayerSpec, b: LayerSpec, activation: Activation = "none") -> LayerSpec:
        """The sum of two layers of one shape."""
        assert a.output_shape == b.output_shape, f"{name}: {a.output_shape} and {b.output_shape}"
        return self._add(name, "add", [a, b], a.output_shape, activation=activation)

    def concat(self, name: str, sources: Sequence[LayerSpec]) -> LayerSpec:
        """The channels of all `sources` side by side."""
        rows, columns, _ = sources[0].output_shape
        return self._add(name, "concat", sources, (rows, columns, sum(s.output_shape[-1] for s in sources)))

    def split(self, name: str, source: LayerSpec, parts: int) -> list[LayerSpec]:
        """`parts` equal parts of the channels."""
        rows, columns, channels = source.output_shape
        assert channels % parts == 0, f"{name}: {channels} channels in {parts} parts"
        shape = (rows, columns, channels // parts)
        return [self._add(f"{name}_{i + 1}", "split", [source], shape, groups=parts, part=i) for i in range(parts)]

    def shuffle(self, name: str, source: LayerSpec, groups: int) -> LayerSpec:
        """Channel shuffle: channel ``i`` of group ``g`` becomes channel ``i * groups + g``."""
        assert source.output_shape[-1] % groups == 0, f"{name}: {source.output_shape[-1]} channels in {groups} groups"
        return self._add(name, "shuffle", [source], source.output_shape, groups=groups)

    def classifier(self, source: LayerSpec) -> tuple[LayerSpec, ...]:
        """Global average pooling, a dense layer to the classes, softmax: the end of most networks. All layers."""
        return self.head(self.global_average_pool("global_average", source))

    def head(self, source: LayerSpec) -> tuple[LayerSpec, ...]:
        """A dense layer from a vector to the classes, softmax. Returns all layers."""
        logits = self.dense(CLASSIFIER, source, self._spec.classes)
        self._add("softmax", "softmax", [logits], logits.output_shape)
        return self.layers

    def _pool(
        self, name: str, op: LayerOp, source: LayerSpec | None, size: int, stride: int, padding: Padding
    ) -> LayerSpec:
        shape = (*self._windowed(source, (size, size), stride, padding), self._shape(source)[-1])
        return self._add(name, op, [source], shape, (size, size), stride, padding=padding)

    def _windowed(
        self, source: LayerSpec | None, kernel: Kernel, stride: int, padding: Padding = "same"
    ) -> tuple[int, int]:
        """(rows, columns) after a window. InputTooSmallError where it has a stride over one pixel, or does not fit."""
        rows, columns, _ = self._shape(source)
        if stride > 1 and min(rows, columns) < 2:
            raise InputTooSmallError
        if padding == "same":
            return -(-rows // stride), -(-columns // stride)
        if rows < kernel[0] or columns < kernel[1]:
            raise InputTooSmallError
        return (rows - kernel[0]) // stride + 1, (columns - kernel[1]) // stride + 1

    def _shape(self, source: LayerSpec | None) -> Shape:
        return self._input_shape if source is None else source.output_shape

    def _add(
        self,
        name: str,
        op: LayerOp,
        sources: Sequence[LayerSpec | None],
        output_shape: Shape,
        kernel: Kernel = (1, 1),
        stride: int = 1,
        *,
        activation: Activation | None = "none",
        batch_norm: bool = False,
        bias: bool = True,
        padding: Padding = "same",
        groups: int = 1,
        part: int = 0,
    ) -> LayerSpec:
        assert name not in {layer.name for layer in self._layers}, f"two layers are called {name}"
        layer = LayerSpec(
            name,
            op,
            tuple(INPUT if source is None else source.name for source in sources),
            tuple(self._shape(source) for source in sources),
            output_shape,
            kernel,
            stride,
            batch_norm,
            self._activation if activation is None else activation,
            padding,
            groups,
            part,
            bias and not batch_norm,
        )
        self._layers.append(layer)
        return layer
