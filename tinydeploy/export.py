"""A model as a library for an ecosystem: its generated C, the files that the ecosystem asks for, an example, a README.

Every ecosystem is a folder of templates, ``firmware_templates/export/<ecosystem>``, laid out as the library will be;
``__name__`` in a path stands for the library's name. ``export/common`` is part of each, and ``export/parts`` is what
several include.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tinydeploy import __version__
from tinydeploy.codegen import generate, render
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.ecosystems import ECOSYSTEMS, WITHOUT_CORTEX_M
from tinydeploy.errors import OutputError, UsageError
from tinydeploy.export_sources import choose_cores, core_choice, library_sources
from tinydeploy.files import write_if_changed
from tinydeploy.optimize import Optimize
from tinydeploy.project import MANIFEST, load_project
from tinydeploy.proof import prove, random_inputs
from tinydeploy.resources import resource_dir
from tinydeploy.tflite import read_model

if TYPE_CHECKING:
    from tinydeploy.graph import Graph

_DEFAULT_CORES = ("m4", "m0plus")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
# Some ecosystems insist on an owner; this is what a library says that has only just been exported.
AUTHOR = "nobody yet <nobody@example.com>"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to export. `source` is a .tflite or a project folder, `cores` those that get sources of their own beside
    the portable ones; an empty tuple stands for the project's core, or an M4 and an M0+, or none where the ecosystem's
    chips are no Cortex-M. `name` is the library's, its header's and the prefix of all its symbols; the model's when it
    is None."""

    source: Path
    ecosystem: str
    name: str | None = None
    cores: tuple[str, ...] = ()
    version: str = "1.0.0"
    author: str = AUTHOR
    url: str = ""
    optimize: Optimize = "balanced"
    stream_input: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """The model to export, from wherever: its bytes, one input as it takes them, and what the training knew of it.

    `preprocess` is the header that the build made from pixels to inputs, where it made one.
    """

    data: bytes
    graph: Graph
    cores: tuple[str, ...]
    classes: tuple[str, ...] | None
    sample: NDArray[Any]
    preprocess: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """A library that is not yet written: its name and its files, relative path -> text."""

    name: str
    files: Mapping[str, str]


def export(request: ExportRequest) -> Library:
    """The model as a library. Nothing is written.

    Raises UsageError for options that contradict each other, ModelError for a model that cannot be compiled.
    """
    _check(request)
    source = _read(request.source)
    usual = () if request.ecosystem in WITHOUT_CORTEX_M else source.cores
    cores = choose_cores(request.cores or usual)
    programs = [
        compile_graph(source.graph, core, optimize=request.optimize, stream_input=request.stream_input)
        for core in (*cores, None)
    ]
    expected = prove(source.data, (source.graph, *(program.graph for program in programs)), source.sample)
    name = request.name or _library_name(source.graph.name)
    sources: dict[str, str] = {}
    for program in programs:
        files = dict(generate(program, source.classes).files)
        if source.preprocess is not None:
            files["model_preprocess.h"] = source.preprocess
        sources |= library_sources(files, name, core_choice(program.core))
    context = _context(request, source, name, programs, expected, sources)
    return Library(name, {**sources, **_rendered(request.ecosystem, context)})


def write_library(library: Library, out: Path) -> None:
    """Write the library to the folder `out`, and remove sources of ours that it no longer has.

    Raises OutputError where something else than a library of ours is there already, or nothing can be written.
    """
    if out.exists() and not any(out.glob("src/*_core.h")) and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out} is there and is no exported library; choose another --out or remove it")
    for path in [path for path in out.glob("src/**/*.[ch]") if path.relative_to(out).as_posix() not in library.files]:
        path.unlink()
    for name, text in sorted(library.files.items()):
        write_if_changed(out / name, text.encode())


