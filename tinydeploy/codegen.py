"""Program to C sources: text only, the same bytes for the same model, nothing written."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from tinydeploy import __version__
from tinydeploy.compiler import Program
from tinydeploy.graph import Tensor
from tinydeploy.kernels.base import Constant, Implementation, plus
from tinydeploy.kernels.schedule import row_schedule, unrolled_schedule
from tinydeploy.resources import resource_dir

_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float", "int32": "int32_t"}
# Headers that any kernel may include; copied as they are.
_KERNEL_HEADERS = ("td_fixedpoint.h", "td_dsp.h", "td_requantize_dsp.h")


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The generated files by their path under model/, and the manifest's part that describes the model."""

    files: Mapping[str, str]
    manifest: Mapping[str, Any]


def generate(
    program: Program, classes: Sequence[str] | None = None, pixel_table: NDArray[np.int8] | None = None
) -> Sources:
    """C for `program`; `classes` are names for the output's elements, `pixel_table` the int8 input of each of the 256
    pixel values, where the model takes images."""
    functions = _function_names(program)
    steps = [_step(program, number, functions) for number in range(len(program.steps))]
    arrays = _arrays(program)
    context = {
        "name": program.graph.name,
        "version": __version__,
        "target": program.core.title if program.core else "any core",
        "sha256": program.graph.sha256,
        "arena_bytes": program.plan.arena_bytes,
        "macs": program.nominal_macs,
        "classes": list(classes or ()),
        "steps": steps,
        "input": _edge(program, program.graph.input),
        "output": _edge(program, program.graph.output),
        "arrays": [{"symbol": s, "ctype": c.ctype, "length": len(c.values)} for s, c in arrays],
        "prototypes": _prototypes(program, functions),
    }
    files = {
        "model_debug.h": _render("model/model_debug.h.j2", context),
        "model.c": _render("model/model.c.j2", context),
        "model_data.h": _render("model/model_data.h.j2", context),
        "model_data.c": _data_file(program, arrays),
        "td_kernels.h": _render("model/td_kernels.h.j2", context),
        **_kernel_files(program, functions),
    }
    if pixel_table is not None:
        table = [int(q) for q in pixel_table]
        is_shift = table == list(range(-128, 128))
        files["model_preprocess.h"] = _render("model/model_preprocess.h.j2", {"table": table, "is_shift": is_shift})
    # The fingerprint covers everything but the one file that states it.
    digest = hashlib.sha256(_render("model/model.h.j2", {**context, "fingerprint": ""}).encode())
    for path in sorted(files):
        digest.update(path.encode() + b"\0" + files[path].encode() + b"\0")
    fingerprint = digest.hexdigest()
    files["model.h"] = _render("model/model.h.j2", {**context, "fingerprint": fingerprint[:16]})
    manifest = {
        "tool_version": __version__,
        "model_name": program.graph.name,
        "model_sha256": program.graph.sha256,
        "fingerprint": fingerprint,
        "core": program.core.name if program.core else None,
        "input": _manifest_tensor(program, program.graph.input),
        "output": _manifest_tensor(program, program.graph.output),
        "arena_bytes": program.plan.arena_bytes,
        "constants_bytes": program.constants_bytes,
        "macs": program.nominal_macs,
        "computed_macs": program.graph.macs,
        "classes": list(classes) if classes else None,
        "steps": [
            {
                "index": number,
                "name": step["name"],
                "op": step["kind"],
                "symbol": step["symbol"],
                "kernel": step["function"],
                "macs": step["macs"],
                "weights_bytes": program.steps[number].op.weights_bytes,
                "outputs": [_manifest_tensor(program, program.steps[number].op.output)],
            }
            for number, step in enumerate(steps)
        ],
    }
    return Sources(files, manifest)


