"""C sources + Board -> project folder: the firmware around the model, and the Makefile that builds it.

What is written (all paths relative to the folder): the given sources, ``firmware/`` and ``Makefile``. The folder
stands alone: ``make`` builds it without Python.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tinydeploy.boards import Board, Pin
from tinydeploy.errors import BoardError
from tinydeploy.families import FAMILIES
from tinydeploy.families.uarts import UART_DRIVERS
from tinydeploy.files import output_errors, write_if_changed
from tinydeploy.memory_state import state_registers
from tinydeploy.placement import Placement, place
from tinydeploy.resources import resource_dir
from tinydeploy.rp2040_boot import second_stage

# Plain files that every firmware has; main.c and the link lie beside them.
_COMMON = (
    "main.c",
    "link.c",
    "link.h",
    "frame.c",
    "frame.h",
    "mlperf.c",
    "mlperf.h",
    "mlperf_encoding.c",
    "mlperf_encoding.h",
    "mlperf_text.c",
    "mlperf_text.h",
    "startup.c",
    "fault.c",
    "fault.h",
    "cache.c",
    "cache.h",
    "clock.h",
    "memory.c",
    "mmio.h",
    "stack.c",
    "stack.h",
    "uart.c",
    "uart.h",
)
_AHB_CODE = {1: 0, 2: 8, 4: 9, 8: 10, 16: 11, 64: 12, 128: 13, 256: 14, 512: 15}
_APB_CODE = {1: 0, 2: 4, 4: 5, 8: 6, 16: 7}
_GENERATED = re.compile(r"^GENERATED :=((?:.*\\\n)*.*)$", re.MULTILINE)
# By tool, in order of preference; {} is what the board's [flash_tools] says of it. The first write the firmware, the
# others serve GDB on port 3333.
_FLASH_COMMANDS = {
    "openocd": 'openocd {} -c "program $(ELF) verify reset exit"',
    "st_flash": "st-flash {} write build/firmware.bin 0x{flash:08X}",
    "pyocd": "pyocd load --target {0} $(ELF) && pyocd reset --target {0}",
    "picotool": "picotool load {} $(ELF) && picotool reboot",
}
_DEBUG_COMMANDS = {"openocd": "openocd {}", "pyocd": "pyocd gdbserver --target {}"}
_FLASH_MISSING = (
    "found none of openocd, st-flash, pyocd; install one: "
    "apt install openocd, or apt install stlink-tools, or pip install pyocd"
)
_DEBUG_MISSING = "found neither openocd nor pyocd; install one: apt install openocd, or pip install pyocd"


def _clock_defines(board: Board) -> dict[str, str]:
    """The settings of [clock] as ``BOARD_CLOCK_*`` macros for the clock driver: numbers, and flags as 0 or 1."""
    settings = board.clock.settings
    defines: dict[str, str] = {}
    for key, value in settings.items():
        if key in ("sysclk_hz", "flash_wait_states"):
            continue
        if key == "source":
            defines[f"SOURCE_{str(value).upper()}"] = "1"
        elif isinstance(value, bool):
            defines[key.upper()] = str(int(value))
        elif key.endswith("_prescaler"):
            name = key.removesuffix("_prescaler")
            code = (_AHB_CODE if name in ("ahb", "sys") else _APB_CODE)[int(value)]
            register = {"ahb": "HPRE", "sys": "SYSPRE"}.get(name, f"PPRE{name[-1]}")
            defines[register] = f"{code}u /* {name.upper()} / {value} */"
        else:
            defines[key.upper()] = f"{value}u"
    for name, number in board.clock.defines.items():
        defines[name] = f"{number}u"
    return defines


def _commands(known: Mapping[str, str], board: Board) -> dict[str, str]:
    """Tool name -> the command of it, for the tools that the board names."""
    tools = board.flash_tools
    return {
        tool.replace("_", "-"): command.format(tools[tool], flash=board.flash.origin)
        for tool, command in known.items()
        if tool in tools
    }


def _placement(manifest: Mapping[str, Any], board: Board) -> Placement:
    """Where the model goes, by the sizes that its manifest states; without one, where the board prefers it."""
    sizes = {key: manifest.get(key, 0) for key in ("arena_bytes", "constants_bytes", "copied_bytes")}
    return place(board, **sizes, copied_to=manifest.get("copied_to"))


def _vectors(board: Board) -> list[tuple[int, int, str]]:
    """Runs of interrupts and the macro argument that stands for their handler: first, last, name."""
    runs: list[tuple[int, int, str]] = []
    start = 0
    for irq in board.uart.irqs:
        if irq > start:
            runs.append((start, irq - 1, "unused"))
        runs.append((irq, irq, "uart"))
        start = irq + 1
    if start < board.irq_count:
        runs.append((start, board.irq_count - 1, "unused"))
    return runs


def _context(board: Board, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the templates say of `board` and of the model that `manifest` describes."""
    family = FAMILIES[board.family]
    tflm = manifest.get("tflm")

    def gpio_port(pin: Pin) -> int:
        assert family.gpio is not None
        return family.gpio.ports.index(pin.port)

    return {
        "board": board,
        "core": board.core,
        "family": family,
        "placement": _placement(manifest, board),
        "tflm": tflm,
        # What the model costs: with an interpreter, all of its library and of the C library that it needs.
        "model_objects": "EXCLUDE_FILE(*build/obj/firmware/*) *" if tflm else "*build/obj/model/*",
        "clock_defines": _clock_defines(board),
        "vectors": _vectors(board),
        "gpio_port": gpio_port,
        "state_registers": state_registers(board),
        "gcc_flags": " ".join(board.core.gcc_flags),
        "zig_flags": f"-target {board.core.zig_target} -mcpu={board.core.zig_cpu}",
        "flash_commands": _commands(_FLASH_COMMANDS, board),
        "flash_missing": _FLASH_MISSING,
        "debug_commands": _commands(_DEBUG_COMMANDS, board),
        "debug_missing": _DEBUG_MISSING,
        **({"boot2": second_stage(int(board.clock.settings["flash_divider"]))} if family.boot == "rp2040" else {}),
    }


