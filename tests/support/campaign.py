"""Random networks through TFLite Micro, sanitized host C and bare virtual cores: who differs, on what, first where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.compiled import Unit, build_core, build_host, make_unit
from support.strategies import Network
from support.tflite_writer import Model
from tinydeploy.cores import CORES
from tinydeploy.errors import TinydeployError
from tinydeploy.oracle import Oracle
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

HOST_PORTABLE, HOST_DSP, REFERENCE = "host C, portable", "host C, DSP kernels", "numpy reference"
COMPILING = "compiling"


@dataclass(frozen=True, slots=True)
class Difference:
    """One network that one way of running it got wrong; `detail` says what, in a line or a few."""

    name: str
    where: str
    detail: str


def check(
    networks: Sequence[tuple[str, Network]], oracle: Oracle, folder: Path, cores: Iterable[str]
) -> list[Difference]:
    """Run all networks everywhere and compare; `folder` holds the builds."""
    cores = tuple(cores)
    found: list[Difference] = []
    usable: list[tuple[str, Network, NDArray[np.uint8]]] = []
    units: list[dict[str | None, Unit]] = []
    for name, network in networks:
        try:
            want = oracle.run(network.data, network.inputs)
            read_model(network.data, name)
        except TinydeployError as error:
            found.append(Difference(name, "reading", f"{type(error).__name__}: {error}"))
            continue
        found += _reference(name, network, want)
        try:
            made = {core: make_unit(name, network.data, CORES[core] if core else None) for core in (None, "m4", *cores)}
        except Exception as error:  # whatever it is, a compiler that fails is a finding
            found.append(Difference(name, COMPILING, f"{type(error).__name__}: {error}"))
            continue
        usable.append((name, network, _bytes(want, len(network.inputs))))
        units.append(made)
    found += _compare(HOST_PORTABLE, [made[None] for made in units], usable, folder / "host")
    # Networks without a DSP kernel compile to the same files again.
    other = [i for i, made in enumerate(units) if set(made[None].files) != set(made["m4"].files)]
    found += _compare(HOST_DSP, [units[i]["m4"] for i in other], [usable[i] for i in other], folder / "dsp")
    for core in cores:
        found += _compare(core, [made[core] for made in units], usable, folder / core)
    return found


def _bytes(outputs: NDArray[Any], count: int) -> NDArray[np.uint8]:
    return np.frombuffer(np.ascontiguousarray(outputs).tobytes(), np.uint8).reshape(count, -1)


def _reference(name: str, network: Network, want: NDArray[Any]) -> list[Difference]:
    graph = read_model(network.data, name)
    for i, values in enumerate(network.inputs):
        got = run_graph(graph, values)[graph.output]
        if not np.array_equal(got.reshape(-1), want[i].reshape(-1)):
            return [Difference(name, REFERENCE, f"input {i}")]
    return []


def _compare(
    where: str, units: Sequence[Unit], networks: Sequence[tuple[str, Network, NDArray[np.uint8]]], folder: Path
) -> list[Difference]:
    if not units:
        return []
    try:
        build = build_core(units, CORES[where], folder) if where in CORES else build_host(units, folder)
        results = build.run([network.inputs for _, network, _ in networks])
    except AssertionError as error:
        if len(units) == 1:
            return [Difference(units[0].id, where, str(error))]
        # One of them breaks the build or the run: find it alone.
        halves = (slice(None, len(units) // 2), slice(len(units) // 2, None))
        parts = [_compare(where, units[h], networks[h], folder / f"half{n}") for n, h in enumerate(halves)]
        return [difference for part in parts for difference in part]
    found = []
    for (name, _, want), got in zip(networks, results, strict=True):
        if not np.array_equal(got, want):
            row, column = np.argwhere(got != want)[0]
            detail = f"input {row}, byte {column}: expected {want[row, column]}, got {got[row, column]}"
            found.append(Difference(name, where, detail))
    return found


def minimize(network: Network, where: str, oracle: Oracle, folder: Path) -> Network:
    """The shortest prefix of `network` that still differs at `where`, without the operators that it does not need."""
    for length in range(1, len(network.description.ops) + 1):
        shorter = replace(network, description=prefix(network.description, length))
        cores = [where] if where in CORES else []
        if any(d.where == where for d in check([("minimal", shorter)], oracle, folder / f"prefix{length}", cores)):
            return shorter
    return network


def prefix(model: Model, length: int) -> Model:
    """The model that ends with operator `length` - 1, which keeps only what that one needs."""
    last = model.ops[length - 1]
    needed, kept = set(last.outputs), []
    for op in reversed(model.ops[:length]):
        if needed & set(op.outputs):
            needed |= set(op.inputs)
            kept.append(op)
    return replace(model, ops=kept[::-1], outputs=list(last.outputs))


def describe(network: Network) -> str:
    """The network as a list of operators with shapes and quantization."""
    tensors = network.description.tensors
    lines = []
    for op in network.description.ops:
        ends = []
        for index in (*op.inputs, *op.outputs):
            tensor = tensors[index]
            quant = tensor.quant
            numbers = f" scale {quant.scales[:3]} zero {quant.zero_points[:1]}" if quant is not None else ""
            kind = " constant" if tensor.data is not None else ""
            ends.append(f"    t{index} {tensor.dtype}{list(tensor.shape)}{kind}{numbers}")
        lines.append("\n".join([f"{op.code.name} {op.options}", *ends]))
    return "\n".join(lines)