def _check(request: ExportRequest) -> None:
    if request.ecosystem not in ECOSYSTEMS:
        raise UsageError(f"--as {request.ecosystem}: no such ecosystem; there are {', '.join(ECOSYSTEMS)}")
    if request.name is not None and not _NAME.fullmatch(request.name):
        raise UsageError(
            f"--name {request.name} is no C identifier of lower-case letters, digits and underscores that begins with "
            "a letter; it becomes the prefix of every function"
        )
    if any(len(text.splitlines()) > 1 for text in (request.author, request.url)):
        raise UsageError("--author and --url are one line each; they go into files of lines")
    if not _VERSION.fullmatch(request.version):
        raise UsageError(f"--version {request.version} is not of the form 1.2.3; package managers compare it by number")


def _library_name(model: str) -> str:
    name = re.sub(r"\W+", "_", model, flags=re.ASCII).strip("_").lower()
    return name if _NAME.fullmatch(name) else f"model_{name}"


def _read(path: Path) -> _Source:
    """The model, from a .tflite or a project folder."""
    if (path / MANIFEST).is_file():
        project = load_project(path)
        data = project.model()
        header = path / "model" / "model_preprocess.h"
        return _Source(
            data,
            read_model(data, project.model_name),
            (project.core,),
            project.classes,
            project.samples().inputs[0],
            header.read_text() if header.is_file() else None,
        )
    if path.is_dir():
        raise UsageError(f"{path} has no {MANIFEST}, so it is no project folder; give one or a .tflite file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read ({error.strerror}); give a .tflite file or a project folder"
        ) from error
    graph = read_model(data, path.stem)
    return _Source(data, graph, _DEFAULT_CORES, None, random_inputs(graph.tensors[graph.input], 1)[0], None)


def _context(
    request: ExportRequest,
    source: _Source,
    name: str,
    programs: Sequence[Program],
    expected: NDArray[Any],
    sources: Mapping[str, str],
) -> dict[str, Any]:
    """What the templates know."""
    choices = [core_choice(program.core) for program in programs]
    author, _, email = request.author.partition("<")
    return {
        "name": name,
        "upper": name.upper(),
        "version": request.version,
        "author": author.strip(),
        "email": email.rstrip("> "),
        "homepage": request.url,
        "url": request.url or f"https://example.com/{name}",
        "tool_version": __version__,
        "model": source.graph.name,
        "sha256": source.graph.sha256,
        "macs": source.graph.macs,
        "shape": " x ".join(str(size) for size in source.sample.shape),
        "classes": source.classes,
        "streamed": programs[-1].streamed,
        "preprocess": source.preprocess is not None,
        "cores": [
            {"choice": choice, "arena_bytes": program.plan.arena_bytes, "constants_bytes": program.constants_bytes}
            for choice, program in zip(choices, programs, strict=True)
        ],
        "float_output": expected.dtype.kind == "f",
        "fpu": any(program.core is not None and program.core.fpu != "none" for program in programs),
        "mve": any(program.core is not None and program.core.mve for program in programs),
        "conditional": [choice for choice in choices if choice.condition is not None],
        "c_files": sorted(path for path in sources if path.endswith(".c")),
        "sample_input": _numbers(source.sample),
        "sample_output": _numbers(expected),
    }


def _numbers(values: NDArray[Any]) -> list[str]:
    """Rows of 16 C numbers, each with its comma."""
    flat = values.reshape(-1)
    items = [f"{value!s}f" if flat.dtype.kind == "f" else str(value) for value in flat.tolist()]
    return [", ".join(items[start : start + 16]) + "," for start in range(0, len(items), 16)]


def _rendered(ecosystem: str, context: Mapping[str, Any]) -> dict[str, str]:
    """Every template of the ecosystem and of what is common to all, by its path in the library."""
    root = resource_dir("firmware_templates") / "export"
    files = {}
    for part in ("common", ecosystem):
        for template in sorted((root / part).rglob("*.j2")):
            path = template.relative_to(root / part).as_posix().removesuffix(".j2")
            where = f"export/{part}/{path}.j2"
            files[path.replace("__name__", str(context["name"]))] = render(where, context)
    return files