def _drivers(board: Board) -> dict[str, str]:
    """Name in ``firmware/`` -> the file of ``firmware_templates/drivers/`` that the board has there."""
    family = FAMILIES[board.family]
    uart = UART_DRIVERS[board.uart.driver]
    drivers = {
        "clock.c": f"clock_{family.clock_driver}.c",
        **{header: header for header in family.clock_headers},
        "uart_hw.h": uart.file,
        **{name: name for name in uart.includes},
        "pins.h": f"pins_{family.pins}.h",
        "cycles.h": f"cycles_{board.core.cycle_counter}.h",
    }
    if board.core.cycle_counter == "systick":
        drivers["cycles.c"] = "cycles_systick.c"
    if family.boot == "rp2350":
        drivers["boot.c"] = "boot_rp2350.c"
    return drivers


def _plain_files(board: Board) -> dict[str, str | bytes]:
    """The files of ``firmware/`` that are the same for every model. BoardError where a driver is not there."""
    templates = resource_dir("firmware_templates")
    files: dict[str, str | bytes] = {}
    for name in _COMMON:
        files[f"firmware/{name}"] = (templates / name).read_text(encoding="utf-8")
    for name, driver in _drivers(board).items():
        path = templates / "drivers" / driver
        if not path.is_file():
            raise BoardError(f"{board.name}: no driver firmware_templates/drivers/{driver}; write it or choose another")
        files[f"firmware/{name}"] = path.read_text(encoding="utf-8")
    return files


def project_files(sources: Mapping[str, str | bytes], board: Board) -> dict[str, str | bytes]:
    """Every file of the project: `sources`, ``firmware/`` and the ``Makefile``; relative path -> content.

    A source takes the place of a firmware file of the same path.
    """
    # Imported here: building needs Jinja, the many commands that do not build should start fast.
    from tinydeploy.rendering import environment

    templates = environment()
    context = _context(board, json.loads(sources.get("tinydeploy.json", "{}")))

    def render(name: str, **more: Any) -> str:
        return templates.get_template(f"{name}.j2").render(context, **more)

    files: dict[str, str | bytes] = {"firmware/board.h": render("board.h"), "firmware/link.ld": render("link.ld")}
    if FAMILIES[board.family].boot == "rp2040":
        files["firmware/boot.c"] = render("drivers/boot_rp2040.c")
    files |= _plain_files(board)
    files |= sources
    return {"Makefile": render("Makefile", generated=sorted(files)), **files}


def _generated_before(out: Path) -> list[str]:
    """The files that a former run wrote to `out`, as its Makefile lists them; empty where none has."""
    try:
        makefile = (out / "Makefile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    found = _GENERATED.search(makefile)
    return found[1].replace("\\\n", " ").split() if found else []


def write_project(sources: Mapping[str, str | bytes], board: Board, out: Path) -> tuple[str, ...]:
    """Write the project folder `out`: `sources` (relative path -> content) and the firmware for `board`.

    A source takes the place of a firmware file of the same path. Only files whose content changes are written, so that
    make has nothing to do after a second run. What a former run wrote and this one does not is removed, since the
    Makefile compiles every C file that it finds; files that the user has put there stay. Returns the changed paths,
    sorted. Raises OutputError when `out` cannot be written.
    """
    files = project_files(sources, board)
    for name in files:
        relative = PurePosixPath(name)
        assert not relative.is_absolute(), name
        assert ".." not in relative.parts, name
    changed = []
    for name in _generated_before(out):
        path = out / name
        if name not in files and ".." not in path.parts and path.is_file():
            with output_errors(path):
                path.unlink()
            changed.append(name)
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        if write_if_changed(out / name, data):
            changed.append(name)
    return tuple(sorted(changed))
