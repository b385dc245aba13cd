"""Generated C as the sources of a library: names of its own, and one set of sources per core behind macros.

A library cannot know where it will be compiled: the same Arduino library runs on a Cortex-M0+ and a Cortex-M4, the same
CMake package on a board and on the x86 host that tests the application. So it carries the portable sources and those of
some cores, each file between ``#if`` and ``#endif``, and ``<name>_core.h`` chooses by what the compiler defines.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.codegen import render
from tinydeploy.cores import CORES, Core
from tinydeploy.errors import UsageError

PORTABLE = "portable"

_M_PROFILE = "defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'"
# What the compiler defines where a core's kernels run (Arm C Language Extensions, 2024Q3, section 5), the most special
# first. A core that is not among a library's own takes the next set that it can run: an M33 that of the M4, an M3 that
# of the M0+. No compiler tells an M4 from an M7.
_CONDITIONS = {
    "m55": f"{_M_PROFILE} && defined(__ARM_FEATURE_MVE)",
    "m33": f"{_M_PROFILE} && defined(__ARM_FEATURE_DSP) && __ARM_ARCH >= 8",
    "m7": f"{_M_PROFILE} && defined(__ARM_FEATURE_DSP)",
    "m4": f"{_M_PROFILE} && defined(__ARM_FEATURE_DSP)",
    "m0plus": _M_PROFILE,
}
# String literals stay, save what a line of assembly calls; names that begin with model_ or td_ are ours.
_OURS = re.compile(r'"bl td(?P<called>_\w+\\n)"|"(?:\\.|[^"\\\n])*"|\b(?P<prefix>model|MODEL|td|TD)(?=_)')
_CALL = re.compile(r'"bl (\w+)\\n"')
_STATIC = re.compile(r"^.*(?P<declaration>static void (?P<function>\w+)\([^()]*\)) \{$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CoreChoice:
    """A set of sources: its folder below src/, the macro that stands for it, and when it is compiled.

    `condition` is a preprocessor expression; None for the portable set, which is taken where no other is.
    """

    folder: str
    title: str
    macro: str
    condition: str | None


def choose_cores(names: Sequence[str]) -> tuple[Core, ...]:
    """The cores by `names`, the most special first. Raises UsageError for an unknown one, or two that look alike."""
    for name in names:
        if name not in CORES and name != PORTABLE:
            raise UsageError(f"--core {name}: no such core; there are {', '.join(CORES)} and {PORTABLE}")
    chosen = [name for name in _CONDITIONS if name in names]
    conditions = [_CONDITIONS[name] for name in chosen]
    for name, condition in zip(chosen, conditions, strict=True):
        if conditions.count(condition) > 1:
            alike = " and ".join(other for other in chosen if _CONDITIONS[other] == condition)
            raise UsageError(f"--core {name}: compilers do not tell {alike} apart; export one of them")
    return tuple(CORES[name] for name in chosen)


def core_choice(core: Core | None) -> CoreChoice:
    """The set of sources for `core`, or the portable one."""
    if core is None:
        return CoreChoice(PORTABLE, "any other machine", PORTABLE.upper(), None)
    return CoreChoice(core.name, core.title, core.name.upper(), _CONDITIONS[core.name])


def rename(text: str, name: str) -> str:
    """C with every name that begins with model_ or td_ put into the name space of the library `name`."""
    prefixes = {"model": name, "MODEL": name.upper(), "td": f"{name}_td", "TD": f"{name.upper()}_TD"}

    def replaced(found: re.Match[str]) -> str:
        if found["called"]:
            return f'"bl {prefixes["td"]}{found["called"]}"'
        return prefixes[found["prefix"]] if found["prefix"] else found[0]

    return _OURS.sub(replaced, text)


def label(text: str) -> str:
    """C in which the functions that assembly calls have the same name for the linker when it is compiled as C++."""
    called = set(_CALL.findall(text))

    def labelled(found: re.Match[str]) -> str:
        function = found["function"]
        return f'{found["declaration"]} __asm__("{function}");\n{found[0]}' if function in called else found[0]

    return _STATIC.sub(labelled, text)


def guard(text: str, name: str, choice: CoreChoice) -> str:
    """A C file of which nothing is compiled unless its set of sources is chosen, and that is optimized for speed."""
    comment, body = text.split("*/\n", 1)
    return render(
        "export/parts/guarded.c.j2",
        {"comment": f"{comment}*/", "body": body, "name": name, "upper": name.upper(), "macro": choice.macro},
    )


def library_sources(files: Mapping[str, str], name: str, choice: CoreChoice) -> dict[str, str]:
    """The generated `files` below src/, those of one core: path -> text.

    C files are named after the core too, since some build systems put all objects of a library side by side.
    """
    made = {}
    for path, text in files.items():
        renamed = rename(text, name)
        if path.endswith(".c"):
            made[f"src/{choice.folder}/{path[:-2]}_{choice.folder}.c"] = guard(label(renamed), name, choice)
        else:
            made[f"src/{choice.folder}/{path}"] = renamed
    return made
