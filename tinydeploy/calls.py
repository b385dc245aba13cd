"""Program to calls: the names of functions and arrays, and every step as C expressions for the templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tinydeploy.compiler import Program
from tinydeploy.graph import Graph, Tensor
from tinydeploy.kernels.base import Constant, Implementation, aligned
from tinydeploy.kernels.striped import Phase, Place, Stripes
from tinydeploy.ops.base import Op
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.plan import Step

C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float", "int32": "int32_t"}


def identifier(text: str) -> str:
    """Any text as part of a C name."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """C names: of the function of every distinct kernel shape, and of every distinct array, both in order of first
    use. Arrays with the same content are one."""

    functions: Mapping[tuple[Any, ...], str]
    arrays: Mapping[tuple[str, str, bytes], tuple[str, Constant]]

    def array(self, constant: Constant) -> str:
        """The symbol that holds `constant`."""
        return self.arrays[_content(constant)][0]

    def read(self, kernel: Implementation) -> list[str]:
        """Pointers to the constants of `kernel` where it reads them: their symbols, or their copies in the arena."""
        symbols = [self.array(constant) for constant in kernel.constants]
        if kernel.place is None or kernel.place.residence != "arena":
            return symbols
        return [f"(const {copy.constant.ctype} *)(arena + {copy.offset_bytes})" for copy in arena_copies(kernel)]


@dataclass(frozen=True, slots=True, eq=False)
class ArenaCopy:
    """A constant that a step copies to the arena before its kernel runs."""

    constant: Constant
    offset_bytes: int


def arena_copies(kernel: Implementation) -> list[ArenaCopy]:
    """The copies that `kernel` reads; none where its constants are elsewhere."""
    copies = []
    if kernel.place is not None and kernel.place.residence == "arena":
        offset = kernel.place.offset_bytes
        for constant in kernel.constants:
            copies.append(ArenaCopy(constant, offset))
            offset += aligned(constant.size_bytes)
    return copies


def name_all(program: Program) -> Names:
    """Names for everything that `program` calls and reads."""
    functions: dict[tuple[Any, ...], str] = {}
    arrays: dict[tuple[str, str, bytes], tuple[str, Constant]] = {}
    taken: set[str] = set()

    def free(base: str) -> str:
        name, number = base, 2
        while name in taken:
            name, number = f"{base}_v{number}", number + 1
        taken.add(name)
        return name

    for _, op, kernel in kernels(program):
        if kernel.key not in functions:
            functions[kernel.key] = free(f"{kernel.template}_{identifier(kernel.label)}")
        for constant in kernel.constants:
            if _content(constant) not in arrays:
                arrays[_content(constant)] = (free(f"model_{op.index:02d}_{constant.suffix}"), constant)
    return Names(functions, arrays)


def kernels(program: Program) -> Iterator[tuple[Graph, Op, Implementation]]:
    """Every kernel with its operator and the graph that this sees, in order of use; kernels of a chain's parts too."""
    for step in program.steps:
        stripes = step.implementation.stripes
        if stripes is None:
            yield program.graph, step.op, step.implementation
            continue
        assert isinstance(step.op, RowChain)
        seen = set()
        for phase in stripes.phases:
            for call in phase.calls:
                if (call.op, call.kernel.key) not in seen:
                    seen.add((call.op, call.kernel.key))
                    yield step.op.inside(program.graph), step.op.ops[call.op], call.kernel


def _content(constant: Constant) -> tuple[str, str, bytes]:
    return constant.ctype, str(constant.values.shape), constant.values.tobytes()


def step_context(program: Program, number: int, names: Names) -> dict[str, Any]:
    """What the templates say of one step."""
    step = program.steps[number]
    op, implementation, graph = step.op, step.implementation, program.graph
    context: dict[str, Any] = {
        "name": op.name,
        "kind": kind(op),
        "symbol": f"model_step_{number:02d}_{identifier(op.kind)}",
        "in_shape": shape_text(graph.tensors[op.inputs[0]]),
        "out_shape": shape_text(graph.tensors[op.output]),
        "macs": op.macs(graph),
        "kernels": sorted({names.functions[kernel.key] for kernel in implementation.kernels}),
        "arrays": list(dict.fromkeys(names.array(constant) for constant in implementation.constants)),
        "stripes": None,
    }
    if implementation.stripes is None:
        at = program.plan.tensors
        inputs = [_pointer(graph.tensors[t], at[t], const=True) for t in op.inputs]
        output = _pointer(graph.tensors[op.output], at[op.output])
        scratch = f"arena + {program.plan.scratch[number]}" if implementation.scratch_bytes else ""
        call = _call(implementation, names, inputs, output, scratch)
        copies = [
            f"__builtin_memcpy(arena + {copy.offset_bytes}, {names.array(copy.constant)}, {copy.constant.size_bytes})"
            for copy in arena_copies(implementation)
        ]
        return {**context, "statements": [*copies, call]}
    return {**context, "stripes": _stripes(program, number, step, implementation.stripes, names)}


