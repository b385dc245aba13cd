"""The .tflite reader survives any bytes: a graph or one sentence, never a traceback, in bounded time and memory."""

from __future__ import annotations

import contextlib
import resource
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import net_ops as more
from support.cases import TABLES
from support.net import Net
from support.tflite_schema import Code

from tinydeploy.codegen import generate
from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES
from tinydeploy.errors import TinydeployError
from tinydeploy.tflite import read_model

MUTATIONS = 10_000
SLOWEST_S = 5.0
MOST_MEMORY_KIB = 512 * 1024
INTERESTING = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Rng = np.random.Generator
Mutate = Callable[[bytearray, Rng], bytearray]


def small_network() -> bytes:
    net = Net(7)
    x = net.input((1, 8, 8, 3))
    a = net.conv(x, 4, stride=(2, 2))
    b = net.depthwise(a)
    c = net.add(a, net.conv(b, 4, (1, 1)))
    d = net.reshape(net.mean(net.pad(c, ((0, 0), (1, 1), (0, 1), (0, 0))), keep_dims=True), (1, 4))
    return net.done(net.softmax(net.fully_connected(d, 5)))


def branching_network() -> bytes:
    net = Net(8)
    a, b = more.split(net, net.input((1, 6, 6, 8)), 2)
    c = more.shuffle(net, more.concatenate(net, [a, b]), 2)
    d = more.binary(net, Code.MUL, c, more.unary(net, Code.LOGISTIC, net.mean(c, keep_dims=True)))
    return net.done(more.strided(net, more.unary(net, Code.HARD_SWISH, d), slice(None), slice(0, 6, 2), 0, slice(1, 5)))


def models() -> list[bytes]:
    """The networks above, thrice as likely as each of one model per operator."""
    return [small_network(), branching_network()] * 3 + [table[0].model() for table in TABLES.values()]


def truncate(data: bytearray, rng: Rng) -> bytearray:
    return data[: int(rng.integers(0, len(data)))]


def flip_bits(data: bytearray, rng: Rng) -> bytearray:
    for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
        data[at] ^= 1 << int(rng.integers(0, 8))
    return data


def random_bytes(data: bytearray, rng: Rng) -> bytearray:
    for at in rng.integers(0, len(data), int(rng.integers(1, 30))):
        data[at] = int(rng.integers(0, 256))
    return data


def change_word(data: bytearray, rng: Rng) -> bytearray:
    """Overwrite aligned 32-bit words, where offsets, lengths and sizes are."""
    for _ in range(int(rng.integers(1, 4))):
        at = 4 * int(rng.integers(0, len(data) // 4))
        old = struct.unpack_from("<I", data, at)[0]
        near = (old + int(rng.integers(-64, 65))) & 0xFFFFFFFF
        struct.pack_into("<I", data, at, int(rng.choice([*INTERESTING, near, near, near, len(data)])))
    return data


def change_half(data: bytearray, rng: Rng) -> bytearray:
    """Overwrite 16-bit entries, as vtables hold."""
    at = 2 * int(rng.integers(0, len(data) // 2))
    struct.pack_into("<H", data, at, int(rng.integers(0, 200)))
    return data


def cut_out(data: bytearray, rng: Rng) -> bytearray:
    at = int(rng.integers(0, len(data)))
    del data[at : at + int(rng.integers(1, 64))]
    return data


def insert(data: bytearray, rng: Rng) -> bytearray:
    at = int(rng.integers(0, len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 64)))
    return data


def noise(data: bytearray, rng: Rng) -> bytearray:
    """Random bytes behind a proper file identifier."""
    return bytearray(struct.pack("<I", int(rng.integers(0, 64))) + b"TFL3" + rng.bytes(int(rng.integers(0, 400))))


MUTATIONS_BY_KIND: tuple[Mutate, ...] = (
    truncate,
    flip_bits,
    flip_bits,
    random_bytes,
    change_word,
    change_word,
    change_word,
    change_half,
    cut_out,
    insert,
    noise,
)


def survives(data: bytes) -> bool:
    """Whether the bytes were read; anything but a graph or an expected error fails the test."""
    start = time.monotonic()
    try:
        read_model(data, "fuzz")
        read = True
    except TinydeployError as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1000, message
        read = False
    assert time.monotonic() - start < SLOWEST_S
    return read


def fuzz(originals: list[bytes], count: int, seed: int) -> int:
    """How many of `count` seeded mutations were still read as a model."""
    rng = np.random.default_rng(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = 0
    for i in range(count):
        data = bytearray(originals[int(rng.integers(len(originals)))])
        mutate = MUTATIONS_BY_KIND[int(rng.integers(len(MUTATIONS_BY_KIND)))]
        mutated = bytes(mutate(data, rng))
        try:
            read += survives(mutated)
        except BaseException:
            kept = Path(tempfile.gettempdir()) / f"tinydeploy-fuzz-{seed}-{i}.tflite"
            kept.write_bytes(mutated)
            print(f"the mutated model is {kept}")
            raise
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY_KIB
    return read


def test_unmutated_models_are_read() -> None:
    assert all(survives(model) for model in models())


def test_mutated_models_give_a_graph_or_one_sentence() -> None:
    read = fuzz(models(), MUTATIONS, 1)
    # Both ends are reached: damage that is noticed, and damage (to weights, say) that leaves a valid model.
    assert MUTATIONS // 20 < read < MUTATIONS * 19 // 20


def test_mutated_models_that_are_read_also_compile() -> None:
    rng = np.random.default_rng(3)
    originals, compiled = models(), 0
    for _ in range(1000):
        data = bytearray(originals[int(rng.integers(len(originals)))])
        mutated = bytes(MUTATIONS_BY_KIND[int(rng.integers(len(MUTATIONS_BY_KIND)))](data, rng))
        start = time.monotonic()
        with contextlib.suppress(TinydeployError):
            generate(compile_graph(read_model(mutated, "fuzz"), CORES["m4"]))
            compiled += 1
        assert time.monotonic() - start < SLOWEST_S
    assert compiled > 20


def test_mutations_of_the_reference_models(shared_models: list[Path]) -> None:
    fuzz([path.read_bytes() for path in shared_models], 1000, 2)


@pytest.mark.parametrize("data", [b"", b"\0", b"TFL3", b"\0" * 8, b"\x10\0\0\0TFL3", b"\xff" * 64, b"# text\n" * 9])
def test_files_that_are_not_models_are_refused(data: bytes) -> None:
    assert not survives(data)


def test_every_truncation_of_a_small_model_is_refused_or_read() -> None:
    model = TABLES["softmax"][0].model()
    read = [survives(model[:end]) for end in range(len(model))]
    assert not any(read[:-16])
