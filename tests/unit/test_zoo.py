"""The zoo: the papers' figures, the arithmetic before training, and Keras models that agree with their description."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

from tinydeploy import zoo
from tinydeploy.errors import UsageError
from tinydeploy.zoo import LayerSpec, ModelSpec
from tinydeploy.zoo._network import Network
from tinydeploy.zoo.inception import Branches, module_v1

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


@pytest.mark.parametrize(
    ("spec", "million_macs", "thousand_parameters"),
    [
        # MobileNetV2, table 4: 300 M MACs and 3.4 M parameters; Keras's own count is 3,504,872.
        (ModelSpec("mobilenet_v2", 1.0, 224, 3, 1000), 300.8, 3504.9),
        # ShuffleNet, table 2 (143, 140, 137, 133 and 137 M MACs).
        (ModelSpec("shufflenet_v1", 1.0, 224, 3, 1000, (("groups", "1"),)), 143.1, None),
        (ModelSpec("shufflenet_v1", 1.0, 224, 3, 1000, (("groups", "3"),)), 137.5, None),
        (ModelSpec("shufflenet_v1", 1.0, 224, 3, 1000, (("groups", "8"),)), 138.4, None),
        # ShuffleNet V2, table 8: 146 M MACs, 2.3 M parameters.
        (ModelSpec("shufflenet_v2", 1.0, 224, 3, 1000), 144.9, 2278.6),
        # ResNet, table 6: 0.27 M parameters for 20 layers. MLPerf Tiny's ResNet-8: 12.5 M MACs, 78 k parameters.
        (ModelSpec("resnet", 1.0, 32, 3, 10, (("depth", "20"),)), 40.8, 272.5),
        (ModelSpec("resnet", 1.0, 32, 3, 10), 12.5, 78.0),
        # MLPerf Tiny's keyword spotting and anomaly detection.
        (ModelSpec("ds_cnn", 1.0, 49, 1, 12, input_width=10), 2.66, 23.2),
        (ModelSpec("autoencoder", 1.0, 640, 1, 2), 0.264, 266.9),
    ],
    ids=lambda value: value.name if isinstance(value, ModelSpec) else "",
)
def test_the_papers_macs_and_parameters(
    spec: ModelSpec, million_macs: float, thousand_parameters: float | None
) -> None:
    total = zoo.footprint(zoo.describe(spec))
    assert total.macs / 1e6 == pytest.approx(million_macs, rel=0.005)
    if thousand_parameters is not None:
        assert total.parameters / 1e3 == pytest.approx(thousand_parameters, rel=0.001)


def test_the_inception_module_on_28x28x192_has_the_papers_weights() -> None:
    """Module 3a of GoogLeNet: 387,072 weights side by side, 163,328 once 1x1 convolutions come before 3x3 and 5x5."""
    weights = []
    for reduction in (False, True):
        net = Network(ModelSpec("inception", 1.0, 28, 3, 10), input_shape=(28, 28, 192))
        joined = module_v1(net, "3a", None, Branches(64, 96, 128, 16, 32, 32), reduction=reduction)
        assert joined.output_shape == (28, 28, 256 if reduction else 64 + 128 + 32 + 192)
        weights.append(sum(layer.weights for layer in net.layers))
    assert weights == [387_072, 163_328]


def test_mobilenet_v2_against_v1_at_equal_macs() -> None:
    """V2 at 1.0 and V1 at 0.75 come nearest (300 and 325 M MACs, tables 4 of both papers). What must be kept between
    V2's blocks is a quarter of V1's largest tensor at 112x112 (table 3: 400 and 1,600 KB of halfwords)."""
    v1, v2 = zoo.describe(dataclasses.replace(V1, alpha=0.75)), zoo.describe(ModelSpec("mobilenet_v2", 1, 224, 3, 1000))
    macs_v1, macs_v2 = zoo.footprint(v1).macs, zoo.footprint(v2).macs
    assert 0.92 < macs_v2 / macs_v1 < 0.93
    narrow = max(layer.output_bytes for layer in v2 if layer.name.endswith(("_project", "_add")))
    wide = max(layer.output_bytes for layer in zoo.describe(V1))
    assert (2 * narrow // 1000, 2 * wide // 1000) == (401, 1605)


def test_linear_bottlenecks_and_residuals_can_be_turned_off() -> None:
    spec = ModelSpec("mobilenet_v2", 0.35, 32, 3, 10)
    layers = zoo.describe(spec)
    bare = zoo.describe(dataclasses.replace(spec, options=(("residual", "off"), ("linear-bottleneck", "off"))))
    assert [layer.name for layer in layers if layer.op == "add"] == [
        f"block_{number}_add" for number in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
    ]
    assert not any(layer.op == "add" for layer in bare)
    assert {layer.activation for layer in layers if layer.name.endswith("_project")} == {"none"}
    assert {layer.activation for layer in bare if layer.name.endswith("_project")} == {"relu6"}
    assert zoo.footprint(layers).macs == zoo.footprint(bare).macs


def test_grouped_convolutions_have_a_share_of_the_weights() -> None:
    dense, grouped = (
        next(
            layer
            for layer in zoo.describe(ModelSpec("resnext", 1.0, 32, 3, 10, (("cardinality", cardinality),)))
            if layer.name == "stage1_1_grouped"
        )
        for cardinality in ("1", "4")
    )
    assert dense.weights == 16 * 16 * 9 == 4 * grouped.weights
    assert grouped.title == "conv 3x3 g4"


def forms(arch: str) -> list[tuple[tuple[str, str], ...]]:
    """Every value of every option; of ResNet's depths, those that its kind of block divides."""
    if arch == "resnet":
        return [(("depth", "20"),), (("depth", "20"), ("bottleneck", "on"))]
    return [(), *(((option.name, v),) for option in zoo.architecture(arch).options for v in option.choices)]


