"""The main job: a network to train, or a ready .tflite, to a built project folder.

Every stage is a function of what came before; this module only puts them in order, and leaves out those whose inputs
have not changed.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinydeploy import stamp
from tinydeploy.boards import Board, load_board
from tinydeploy.emulation import CALIBRATION, read_constants
from tinydeploy.errors import OutputError, UsageError
from tinydeploy.fit import lacking, require_fit
from tinydeploy.image import Image, read_image
from tinydeploy.optimize import Optimize
from tinydeploy.progress import Watcher, ignore_progress
from tinydeploy.project import MANIFEST, record_last_build
from tinydeploy.tflm_tree import find_tree
from tinydeploy.toolchain import Toolchain, build_project

if TYPE_CHECKING:
    from tinydeploy.codegen import Sources
    from tinydeploy.compiler import Program
    from tinydeploy.graph import Graph
    from tinydeploy.job import Job
    from tinydeploy.method import Method
    from tinydeploy.training_cache import Trained
    from tinydeploy.zoo import ModelSpec

# Random inputs that stand in for test samples of a model that came without any.
RANDOM_SAMPLES = 16
# Most test samples that a project keeps.
STORED_SAMPLES = 1000

Stage = Callable[[str], None]
Runtime = Literal["tinydeploy", "tflm"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to build. Either `model` is a ready .tflite (and `samples` perhaps an .npz of inputs and labels), or a
    network of the zoo is trained on `dataset` or on `data` of one's own, as ``job.Job`` says. `toolchain` is zig unless
    the runtime asks for gcc; `runtime` "tflm" links TensorFlow Lite Micro's interpreter from the tree in TFLM_DIR.
    `silicon` is a file of constants that goes along with the project, for the cycles of the virtual board that runs
    it."""

    board: str
    model: Path | None = None
    samples: Path | None = None
    arch: str = "mobilenet_v1"
    alpha: float | None = None
    input_size: int | tuple[int, int] | None = None
    channels: int | None = None
    arch_options: tuple[tuple[str, str], ...] = ()
    dataset: str | None = None
    data: Path | None = None
    skip_corrupt: bool = False
    method: Method | None = None
    seed: int = 0
    out: Path | None = None
    toolchain: Toolchain | None = None
    runtime: Runtime = "tinydeploy"
    keep_constant_channels: bool = False
    optimize: Optimize = "balanced"
    stream_input: bool = False
    silicon: Path | None = None

    @property
    def folder(self) -> Path:
        """The project folder."""
        suffix = "-tflm" if self.runtime == "tflm" else ""
        return self.out or Path("build") / f"{Path(self.board).stem}-{self.name}{suffix}"

    @property
    def compiler(self) -> Toolchain:
        """The toolchain that is asked for, or the runtime's own."""
        return self.toolchain or ("gcc" if self.runtime == "tflm" else "zig")

    @property
    def name(self) -> str:
        """What the model is called, as a C-friendly word."""
        if self.model is not None:
            return re.sub(r"\W+", "_", self.model.stem) or "model"
        return self.job.name

    @property
    def job(self) -> Job:
        """The training that is asked for."""
        from tinydeploy.job import Job
        from tinydeploy.method import Method

        size = (self.input_size, 0) if isinstance(self.input_size, int) else self.input_size
        return Job(
            self.arch,
            self.alpha,
            size,
            self.channels,
            self.arch_options,
            self.dataset,
            self.data,
            self.skip_corrupt,
            self.method or Method(),
            self.seed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Build:
    """A built project. `manifest` is its tinydeploy.json; `fresh` says that nothing had to be done."""

    folder: Path
    board: Board
    image: Image
    manifest: Mapping[str, Any]
    fresh: bool


def ignore_stage(text: str) -> None:
    """The stage watcher of whoever does not watch."""


def build(request: Request, *, progress: Watcher = ignore_progress, stage: Stage = ignore_stage) -> Build:
    """Train (unless a model is given), prove, compile and link; or nothing at all if nothing has changed.

    `stage` hears a line as each part begins, `progress` every training step. Raises a TinydeployError for whatever the
    caller can mend; an interrupted build leaves the last whole project as it was, or a new one to be finished.
    """
    board = load_board(request.board)
    _check(request)
    if request.silicon is not None:
        read_constants(request.silicon, board)
    folder = request.folder
    key = _key(request, board)
    if stamp.is_current(folder, key):
        record_last_build(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        return Build(folder, board, read_image(folder / "build/firmware.elf"), manifest, fresh=True)
    from tinydeploy.firmware import write_project

    _require_writable(folder)
    sources = _sources(request, board, progress, stage)
    stage(f"build    {request.compiler}, {folder}")
    stamp.forget(folder)
    write_project(sources, board, folder)
    image = build_project(folder, request.compiler)
    manifest = json.loads(sources[MANIFEST])
    # The linker has placed everything; what remains is that sections together stay inside the flash.
    flash = lacking("flash", image.flash_bytes, board.flash.size_bytes, image.largest("flash"))
    require_fit("the firmware", board.name, flash)
    stamp.remember(folder, key, [*sources, "build/firmware.elf", "build/firmware.bin", "build/firmware.hex"])
    record_last_build(folder)
    return Build(folder, board, image, manifest, fresh=False)


def _check(request: Request) -> None:
    """Options that contradict each other."""
    if request.model is not None:
        if request.data is not None or request.dataset is not None:
            raise UsageError(
                "--model is ready, --data and --dataset train one: leave one of them away; a ready model takes test "
                "samples from --samples FILE.npz"
            )
        if not request.model.is_file():
            raise UsageError(f"there is no model {request.model}; give a .tflite file")
    elif request.samples is not None:
        raise UsageError("--samples goes with --model; a trained network brings its own test samples")
    if request.runtime == "tflm":
        if request.toolchain == "zig":
            raise UsageError("--runtime tflm links a library that gcc has made: leave --toolchain zig away")
        if request.stream_input or request.keep_constant_channels or request.optimize != "balanced":
            raise UsageError(
                "--runtime tflm runs the model in its interpreter as it is: --optimize, --stream-input and "
                "--keep-constant-channels are the compiler's; leave them away"
            )
    if request.samples is not None and not request.samples.is_file():
        raise UsageError(f"there are no samples {request.samples}; give an .npz with inputs and perhaps labels")


def _require_writable(folder: Path) -> None:
    """Refuse a place that cannot be written before a training is spent on it."""
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "may not be written" if place.is_dir() else "is not a folder"
        raise OutputError(f"cannot write {folder}: {place} {why}; choose another folder with --out")


def _key(request: Request, board: Board) -> str:
    """A digest of everything that the project is made from."""
    parts: list[object] = [
        request.compiler,
        request.runtime,
        request.keep_constant_channels,
        request.optimize,
        request.stream_input,
        request.name,
        stamp.tool_state(),
        stamp.board_state(board),
    ]
    if request.model is not None:
        parts.append(stamp.file_state(request.model))
        parts.append(stamp.file_state(request.samples) if request.samples else None)
    else:
        parts.append(request.job.key())
    parts.append(request.silicon and (request.silicon.name, stamp.file_state(request.silicon)))
    if request.runtime == "tflm":
        parts.append(find_tree(board.core, os.environ))
    return stamp.digest(*parts)


def _sources(request: Request, board: Board, progress: Watcher, stage: Stage) -> dict[str, str | bytes]:
    """All files of the project but the firmware's own."""
    from tinydeploy.tflite import read_model
    from tinydeploy.training_report import TRAINING_REPORT, training_report

    trained: Trained | None = None
    if request.model is None:
        trained = _trained(request, board, progress, stage)
        data = trained.tflite
    else:
        data = request.model.read_bytes()
    stage("compile")
    graph = read_model(data, request.name)
    samples = _samples(request, graph, trained)
    common = {
        "format": 1,
        "board": board.name,
        "accuracy": {"float": trained.float_accuracy, "int8": trained.int8_accuracy}
        if trained and trained.classifies
        else None,
        "training": trained.facts if trained else None,
        "samples": "random" if request.model and not request.samples else "test data",
    }
    files = {
        # A board of the user's own goes along, so that the project can be run wherever that file is.
        **({f"{board.name}.toml": Path(request.board).read_bytes()} if request.board.endswith(".toml") else {}),
        **({f"{CALIBRATION}/{request.silicon.stem}.toml": request.silicon.read_bytes()} if request.silicon else {}),
        "model.tflite": data,
        "samples.npz": _npz(samples),
    }

    def project(sources: Sources) -> dict[str, str | bytes]:
        manifest = {**common, **sources.manifest}
        return {
            **sources.files,
            MANIFEST: json.dumps(manifest, indent=1, ensure_ascii=False) + "\n",
            **files,
            **({TRAINING_REPORT: training_report(trained, manifest)} if trained else {}),
        }

    if request.runtime == "tflm":
        return _interpreted(graph, data, board, project, stage)
    return project(_compiled(request, board, graph, data, samples["inputs"][0], trained, stage))


def _trained(request: Request, board: Board, progress: Watcher, stage: Stage) -> Trained:
    """The network that is asked for, from the cache beside the project where it was trained before."""
    from tinydeploy.deployable import require_deployable
    from tinydeploy.job import obtain

    def require_room(spec: ModelSpec) -> None:
        require_deployable(spec, board, optimize=request.optimize, stream_input=request.stream_input)

    cache = request.folder.parent / ".trained"
    return obtain(request.job, cache, require_fit=require_room, progress=progress, stage=stage)


def _compiled(
    request: Request, board: Board, graph: Graph, data: bytes, sample: Any, trained: Trained | None, stage: Stage
) -> Sources:
    """The model as C of its own, proved on `sample`; paths are the project's."""
    from tinydeploy.codegen import Sources, generate
    from tinydeploy.kernel_forms import compile_for
    from tinydeploy.proof import prove

    program = compile_for(
        graph,
        board,
        keep_constant_channels=request.keep_constant_channels,
        optimize=request.optimize,
        stream_input=request.stream_input,
    )
    _require_plan_fits(program, board)
    pixels = trained.pixel_table() if trained else None
    sources = generate(program, trained.output_names if trained else None, pixels)
    stage("prove    numpy reference and TFLite Micro on test samples")
    prove(data, (graph, program.graph), sample)
    return Sources({f"model/{path}": text for path, text in sources.files.items()}, sources.manifest)


def _interpreted(
    graph: Graph,
    data: bytes,
    board: Board,
    project: Callable[[Sources], dict[str, str | bytes]],
    stage: Stage,
) -> dict[str, str | bytes]:
    """The project of the model in TensorFlow Lite Micro's interpreter, its arena as small as that allows."""
    from tinydeploy.tflite import operator_kinds
    from tinydeploy.tflm import Arena, tflm_sources
    from tinydeploy.tflm_arena import measure_arena

    tree = find_tree(board.core, os.environ)
    kinds = operator_kinds(data)

    def sources(arena: Arena) -> dict[str, str | bytes]:
        return project(tflm_sources(graph, kinds, data, tree, arena, board))

    stage("arena    TFLite Micro plans it, on the virtual board")
    return sources(measure_arena(sources, board))


def _require_plan_fits(program: Program, board: Board) -> None:
    """Refuse what cannot fit before the compiler is started."""
    buffers = [(buffer.name, buffer.size_bytes) for buffer, _ in program.plan.buffers]
    constants = [(step.op.name, sum(c.size_bytes for c in step.implementation.constants)) for step in program.steps]
    require_fit("the arena", board.name, lacking("ram", program.plan.arena_bytes, board.ram.size_bytes, buffers))
    require_fit("the model", board.name, lacking("flash", program.constants_bytes, board.flash.size_bytes, constants))


def _samples(request: Request, graph: Graph, trained: Trained | None) -> dict[str, Any]:
    """Inputs, and labels where they are known, in the model's own type and shape."""
    import numpy as np

    from tinydeploy.graph import NUMPY_DTYPES
    from tinydeploy.proof import random_inputs

    source = graph.tensors[graph.input]
    dtype = np.dtype(NUMPY_DTYPES[source.dtype])
    shape = source.shape[1:] if source.shape[:1] == (1,) else source.shape
    if trained is not None:
        labels = {"labels": trained.labels[:STORED_SAMPLES]} if trained.classifies else {}
        return {"inputs": trained.inputs[:STORED_SAMPLES], **labels}
    if request.samples is None:
        return {"inputs": random_inputs(source, RANDOM_SAMPLES)}
    try:
        with np.load(request.samples, allow_pickle=False) as stored:
            found = {name: stored[name] for name in ("inputs", "labels") if name in stored}
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{request.samples} cannot be read as .npz ({error}); save it with numpy.savez") from error
    inputs = found.get("inputs")
    if inputs is None or inputs.ndim < 1 or len(inputs) == 0:
        raise UsageError(
            f"{request.samples} has no array 'inputs'; save it with numpy.savez(file, inputs=..., labels=...)"
        )
    if inputs.dtype != dtype or int(np.prod(inputs.shape[1:])) != source.elements:
        raise UsageError(
            f"{request.samples} holds inputs of {inputs.dtype} {inputs.shape[1:]}, the model takes {dtype} {shape}; "
            "quantize and reshape them as the model's input asks"
        )
    if "labels" in found and len(found["labels"]) != len(inputs):
        raise UsageError(
            f"{request.samples} has {len(inputs)} inputs and {len(found['labels'])} labels; they must match"
        )
    found["inputs"] = inputs.reshape(len(inputs), *shape)[:STORED_SAMPLES]
    return {name: array[:STORED_SAMPLES] for name, array in found.items()}


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """An .npz with the same bytes for the same arrays: numpy's own carries the time of day."""
    import zipfile

    import numpy as np

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
