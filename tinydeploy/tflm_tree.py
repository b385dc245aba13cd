"""The user's own build of TensorFlow Lite Micro: where its headers and its library are.

TFLM_DIR names the tree: a checkout of tflite-micro in which ``make ... microlite`` has run, or a tree that
``create_tflm_tree.py`` has made, with libtensorflow-microlite.a in it or in its lib/.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.cores import Core
from tinydeploy.errors import ToolchainError

VARIABLE = "TFLM_DIR"
LIBRARY = "libtensorflow-microlite.a"
_HEADER = "tensorflow/lite/micro/micro_interpreter.h"
# Where the two layouts keep what TFLM's headers include from elsewhere.
_THIRD_PARTY = ("tensorflow/lite/micro/tools/make/downloads", "third_party")
_NEEDED = {"flatbuffers/include": "flatbuffers/flatbuffers.h", "gemmlowp": "fixedpoint/fixedpoint.h"}
_OPTIONAL = ("ruy",)
# MicroPrintf(char const*, ...), as the library's symbol table has it.
_PRINTER = b"_Z11MicroPrintfPKcz"
# How TFLM's make calls a core: TARGET_ARCH, which is in the name of the folder that it builds in.
_TARGET_ARCHS = {
    "m0plus": ("cortex-m0plus", "cortex-m0"),
    "m4": ("cortex-m4+fp",),
    "m7": ("cortex-m7+fp",),
    "m33": ("cortex-m33",),
    "m55": ("cortex-m55",),
}


@dataclass(frozen=True, slots=True)
class TflmTree:
    """A tree that can be compiled and linked against. Paths are relative to `folder`, which only TFLM_DIR names.

    `has_messages`: the library was made with error messages in it, which its BUILD_TYPE=release leaves out; what is
    compiled against it must agree.
    """

    folder: Path
    library: str
    includes: tuple[str, ...]
    library_sha256: str
    has_messages: bool


def find_tree(core: Core, environment: Mapping[str, str]) -> TflmTree:
    """The tree that TFLM_DIR in `environment` names, with the library for `core`.

    Raises ToolchainError where it is not set or something is missing, and says how to get that.
    """
    given = environment.get(VARIABLE)
    if not given:
        raise ToolchainError(
            f"--runtime tflm links against your own TensorFlow Lite Micro, and {VARIABLE} is not set: {_how(core)}"
        )
    folder = Path(given).resolve()
    if not (folder / _HEADER).is_file():
        raise ToolchainError(f"{VARIABLE} is {given}, which has no {_HEADER}; set it to a tree of tflite-micro")
    includes = ["."]
    for name, header in _NEEDED.items():
        place = next((f"{part}/{name}" for part in _THIRD_PARTY if (folder / part / name / header).is_file()), None)
        if place is None:
            raise ToolchainError(
                f"{VARIABLE} is {given}, which has no {header} in {' or '.join(_THIRD_PARTY)}: {_how(core)}"
            )
        includes.append(place)
    includes += [f"{part}/{name}" for name in _OPTIONAL for part in _THIRD_PARTY if (folder / part / name).is_dir()]
    library = _library(folder, core, given)
    content = (folder / library).read_bytes()
    return TflmTree(folder, library, tuple(includes), hashlib.sha256(content).hexdigest(), _PRINTER in content)


def _library(folder: Path, core: Core, given: str) -> str:
    """The library for `core`: the one that lies at the top or in lib/, else that of the newest build for the core."""
    for place in (LIBRARY, f"lib/{LIBRARY}"):
        if (folder / place).is_file():
            return place
    for arch in _TARGET_ARCHS[core.name]:
        built = sorted(folder.glob(f"gen/*_{arch}_*/lib/{LIBRARY}"), key=lambda path: path.stat().st_mtime_ns)
        if built:
            return built[-1].relative_to(folder).as_posix()
    others = [path.parent.parent.name for path in sorted(folder.glob(f"gen/*/lib/{LIBRARY}"))]
    found = f"only {', '.join(others)}" if others else "none at all"
    raise ToolchainError(f"{VARIABLE} is {given}, which has no {LIBRARY} for the {core.title} ({found}): {_how(core)}")


def _how(core: Core) -> str:
    return (
        "git clone https://github.com/tensorflow/tflite-micro, in it make -f tensorflow/lite/micro/tools/make/Makefile "
        f"TARGET=cortex_m_generic TARGET_ARCH={_TARGET_ARCHS[core.name][0]} OPTIMIZED_KERNEL_DIR=cmsis_nn "
        f"BUILD_TYPE=release microlite, then {VARIABLE}=that folder"
    )