@pytest.mark.parametrize("arch", sorted(zoo.architectures()))
def test_widths_and_sizes_are_free(arch: str) -> None:
    """Any alpha, thin or odd, and any size from the smallest on, with every value of every option."""
    for options in forms(arch):
        for alpha in (0.01, 0.37, 1.0):
            for size in (33, 64):
                layers = zoo.describe(ModelSpec(arch, alpha, size, 3, 10, options))
                assert all(min(layer.output_shape) >= 1 for layer in layers)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (ModelSpec("resnet", 1, 32, 3, 10, (("dpth", "20"),)), "has no option --dpth; did you mean 'depth'?"),
        (ModelSpec("mobilenet_v1", 1, 32, 3, 10, (("depth", "20"),)), "has no option --depth; it has no options"),
        (ModelSpec("resnext", 1, 32, 3, 10, (("x", "1"),)), "its options are --depth, --cardinality"),
        (ModelSpec("resnet", 1, 32, 3, 10, (("depth", "12"),)), "--depth 12 is not for resnet; choose from 8, 11"),
        (
            ModelSpec("resnet", 1, 32, 3, 10, (("bottleneck", "on"),)),
            "--depth 8 does not divide into three stages with --bottleneck on; choose from 11, 20",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, ModelSpec) else "",
)
def test_options_that_do_not_exist_are_refused_in_a_sentence(spec: ModelSpec, sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        zoo.describe(spec)


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


def keras_specs() -> list[ModelSpec]:
    """Every architecture once, tiny, and the forms of options that lay layers out in other ways."""
    tiny = [ModelSpec(name, 0.1, 20, 3, 7) for name in zoo.architectures() if name != "mobilenet_v1"]
    sizes = ((0.25, 48, 1), (0.1, 33, 3), (1.0, 32, 1))
    return [
        *(ModelSpec("mobilenet_v1", alpha, size, channels, 7) for alpha, size, channels in sizes),
        *tiny,
        ModelSpec("resnet", 0.1, 12, 1, 7, (("bottleneck", "on"), ("depth", "11"))),
        ModelSpec("mobilenet_v2_compact", 0.1, 12, 1, 7, (("residual", "off"), ("linear-bottleneck", "off"))),
        *(ModelSpec("inception", 0.1, 12, 1, 7, (("module", version),)) for version in ("v3", "resnet")),
    ]


@pytest.mark.parametrize("spec", keras_specs(), ids=lambda spec: spec.name)
def test_the_keras_model_is_the_one_described(spec: ModelSpec) -> None:
    layers = zoo.describe(spec)
    model = zoo.build(spec, softmax=True)
    assert sum(int(weight.shape.num_elements()) for weight in model.trainable_weights) == sum(
        layer.parameters for layer in layers
    )
    assert model.output.shape[1:] == layers[-1].output_shape
    for layer in layers:
        if layer.op != "split":  # an operator of Keras, not a layer
            assert model.get_layer(layer.name).output.shape[1:] == layer.output_shape, layer.name


def test_the_full_keras_model_has_the_papers_parameters() -> None:
    model = zoo.build(V1)
    assert sum(int(weight.shape.num_elements()) for weight in model.trainable_weights) == 4_231_976


def test_fresh_weights_depend_on_the_seed_alone() -> None:
    spec = dataclasses.replace(SMALL, alpha=0.1, input_size=17)
    first, again, other = (zoo.build(spec, seed=seed).get_weights() for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
