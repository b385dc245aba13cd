"""Random networks: the numpy reference under Hypothesis, and a seeded part of the campaign in C."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.campaign import COMPILING, REFERENCE, check, describe, minimize, prefix
from support.compiled import build_host, unit_of
from support.strategies import Network, networks, seeded_network
from support.tflite_schema import Code

from tinydeploy.compiler import compile_graph
from tinydeploy.cores import CORES, VIRTUAL_CORES
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.oracle import Oracle
from tinydeploy.reference import run_graph
from tinydeploy.tflite import read_model

CAMPAIGN_NETWORKS = 100
BATCH = 25


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=networks())
def test_reference_equals_tflm_on_any_network(oracle: Oracle, network: Network) -> None:
    graph = read_model(network.data, "random")
    want = oracle.run(network.data, network.inputs)
    for values, expected in zip(network.inputs, want, strict=True):
        np.testing.assert_array_equal(run_graph(graph, values)[graph.output].reshape(-1), expected.reshape(-1))


@pytest.mark.parametrize("first", range(0, CAMPAIGN_NETWORKS, BATCH))
def test_campaign_finds_no_difference(first: int, oracle: Oracle, tmp_path: Path) -> None:
    cores = list(VIRTUAL_CORES) if importlib.util.find_spec("unicorn") else []
    batch = [(f"seed {seed}", seeded_network(seed)) for seed in range(first, first + BATCH)]
    found = check(batch, oracle, tmp_path, cores)
    assert not found, "\n".join(f"{d.name}, {d.where}: {d.detail}\n{describe(dict(batch)[d.name])}" for d in found)


def test_row_chains_equal_tflm(oracle: Oracle, tmp_path: Path) -> None:
    units, inputs, expected = [], [], []
    joined: set[str] = set()
    for seed in range(2060, 2140):
        network = seeded_network(seed)
        for core in (None, CORES["m4"]):
            program = compile_graph(read_model(network.data, f"seed {seed}"), core, optimize="ram")
            chains = [step.op for step in program.steps if isinstance(step.op, RowChain)]
            if chains:
                joined |= {type(op).__name__ for chain in chains for op in chain.ops}
                units.append(unit_of(program, f"seed {seed}, {core.name if core else 'any core'}"))
                inputs.append(network.inputs)
                expected.append(oracle.run(network.data, network.inputs).reshape(len(network.inputs), -1))
    assert joined >= {"Conv2D", "DepthwiseConv2D", "Add", "ChannelGather", "Lookup"}
    for unit, got, want in zip(units, build_host(units, tmp_path).run(inputs), expected, strict=True):
        np.testing.assert_array_equal(got, want.view(np.uint8), err_msg=unit.id)


def test_networks_are_varied() -> None:
    made = [seeded_network(seed).description for seed in range(CAMPAIGN_NETWORKS)]
    codes = {op.code for model in made for op in model.ops}
    wanted = "ADD AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D DEQUANTIZE FULLY_CONNECTED"
    wanted += " MAX_POOL_2D MEAN PAD QUANTIZE RESHAPE SOFTMAX CONCATENATION SPLIT SPLIT_V STRIDED_SLICE TRANSPOSE"
    wanted += " RESIZE_NEAREST_NEIGHBOR RELU RELU6 LEAKY_RELU HARD_SWISH LOGISTIC TANH MUL SUB MAXIMUM MINIMUM"
    assert {code.name for code in codes} == set(wanted.split())
    readers = [sum(t in op.inputs for op in model.ops) for model in made for t in range(len(model.tensors))]
    assert max(readers) > 1
    assert max(len(model.ops) for model in made) >= 8


def test_a_compiler_that_fails_is_a_finding(oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise AssertionError("broken pass")

    monkeypatch.setattr("support.campaign.make_unit", fail)
    (found,) = check([("one", seeded_network(0))], oracle, tmp_path, ["m4"])
    assert (found.name, found.where, found.detail) == ("one", COMPILING, "AssertionError: broken pass")


def test_a_difference_is_cut_down_to_the_operators_it_needs(oracle: Oracle, tmp_path: Path) -> None:
    network = next(
        n for n in map(seeded_network, range(100)) if sum(op.code is Code.ADD for op in n.description.ops) > 1
    )
    ops = network.description.ops
    index = next(i for i, op in enumerate(ops) if op.code is Code.ADD)
    cut = prefix(network.description, index + 1)
    assert cut.ops[-1] == ops[index]
    assert set(cut.outputs) == set(ops[index].outputs)
    needed = {tensor for op in cut.ops for tensor in op.inputs} | set(cut.outputs)
    assert all(set(op.outputs) & needed for op in cut.ops)
    assert not check([("cut", Network(cut, network.inputs))], oracle, tmp_path, [])
    # Nothing differs here, so nothing can be cut away.
    assert minimize(network, REFERENCE, oracle, tmp_path / "minimize") is network
