"""Program to C sources: text only, the same bytes for the same model, nothing written."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from tinydeploy import __version__
from tinydeploy.calls import C_TYPES, Names, kernels, name_all, prototypes, step_context
from tinydeploy.compiler import Program
from tinydeploy.constants_place import is_copied
from tinydeploy.graph import Tensor
from tinydeploy.kernels.base import Constant, Implementation, plus
from tinydeploy.kernels.matrix_parts import matrix_parts
from tinydeploy.kernels.schedule import row_schedule
from tinydeploy.kernels.window3 import layer_code
from tinydeploy.manifest import program_manifest
from tinydeploy.rendering import environment
from tinydeploy.resources import resource_dir

# Headers that any kernel may include; copied as they are.
_KERNEL_HEADERS = ("td_fixedpoint.h", "td_dsp.h", "td_requantize_dsp.h")
# Rendered; model.h comes last, by the fingerprint of all.
_MODEL_FILES = ("model_debug.h", "model.c", "model_data.h", "td_kernels.h")


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

    names = name_all(program)
    steps = [step_context(program, number, names) for number in range(len(program.steps))]
    context = _context(program, names, steps, classes)
    files = {
        **{name: render(f"model/{name}.j2", context) for name in _MODEL_FILES},
        "model_data.c": _data_file(program, names),
        **_kernel_files(program, names),
    }
    if pixel_table is not None:
        files["model_preprocess.h"] = _preprocess_header(pixel_table)
    fingerprint = add_header(files, context)
    return Sources(files, program_manifest(program, steps, fingerprint, classes))


def _context(
    program: Program, names: Names, steps: Sequence[Mapping[str, Any]], classes: Sequence[str] | None
) -> dict[str, Any]:
    """What the templates of the model say of `program`, whose steps are `steps`."""
    graph, plan = program.graph, program.plan
    return {
        "name": graph.name,
        "version": __version__,
        "target": program.core.title if program.core else "any core",
        "sha256": graph.sha256,
        "arena_bytes": plan.arena_bytes,
        "macs": program.nominal_macs,
        "classes": list(classes or ()),
        "steps": steps,
        "input": edge(graph.tensors[graph.input], plan.tensors.get(graph.input)),
        "output": edge(graph.tensors[graph.output], plan.tensors.get(graph.output)),
        "arrays": [
            {"symbol": symbol, "ctype": constant.ctype, "length": len(constant.values)}
            for symbol, constant in names.arrays.values()
        ],
        "streamed": program.streamed,
        "prototypes": prototypes(program, names),
    }


def _preprocess_header(pixel_table: NDArray[np.int8]) -> str:
    """model_preprocess.h: a pixel's int8 input by a table, or by a subtraction where that is all it does."""
    table = pixel_table.tolist()
    return render("model/model_preprocess.h.j2", {"table": table, "is_shift": table == list(range(-128, 128))})


def add_header(files: dict[str, str], context: Mapping[str, Any], path: str = "model.h") -> str:
    """Add model.h to `files` as `path`; the fingerprint that it states covers all but itself, and is returned whole."""
    digest = hashlib.sha256(render("model/model.h.j2", {**context, "fingerprint": ""}).encode())
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name].encode() + b"\0")
    fingerprint = digest.hexdigest()
    files[path] = render("model/model.h.j2", {**context, "fingerprint": fingerprint[:16]})
    return fingerprint


@functools.cache
def _environment() -> jinja2.Environment:
    """The templates, with C-safe filters and what kernels compute for themselves."""
    env = environment()
    env.filters["c_string"] = _c_string
    env.filters["c_comment"] = _c_comment
    env.globals["row_schedule"] = row_schedule
    env.globals["matrix_parts"] = matrix_parts
    env.globals["window3"] = layer_code
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


def render(template: str, context: Mapping[str, Any]) -> str:
    """A template of firmware_templates/ as C."""
    return _environment().get_template(template).render(context)


def _kernel_files(program: Program, names: Names) -> dict[str, str]:
    """One C file per kernel template in use, holding its instances, and the headers they include."""
    by_template: dict[str, list[Implementation]] = {}
    seen: set[tuple[Any, ...]] = set()
    for _, _, kernel in kernels(program):
        if kernel.key not in seen:
            seen.add(kernel.key)
            by_template.setdefault(kernel.template, []).append(kernel)
    files: dict[str, str] = {}
    for template, instances in by_template.items():
        shapes = [{**instance.shape, "function": names.functions[instance.key]} for instance in instances]
        body = render(f"kernels/{template}.c.j2", {"shapes": shapes})
        includes = '#include "td_kernels.h"\n\n#include "td_dsp.h"\n'
        comment, rest = body.split("*/\n", 1)
        files[f"{template}.c"] = f"{comment}*/\n{includes}\n{rest}"
    for header in _KERNEL_HEADERS:
        files[header] = (resource_dir("firmware_templates") / "kernels" / header).read_text()
    return files


def _data_file(program: Program, names: Names) -> str:
    """model_data.c: every constant array, a line per 16 numbers; those that start-up copies in a section apart."""
    in_both = (step.implementation.constants for step in program.steps if is_copied(step.implementation))
    copied = {names.array(constant) for constants in in_both for constant in constants}
    parts = [
        f"/*\n * Constants of {_c_comment(program.graph.name)}. Generated by tinydeploy {__version__}.\n */\n"
        '#include "model_data.h"\n'
    ]
    for symbol, constant in names.arrays.values():
        body = _initializer(constant)
        array = f"{constant.ctype} {symbol}[{len(constant.values)}]"
        section = f', section(".copied.{symbol}")' if symbol in copied else ""
        parts.append(f"\nconst {array} __attribute__((aligned(8){section})) = {{\n{body}\n}};\n")
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


def edge(t: Tensor, offset: int | None) -> dict[str, Any]:
    """What the templates say of the model's input or output, which lies at `offset` in the arena or is streamed."""
    quantized = t.quant is not None and t.dtype != "float32"
    return {
        "ctype": C_TYPES[t.dtype],
        "shape": t.shape[1:] if len(t.shape) > 1 else t.shape,
        "elements": t.elements,
        "size_bytes": t.size_bytes,
        "scale": f"{np.float32(t.quantization.scale)!s}f" if quantized else None,
        "zero_point": t.quantization.zero_point if quantized else None,
        "offset": offset,
    }