def kind(op: Op) -> str:
    """The operator's kind; of a chain, of how many operators."""
    return f"{op.kind} of {len(op.ops)}" if isinstance(op, RowChain) else op.kind


def shape_text(tensor: Tensor) -> str:
    """A shape as 1x48x48x8."""
    return "x".join(str(size) for size in tensor.shape)


def prototypes(program: Program, names: Names) -> list[str]:
    """The C prototype of every kernel."""
    seen: dict[str, str] = {}
    for graph, op, kernel in kernels(program):
        function = names.functions[kernel.key]
        seen.setdefault(function, f"void {function}({', '.join(_parameters(graph, op, kernel))})")
    return list(seen.values())


def _stripes(program: Program, number: int, step: Step, made: Stripes, names: Names) -> dict[str, Any]:
    """The phases of a chain as lists of statements, and what a streamed input needs."""
    chain = step.op
    assert isinstance(chain, RowChain)
    inside, base = chain.inside(program.graph), program.plan.scratch[number]
    scratch = f"arena + {base + made.scratch_offset}"

    def start(tensor: int) -> int:
        return base + made.lines[tensor] if tensor in made.lines else program.plan.tensors[tensor]

    def pointer(place: Place, *, const: bool = False) -> str:
        offset = start(place.tensor) + place.offset_bytes
        return _pointer(inside.tensors[place.tensor], offset, place.stripe_bytes, const=const)

    def statements(phase: Phase) -> list[str]:
        lines = []
        for call in phase.calls:
            inputs = [pointer(place, const=True) for place in call.inputs]
            room = scratch if call.kernel.scratch_bytes else ""
            lines.append(_call(call.kernel, names, inputs, pointer(call.output), room))
        for slide in phase.slides:
            to = start(slide.tensor)
            lines.append(f"__builtin_memmove(arena + {to}, arena + {to + slide.from_bytes}, {slide.size_bytes})")
        return lines

    context: dict[str, Any] = {
        "count": made.count,
        "phases": [
            {"last": p.last, "statements": statements(p), "wanted": p.wanted_rows, "kept": p.kept_rows}
            for p in made.phases
        ],
        "streamed": made.streamed,
    }
    if made.streamed:
        source = inside.tensors[chain.inputs[0]]
        context |= {
            "window": start(chain.inputs[0]),
            "row_bytes": source.size_bytes // source.shape[1],
            "row_elements": source.elements // source.shape[1],
        }
    return context


def _call(kernel: Implementation, names: Names, inputs: list[str], output: str, scratch: str) -> str:
    """One kernel call; `inputs` and `output` are pointer expressions, `scratch` one or nothing."""
    constants = names.read(kernel)
    inputs = list(inputs)
    side = kernel.shape.get("constant_side", -1)
    if side in (0, 1):
        inputs.insert(int(side), constants.pop(0))
    arguments = [*inputs, output, *constants, *([scratch] if scratch else [])]
    return f"{names.functions[kernel.key]}({', '.join(arguments)})"


def _pointer(tensor: Tensor, offset: int, stripe_bytes: int = 0, *, const: bool = False) -> str:
    place = f"arena + {offset}" if not stripe_bytes else f"arena + ({offset} + stripe * {stripe_bytes})"
    ctype = C_TYPES[tensor.dtype]
    return place if ctype == "uint8_t" else f"({'const ' if const else ''}{ctype} *)({place})"


def _parameters(graph: Graph, op: Op, kernel: Implementation) -> list[str]:
    tensors = graph.tensors
    inputs = [f"const {C_TYPES[tensors[t].dtype]} *" for t in op.inputs]
    constants = [f"const {constant.ctype} *{constant.suffix}" for constant in kernel.constants]
    if kernel.shape.get("constant_side", -1) in (0, 1):
        constants.pop(0)
        inputs = [*inputs, *inputs][:2]
    names = ["input"] if len(inputs) == 1 else [f"input{i}" for i in range(len(inputs))]
    parameters = [f"{ctype}{name}" for ctype, name in zip(inputs, names, strict=True)]
    parameters.append(f"{C_TYPES[tensors[op.output].dtype]} *output")
    return [*parameters, *constants, *(["void *scratch"] if kernel.scratch_bytes else [])]
