"""Generated C: what names and numbers of a model become, that nothing in them can break out of its place."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.net import Net

from tinydeploy.codegen import Sources, generate
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.tflite import read_model
from tinydeploy.toolchain import find_zig

NASTY = (
    '"; int broken(void) { return 1; } "',
    "*/ #error out of the comment /*",
    "a\nb\r\tc\\",
    "what???/ ??= %s %n",
    "naïve Größe 漢字",
    "",
)


def model(seed: int = 1, names: tuple[str, ...] = ()) -> bytes:
    net = Net(seed)
    x = net.input((1, 5, 5, 2))
    a = net.conv(x, 4)
    b = net.conv(a, 4)
    net.done(net.fully_connected(net.mean(net.add(a, b)), 3))
    tensors = net.model.tensors
    for at, name in enumerate(names):
        tensors[at] = dataclasses.replace(tensors[at], name=name)
    return net.model.to_bytes()


def sources(data: bytes, name: str = "test", classes: tuple[str, ...] | None = None, core: str = "m4") -> Sources:
    return generate(compile_graph(read_model(data, name), CORES[core]), classes)


def test_names_of_a_model_stay_names(tmp_path: Path) -> None:
    """Layer and class names are anybody's text; the compiler must see comments and strings, and no warning."""
    data = model(names=tuple(f"{name}/layer" for name in NASTY) * 2)
    made = sources(data, 'evil "name" */', NASTY)
    for name, text in made.files.items():
        (tmp_path / name).write_text(text)
    zig = find_zig()
    assert zig is not None
    flags = [
        "-target",
        "thumb-freestanding-eabihf",
        "-mcpu=cortex_m4",
        "-std=c11",
        "-ffreestanding",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
    ]
    for name in ("model.c", "model_data.c"):
        subprocess.run([zig, "cc", *flags, name, "-o", f"{name}.o"], cwd=tmp_path, check=True)
    assert "broken" not in re.sub(r'"(\\.|[^"\\])*"|/\*.*?\*/', "", made.files["model.h"] + made.files["model.c"])
    assert json.loads(json.dumps(made.manifest))["classes"] == list(NASTY)


def test_the_header_states_the_edges() -> None:
    data = model()
    graph = read_model(data, "test")
    header = sources(data, classes=("a", "b", "c")).files["model.h"]
    defines = dict(re.findall(r"^#define (MODEL_\w+) (\S.*)$", header, re.MULTILINE))
    source, output = graph.tensors[graph.input], graph.tensors[graph.output]
    assert int(defines["MODEL_INPUT_BYTES"]) == source.size_bytes
    assert int(defines["MODEL_OUTPUT_BYTES"]) == output.size_bytes
    assert int(defines["MODEL_INPUT_ZERO_POINT"].strip("()")) == source.quantization.zero_point
    assert np.float32(defines["MODEL_INPUT_SCALE"].rstrip("f")) == np.float32(source.quantization.scale)
    assert np.float32(defines["MODEL_OUTPUT_SCALE"].rstrip("f")) == np.float32(output.quantization.scale)
    assert int(defines["MODEL_CLASS_COUNT"]) == 3
    assert graph.sha256 in header


def test_the_fingerprint_covers_every_weight() -> None:
    data = model()
    graph = read_model(data, "test")
    changed = bytearray(data)
    weights = next(op.weights for op in graph.ops if op.kind == "FULLY_CONNECTED").tobytes()  # type: ignore[attr-defined]
    changed[data.index(weights)] ^= 1
    first, second = sources(data), sources(bytes(changed))
    assert first.manifest["fingerprint"] != second.manifest["fingerprint"]
    assert first.manifest["fingerprint"][:16] in first.files["model.h"]
    assert first.manifest["fingerprint"] == sources(data).manifest["fingerprint"]


def test_the_fingerprint_covers_the_core() -> None:
    assert (
        sources(model(), core="m4").manifest["fingerprint"] != sources(model(), core="m0plus").manifest["fingerprint"]
    )


@pytest.mark.parametrize("core", CORES)
def test_steps_of_the_manifest_are_functions_of_the_sources(core: str) -> None:
    made = sources(model(), core=core)
    steps = made.manifest["steps"]
    assert [step["index"] for step in steps] == list(range(len(steps)))
    assert len({step["symbol"] for step in steps}) == len(steps)
    everything = "".join(made.files.values())
    for step in steps:
        assert re.search(rf"\bvoid {step['symbol']}\(void\)", made.files["model.c"])
        for kernel in step["kernels"]:
            assert re.search(rf"\bvoid {kernel}\(", everything)
        assert all(f" {array}[" in made.files["model_data.c"] for array in step["arrays"])
    calls = re.findall(r"\b(model_step_\w+)\(\);", made.files["model.c"])
    assert calls[: len(steps)] == [step["symbol"] for step in steps]


def test_the_least_int32_is_written_as_c_can_read_it() -> None:
    """-2147483648 is no int literal of C: the minus applies to a number that does not fit."""
    net = Net(1)
    x = net.input((1, 4))
    out = net.fully_connected(x, 2, bias="low", weights="minus128")
    text = sources(net.done(out)).files["model_data.c"]
    assert "-2147483648" not in text


def test_equal_layers_share_one_function() -> None:
    net = Net(1)
    x = net.input((1, 6, 6, 4), scale=0.1, zero_point=0)
    for _ in range(3):
        x = net.conv(x, 4, scale=0.1, zero_point=0, gain=0.3)
    made = sources(net.done(x), core="m0plus")
    assert len({step["symbol"] for step in made.manifest["steps"]}) == 3
    assert len({tuple(step["kernels"]) for step in made.manifest["steps"]}) == 1