@functools.cache
def environment() -> jinja2.Environment:
    """The one Jinja2 setting for C: strict about undefined names, C-safe filters, no stray blank lines."""
    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("firmware_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    env.filters["c_string"] = _c_string
    env.filters["c_comment"] = _c_comment
    env.globals["row_schedule"] = row_schedule
    env.globals["unrolled_schedule"] = unrolled_schedule
    env.globals["plus"] = plus
    env.globals["zero_pair"] = lambda value: (value & 0xFFFF) * 0x10001
    return env


def _c_string(text: str) -> str:
    """A string literal of any text: JSON's escapes are C's, but for control characters and trigraphs."""
    literal = json.dumps(re.sub(r"[\x00-\x1f\x7f]", " ", text), ensure_ascii=False)
    return re.sub(r"\?(?=\?)", r"?\\", literal)


def _c_comment(text: str) -> str:
    """Any text as words of a comment."""
    return re.sub(r"[^\w .:/;,()+-]", "_", text).replace("*/", "_").replace("/*", "_")


def _render(template: str, context: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(context)


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()


def _function_names(program: Program) -> dict[tuple[Any, ...], str]:
    """A C name for every distinct kernel shape, in order of first use."""
    names: dict[tuple[Any, ...], str] = {}
    taken: set[str] = set()
    for step in program.steps:
        implementation = step.implementation
        if implementation.key in names:
            continue
        name = base = f"{implementation.template}_{_identifier(implementation.label)}"
        number = 2
        while name in taken:
            name, number = f"{base}_v{number}", number + 1
        taken.add(name)
        names[implementation.key] = name
    return names


def _constant_symbol(number: int, constant: Constant) -> str:
    return f"model_{number:02d}_{constant.suffix}"


def _arrays(program: Program) -> list[tuple[str, Constant]]:
    return [
        (_constant_symbol(number, constant), constant)
        for number, step in enumerate(program.steps)
        for constant in step.implementation.constants
    ]


def _shape_text(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape)


def _step(program: Program, number: int, functions: Mapping[tuple[Any, ...], str]) -> dict[str, Any]:
    op, implementation = program.steps[number].op, program.steps[number].implementation
    tensors = program.graph.tensors
    inputs = [_pointer(program, tensor, const=True) for tensor in op.inputs]
    constants = [_constant_symbol(number, constant) for constant in implementation.constants]
    side = implementation.shape.get("constant_side", -1)
    if side in (0, 1):
        inputs.insert(int(side), constants.pop(0))
    arguments = [*inputs, _pointer(program, op.output, const=False), *constants]
    if implementation.scratch_bytes:
        arguments.append(f"arena + {program.plan.scratch[number]}")
    return {
        "name": op.name,
        "kind": op.kind,
        "symbol": f"model_step_{number:02d}_{_identifier(op.kind)}",
        "function": functions[implementation.key],
        "arguments": arguments,
        "in_shape": _shape_text(tensors[op.inputs[0]]),
        "out_shape": _shape_text(tensors[op.output]),
        "macs": op.macs(program.graph),
    }


def _pointer(program: Program, tensor: int, *, const: bool) -> str:
    ctype = _C_TYPES[program.graph.tensors[tensor].dtype]
    offset = program.plan.tensors[tensor]
    if ctype == "uint8_t":
        return f"arena + {offset}"
    return f"({'const ' if const else ''}{ctype} *)(arena + {offset})"


def _parameters(program: Program, number: int) -> list[str]:
    op, implementation = program.steps[number].op, program.steps[number].implementation
    tensors = program.graph.tensors
    inputs = [f"const {_C_TYPES[tensors[t].dtype]} *" for t in op.inputs]
    constants = [f"const {constant.ctype} *{constant.suffix}" for constant in implementation.constants]
    if implementation.shape.get("constant_side", -1) in (0, 1):
        constants.pop(0)
        inputs = [*inputs, *inputs][:2]
    names = ["input"] if len(inputs) == 1 else ["a", "b"]
    parameters = [f"{ctype}{name}" for ctype, name in zip(inputs, names, strict=True)]
    parameters.append(f"{_C_TYPES[tensors[op.output].dtype]} *output")
    return [*parameters, *constants, *(["void *scratch"] if implementation.scratch_bytes else [])]


def _prototypes(program: Program, functions: Mapping[tuple[Any, ...], str]) -> list[str]:
    seen: dict[str, str] = {}
    for number, step in enumerate(program.steps):
        function = functions[step.implementation.key]
        seen.setdefault(function, f"void {function}({', '.join(_parameters(program, number))})")
    return list(seen.values())


def _kernel_files(program: Program, functions: Mapping[tuple[Any, ...], str]) -> dict[str, str]:
    """One C file per kernel template in use, holding its instances, and the headers they include."""
    by_template: dict[str, list[Implementation]] = {}
    seen: set[tuple[Any, ...]] = set()
    for step in program.steps:
        if step.implementation.key not in seen:
            seen.add(step.implementation.key)
            by_template.setdefault(step.implementation.template, []).append(step.implementation)
    files: dict[str, str] = {}
    for template, instances in by_template.items():
        shapes = [{**instance.shape, "function": functions[instance.key]} for instance in instances]
        body = _render(f"kernels/{template}.c.j2", {"shapes": shapes})
        includes = '#include "td_kernels.h"\n\n#include "td_dsp.h"\n'
        comment, rest = body.split("*/\n", 1)
        files[f"{template}.c"] = f"{comment}*/\n{includes}\n{rest}"
    for header in _KERNEL_HEADERS:
        files[header] = (resource_dir("firmware_templates") / "kernels" / header).read_text()
    return files


def _data_file(program: Program, arrays: Iterable[tuple[str, Constant]]) -> str:
    """model_data.c: every constant array, a line per 16 numbers."""
    parts = [
        f"/*\n * Constants of {_c_comment(program.graph.name)}. Generated by tinydeploy {__version__}.\n */\n"
        '#include "model_data.h"\n'
    ]
    for symbol, constant in arrays:
        body = _initializer(constant)
        length = len(constant.values)
        parts.append(f"\nconst {constant.ctype} {symbol}[{length}] __attribute__((aligned(8))) = {{\n{body}\n}};\n")
    return "".join(parts)


def _initializer(constant: Constant) -> str:
    values = constant.values
    if values.ndim == 2:
        return "\n".join("    {" + ", ".join(_int32(int(v)) for v in row) + "}," for row in values)
    if constant.ctype == "float":
        items = [f"{float(v).hex()}f" for v in values]
    elif constant.ctype == "int32_t":
        items = [_int32(int(v)) for v in values]
    else:
        items = [str(v) for v in values.tolist()]
    return "\n".join("    " + ", ".join(items[i : i + 16]) + "," for i in range(0, len(items), 16))


def _int32(value: int) -> str:
    # -2147483648 is not an int literal in C: the minus applies to a number that does not fit.
    return "(-2147483647 - 1)" if value == -(1 << 31) else str(value)


def _edge(program: Program, tensor: int) -> dict[str, Any]:
    t = program.graph.tensors[tensor]
    quantized = t.quant is not None and t.dtype != "float32"
    return {
        "ctype": _C_TYPES[t.dtype],
        "shape": t.shape[1:] if len(t.shape) > 1 else t.shape,
        "elements": t.elements,
        "size_bytes": t.size_bytes,
        "scale": f"{np.float32(t.quantization.scale)!s}f" if quantized else None,
        "zero_point": t.quantization.zero_point if quantized else None,
        "offset": program.plan.tensors[tensor],
    }


def _manifest_tensor(program: Program, tensor: int) -> dict[str, Any]:
    t = program.graph.tensors[tensor]
    quantized = t.quant is not None and t.dtype != "float32"
    return {
        "tensor": t.index,
        "name": t.name,
        "shape": list(t.shape),
        "dtype": t.dtype,
        "offset_bytes": program.plan.tensors[tensor],
        "size_bytes": t.size_bytes,
        "scale": t.quantization.scale if quantized else None,
        "zero_point": t.quantization.zero_point if quantized else None,
        **({"channels": list(t.channels)} if t.channels is not None else {}),
    }
