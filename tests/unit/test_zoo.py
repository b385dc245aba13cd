"""The zoo: the papers' figures, the arithmetic before training, and Keras models that agree with their description."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from tinydeploy import zoo
from tinydeploy.errors import UsageError
from tinydeploy.zoo import LayerSpec, ModelSpec

V1 = ModelSpec("mobilenet_v1", 1.0, 224, 3, 1000)
SMALL = ModelSpec("mobilenet_v1", 0.25, 48, 1, 10)


def share(part: list[LayerSpec], whole: tuple[LayerSpec, ...], figure: str) -> float:
    return sum(getattr(x, figure) for x in part) / sum(getattr(x, figure) for x in whole)


def test_mobilenet_v1_has_the_layers_parameters_and_macs_of_its_paper() -> None:
    layers = zoo.describe(V1)
    total = zoo.footprint(layers)
    assert sum(layer.weights > 0 for layer in layers) == 28
    assert round(total.macs / 1e6) == 569
    assert round(total.parameters / 1e6, 1) == 4.2


def test_mobilenet_v1_spends_its_effort_in_pointwise_convolutions() -> None:
    """Table 2 of the paper: 94.86 % of the MACs and 74.59 % of the parameters."""
    layers = zoo.describe(V1)
    pointwise = [layer for layer in layers if layer.op == "conv" and layer.kernel == (1, 1)]
    assert share(pointwise, layers, "macs") == pytest.approx(0.9486, abs=0.0005)
    assert share(pointwise, layers, "parameters") == pytest.approx(0.7459, abs=0.002)


def test_the_width_multiplier_thins_every_layer() -> None:
    """The paper's table 6: 4.2, 2.6, 1.3 and 0.5 M parameters, 569, 325, 149 and 41 M MACs."""
    totals = [zoo.footprint(zoo.describe(dataclasses.replace(V1, alpha=alpha))) for alpha in (1.0, 0.75, 0.5, 0.25)]
    assert [round(total.parameters / 1e6, 1) for total in totals] == [4.2, 2.6, 1.3, 0.5]
    assert [round(total.macs / 1e6) for total in totals] == [569, 325, 149, 41]


def test_the_resolution_multiplier_changes_macs_but_no_parameters() -> None:
    """The paper's table 7: 569, 418, 290 and 186 M MACs at 224, 192, 160 and 128 pixels."""
    totals = [zoo.footprint(zoo.describe(dataclasses.replace(V1, input_size=size))) for size in (224, 192, 160, 128)]
    assert [total.macs / 1e6 for total in totals] == pytest.approx([569, 418, 290, 186], abs=1)
    assert len({total.parameters for total in totals}) == 1


def test_peak_activation_memory_is_the_largest_pair_of_live_tensors() -> None:
    """At 48 pixels and alpha 0.25 the first pointwise convolution reads 24x24x8 and writes 24x24x16."""
    total = zoo.footprint(zoo.describe(SMALL))
    assert (total.peak_layer, total.activation_bytes) == ("conv_pw_1", 24 * 24 * (8 + 16))


def test_peak_activation_memory_counts_what_a_later_layer_still_reads() -> None:
    def layer(name: str, inputs: tuple[str, ...], in_bytes: tuple[int, ...], out_bytes: int) -> LayerSpec:
        return LayerSpec(name, "softmax", inputs, tuple((n,) for n in in_bytes), (out_bytes,))

    shortcut = (
        layer("a", ("input",), (10,), 100),
        layer("b", ("a",), (100,), 5),
        layer("c", ("b",), (5,), 50),
        layer("d", ("c", "a"), (50, 100), 1),
    )
    assert zoo.footprint(shortcut).activation_bytes == 100 + 5 + 50
    assert zoo.footprint(shortcut).peak_layer == "c"


@pytest.mark.parametrize("alpha", [0.0, -0.25, 1.01, float("nan"), float("inf")])
def test_an_alpha_out_of_range_is_refused_in_a_sentence(alpha: float) -> None:
    with pytest.raises(UsageError, match=r"--alpha .* out of range; choose"):
        ModelSpec("mobilenet_v1", alpha, 48, 1, 10)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"input_size": 0}, "--input-size 0 is out of range"),
        ({"channels": 2}, "2 channels are not supported; choose 1"),
        ({"classes": 1}, "at least 2 classes"),
    ],
)
def test_other_values_out_of_range_are_refused_in_a_sentence(change: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        dataclasses.replace(SMALL, **change)


def test_an_input_that_the_strides_use_up_names_the_smallest_that_works() -> None:
    with pytest.raises(UsageError, match=r"cannot take 16x16 pixels.*choose --input-size 17 or more"):
        zoo.describe(dataclasses.replace(SMALL, input_size=16))
    assert zoo.describe(dataclasses.replace(SMALL, input_size=17))


def test_an_unknown_architecture_comes_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"unknown architecture 'mobilenetv1'; did you mean 'mobilenet_v1'\?"):
        zoo.describe(dataclasses.replace(SMALL, arch="mobilenetv1"))


def test_a_very_thin_network_keeps_one_channel_a_layer() -> None:
    assert min(min(layer.output_shape) for layer in zoo.describe(dataclasses.replace(SMALL, alpha=0.001))) == 1


def test_describing_networks_needs_no_tensorflow() -> None:
    script = (
        "import sys; from tinydeploy import zoo;"
        "[zoo.describe(zoo.ModelSpec(arch, 0.5, 64, 3, 10)) for arch in zoo.architectures()];"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("arch", sorted(zoo.architectures()))
@pytest.mark.parametrize(("alpha", "size", "channels"), [(0.25, 48, 1), (0.1, 33, 3), (1.0, 32, 1)])
def test_the_keras_model_is_the_one_described(arch: str, alpha: float, size: int, channels: int) -> None:
    spec = ModelSpec(arch, alpha, size, channels, 7)
    layers = zoo.describe(spec)
    model = zoo.build(spec, softmax=True)
    assert sum(int(weight.shape.num_elements()) for weight in model.trainable_weights) == sum(
        layer.parameters for layer in layers
    )
    for layer in layers:
        assert model.get_layer(layer.name).output.shape[1:] == layer.output_shape, layer.name


def test_the_full_keras_model_has_the_papers_parameters() -> None:
    model = zoo.build(V1)
    assert sum(int(weight.shape.num_elements()) for weight in model.trainable_weights) == 4_231_976


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    spec = dataclasses.replace(SMALL, alpha=0.1, input_size=17)
    first, again, other = (zoo.build(spec, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
