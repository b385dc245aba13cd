"""A model for TensorFlow Lite Micro's interpreter, as sources behind the same interface as compiled code.

The .tflite goes in as a constant, the op resolver is generated from its operators, and each operator is a step, so that
bench, the link and the virtual board work as they do with compiled code. Nothing of TFLM is in this project: the user's
own tree is linked (tflm_tree.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinydeploy import __version__
from tinydeploy.boards import Board
from tinydeploy.calls import identifier
from tinydeploy.codegen import Sources, add_header, edge, render
from tinydeploy.graph import Graph
from tinydeploy.manifest import manifest_tensor
from tinydeploy.resources import resource_dir
from tinydeploy.tflm_tree import TflmTree

_MODEL_FILES = ("model_tflite.c", "model_tflite.h", "model_tflm.cc")
# Methods of MicroMutableOpResolver that are not the schema's name in title case.
_METHODS = {"PADV2": "AddPadV2"}


@dataclass(frozen=True, slots=True)
class Arena:
    """The interpreter's arena: its size and, once that is known, where in it the input lies. Both are found out by a
    firmware with all the arena there is, on the virtual board."""

    size_bytes: int
    input_offset: int | None = None

    @property
    def measured(self) -> bool:
        """Whether this is what that firmware has answered."""
        return self.input_offset is not None


def resolver_method(kind: str) -> str:
    """The method of MicroMutableOpResolver that adds the operator `kind`: CONV_2D is AddConv2D."""
    return _METHODS.get(kind, "Add" + "".join(word.title() for word in kind.split("_")))


def tflm_sources(
    graph: Graph, kinds: Sequence[str], data: bytes, tree: TflmTree, arena: Arena, board: Board
) -> Sources:
    """The files and the manifest of the .tflite `data`, whose operators in order are `kinds`.

    `graph` is what the compiler reads in it: names, shapes and multiply-accumulates come from there.
    """
    steps = [_step(number, kind, graph) for number, kind in enumerate(kinds)]
    source, target = graph.tensors[graph.input], graph.tensors[graph.output]
    context: dict[str, Any] = {
        "name": graph.name,
        "version": __version__,
        "target": f"TensorFlow Lite Micro on a {board.core.title}",
        "sha256": graph.sha256,
        "library_sha256": tree.library_sha256,
        "arena_bytes": arena.size_bytes,
        "measures": not arena.measured,
        "macs": graph.macs,
        "classes": [],
        "steps": steps,
        "input": edge(source, arena.input_offset),
        "output": edge(target, None),
        "streamed": False,
        "resolver": sorted({resolver_method(kind) for kind in kinds}),
        "tflite_bytes": len(data),
        "rows": [", ".join(map(str, data[at : at + 16])) for at in range(0, len(data), 16)],
    }
    files = {
        "model/model_debug.h": render("model/model_debug.h.j2", context),
        **{f"model/{name}": render(f"tflm/{name}.j2", context) for name in _MODEL_FILES},
        "firmware/tflm_steps.cc": render("tflm/tflm_steps.cc.j2", context),
        "firmware/tflm_steps.h": (resource_dir("firmware_templates") / "tflm" / "tflm_steps.h").read_text(),
    }
    fingerprint = add_header(files, context, "model/model.h")
    manifest = {
        "runtime": "tflm",
        "tflm": {
            "library": tree.library,
            "library_sha256": tree.library_sha256,
            "includes": list(tree.includes),
            "has_messages": tree.has_messages,
        },
        "tool_version": __version__,
        "model_name": graph.name,
        "model_sha256": graph.sha256,
        "fingerprint": fingerprint,
        "core": board.core.name,
        "input": manifest_tensor(source, arena.input_offset),
        "output": manifest_tensor(target, None),
        "arena_bytes": arena.size_bytes,
        "constants_bytes": len(data),
        "macs": graph.macs,
        "needed_macs": graph.macs,
        "computed_macs": graph.macs,
        "classes": None,
        "steps": steps,
    }
    return Sources(files, manifest)


def _step(number: int, kind: str, graph: Graph) -> dict[str, Any]:
    """One operator. Its outputs have no place that is known: the interpreter's plan is its own."""
    ops = [op for op in graph.ops if op.index == number]
    return {
        "index": number,
        "name": ops[0].name if ops else kind.lower(),
        "op": kind,
        "kind": kind,
        "symbol": f"model_step_{number:02d}_{identifier(kind)}",
        "kernels": [],
        "arrays": [],
        "macs": sum(op.macs(graph) for op in ops),
        "weights_bytes": sum(op.weights_bytes for op in ops),
        "outputs": [manifest_tensor(graph.tensors[op.output], None) for op in ops],
    }
