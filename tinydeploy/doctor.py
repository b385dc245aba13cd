"""What stands between this machine and a board that answers, and what makes the board slow: facts, each with a step.

The way from the host to the core: flash tools, the port, who may open it and who has it open, the baud rate, the
firmware, its clock and memories, how it was compiled.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinydeploy.boards import Board
from tinydeploy.errors import LinkError, TinydeployError
from tinydeploy.exchange import Timing
from tinydeploy.memory_state import MemoryState, memory_state
from tinydeploy.ports import UDEV_FILE, Port, boards_behind, holders, refused_by
from tinydeploy.project import Project
from tinydeploy.protocol import About, DeviceInfo
from tinydeploy.session import Session
from tinydeploy.transport import DEFAULT_BAUD, SerialTransport

Level = Literal["ok", "note", "slow", "wrong"]

# What writes or debugs firmware, by the name that boards/*.toml has for it: the program, and how to get it.
TOOLS: Mapping[str, tuple[str, str]] = {
    "openocd": ("openocd", "apt install openocd"),
    "st_flash": ("st-flash", "apt install stlink-tools"),
    "pyocd": ("pyocd", "pip install pyocd"),
    "picotool": ("picotool", "apt install picotool"),
}
_GDBS = ("arm-none-eabi-gdb", "gdb-multiarch")
_OTHER_BAUDS = (9_600, 57_600, 230_400, 460_800, 921_600)
_PATIENCE = Timing()
_LESS_PATIENCE = Timing(patience_s=0.5)  # at a rate that no board has
_FAST_FLAGS = ("-O2", "-O3")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about `topic`. `level`: "ok", "note" (no harm), "slow" (it costs time), "wrong" (it will not work)."""

    level: Level
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Device:
    """What answered: its own words, and the state of its memories where its board is known. `about` is None from older
    firmware."""

    info: DeviceInfo
    about: About | None
    memories: MemoryState | None


@dataclass(frozen=True, slots=True)
class Examined:
    """One port with the boards that may be behind it, what was found, and the device where one answered."""

    port: Port
    boards: tuple[str, ...]
    findings: tuple[Finding, ...]
    device: Device | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything. `tools` are programs and their paths, None for what is missing."""

    tools: Mapping[str, str | None]
    findings: tuple[Finding, ...]
    ports: tuple[Examined, ...]

    @property
    def wrong(self) -> bool:
        """Whether anything will not work."""
        return any(
            finding.level == "wrong" for finding in [*self.findings, *(f for p in self.ports for f in p.findings)]
        )


def diagnose_ports(ports: Sequence[Port], boards: Sequence[Board], project: Project | None = None) -> Diagnosis:
    """The serial ports `ports`, and whether firmware can be written to what may be behind them."""
    tools = find_tools()
    behind = {name for port in ports for name in boards_behind(port, boards)}
    wanted = [board for board in boards if board.name in behind] or boards
    findings = tool_findings(tools, wanted)
    if not ports:
        findings.append(
            Finding(
                "wrong", "port",
                "no USB serial port: plug the board in by its debug USB connector, with a cable that carries data; "
                "--virtual examines the virtual board",
            )
        )  # fmt: skip
    return Diagnosis(tools, tuple(findings), tuple(examine_port(port, boards, project) for port in ports))


def diagnose_session(session: Session, boards: Sequence[Board], project: Project) -> Diagnosis:
    """A device that is there already: the virtual board of `project`."""
    tools = find_tools()
    wanted = [board for board in boards if board.name == project.board]
    device = ask(session, boards)
    examined = Examined(Port(session.transport.name), (), tuple(device_findings(device, boards, project)), device)
    return Diagnosis(tools, tuple(tool_findings(tools, wanted)), (examined,))


def find_tools() -> dict[str, str | None]:
    """The flash tools and debuggers, and where each is."""
    return {program: shutil.which(program) for program in [*(program for program, _ in TOOLS.values()), *_GDBS]}


def tool_findings(tools: Mapping[str, str | None], boards: Sequence[Board]) -> list[Finding]:
    """Whether firmware can be written to `boards` (all that may be connected) with what is there."""
    takes = [name for name in TOOLS if any(name in board.flash_tools for board in boards)]
    here = [TOOLS[name][0] for name in takes if tools[TOOLS[name][0]]]
    missing = [f"{TOOLS[name][0]} ({TOOLS[name][1]})" for name in takes if not tools[TOOLS[name][0]]]
    if not here:
        found = Finding("note", "flash", f"make flash finds none of its tools; install one: {', '.join(missing)}")
    else:
        rest = f"; not here: {', '.join(missing)}" if missing else ""
        found = Finding("ok", "flash", f"{', '.join(here)}{rest}")
    gdb = next((program for program in _GDBS if tools[program]), None)
    if gdb is None:
        return [found, Finding("note", "debug", "make debug finds no GDB; install one: apt install gdb-multiarch")]
    return [found, Finding("ok", "debug", gdb)]


def examine_port(port: Port, boards: Sequence[Board], project: Project | None = None) -> Examined:
    """Everything about one serial port; `project` is what should run behind it."""
    behind = boards_behind(port, boards)
    if not Path(port.device).exists():
        missing = Finding("wrong", "port", f"there is no {port.device}; plug the board in, or look at its name")
        return Examined(port, behind, (missing,), None)
    findings = [_usb_finding(port, behind)]
    if blocked := _access_finding(port):
        return Examined(port, behind, (*findings, blocked), None)
    expected = sorted({board.uart.baud for board in boards if board.name in behind} | {DEFAULT_BAUD})
    silence = ""
    for baud in [*expected, *(rate for rate in _OTHER_BAUDS if rate not in expected)]:
        timing = _PATIENCE if baud in expected else _LESS_PATIENCE
        with closing(Session(SerialTransport(port.device, baud), timing=timing, fast=False)) as session:
            try:
                device = ask(session, boards)
            except LinkError as error:
                silence = silence or str(error)
                continue
            except TinydeployError as error:
                return Examined(port, behind, (*findings, Finding("wrong", "firmware", str(error))), None)
        findings += [_baud_finding(baud, expected), *device_findings(device, boards, project)]
        return Examined(port, behind, tuple(findings), device)
    return Examined(port, behind, (*findings, Finding("wrong", "answer", silence)), None)


def ask(session: Session, boards: Sequence[Board]) -> Device:
    """What the device behind `session` says of itself."""
    info = session.hello()
    about = session.about()
    board = _board_of(info, boards)
    return Device(info, about, memory_state(board, about) if board and about else None)


def device_findings(device: Device, boards: Sequence[Board], project: Project | None) -> list[Finding]:
    """Whether it is the build that it should be, and what makes it slow."""
    info, board = device.info, _board_of(device.info, boards)
    found = [
        Finding("ok", "firmware", f"{info.model} on {info.board}, build {info.fingerprint}"),
        *_build(info, project),
    ]
    if board is None:
        text = f"{info.board} is no board known here; run this where its .toml is: --project FOLDER"
        return [*found, Finding("note", "board", text), *_line(info)]
    found.append(_clock(info, board))
    if device.about is None:
        text = "the firmware is too old to tell its caches, wait states and flags; rebuild it and flash it again"
        return [*found, Finding("note", "state", text), *_line(info)]
    assert device.memories is not None
    return [*found, *_memories(device.memories, board), *_code(device.about, board), *_line(info)]


def _board_of(info: DeviceInfo, boards: Sequence[Board]) -> Board | None:
    return next((board for board in boards if board.name == info.board), None)


def _usb_finding(port: Port, behind: Sequence[str]) -> Finding:
    if port.usb_id is None:
        return Finding(
            "note", "port", f"{port.device} is no USB port (an adapter of another kind, or a pseudo-terminal)"
        )
    who = f"one of {', '.join(behind)}" if len(behind) > 1 else behind[0] if behind else "no board known here"
    return Finding("ok" if behind else "note", "port", f"{port.device}: USB {port.usb_id} ({port.product}), {who}")


def _access_finding(port: Port) -> Finding | None:
    """What keeps the port from being used; None when nothing does."""
    if group := refused_by(port.device):
        text = (
            f"you may not open {port.device}: sudo usermod -aG {group} $USER and log in again, or "
            f"tinydeploy doctor --udev-rules | sudo tee {UDEV_FILE} and plug it in again"
        )
        return Finding("wrong", "access", text)
    refusal = None
    try:
        SerialTransport(port.device).close()
    except LinkError as error:
        refusal = str(error)
    if (refusal is None or "in use" in refusal) and (others := holders(port.device)):
        names = ", ".join(f"{other.name} (process {other.pid})" for other in others)
        return Finding("wrong", "access", f"{names} has {port.device} open and takes its bytes away; end it")
    return None if refusal is None else Finding("wrong", "access", refusal)


def _baud_finding(baud: int, expected: Sequence[int]) -> Finding:
    if baud in expected:
        return Finding("ok", "baud", f"{baud:,}")
    return Finding("wrong", "baud", f"it answers at {baud:,} and not at {expected[0]:,}; build for its board and flash")


def _build(info: DeviceInfo, project: Project | None) -> list[Finding]:
    if project is None:
        return []
    if project.fingerprint[:16] == info.fingerprint:
        return [Finding("ok", "build", f"the one in {project.folder}")]
    there = f"{project.folder} holds {project.model_name} for {project.board}, build {project.fingerprint[:16]}"
    return [Finding("note", "build", f"another than here: {there}; make -C {project.folder} flash writes it")]


def _clock(info: DeviceInfo, board: Board) -> Finding:
    mhz, wanted = info.core_hz / 1e6, board.clock.hclk_hz / 1e6
    if info.core_hz < board.clock.hclk_hz:
        return Finding("slow", "clock", f"{mhz:g} MHz, {board.name} runs at {wanted:g}; rebuild and flash again")
    return Finding("ok", "clock", f"{mhz:g} MHz")


def _memories(state: MemoryState, board: Board) -> list[Finding]:
    found = []
    needed, mhz = board.clock.flash_wait_states, board.clock.hclk_hz / 1e6
    if state.wait_states is not None:
        if state.wait_states > needed:
            text = (
                f"flash is read with {state.wait_states} wait states, {mhz:g} MHz need {needed}; mend the clock driver"
            )
            found.append(Finding("slow", "flash reads", text))
        elif state.wait_states < needed:
            text = f"flash has {state.wait_states} wait states, {mhz:g} MHz need {needed}; it will read wrong"
            found.append(Finding("wrong", "flash reads", text))
        else:
            found.append(Finding("ok", "flash reads", f"{needed} wait states, as {mhz:g} MHz need"))
    for name, on in state.accelerators.items():
        if on:
            found.append(Finding("ok", name, "on"))
        else:
            found.append(Finding("slow", name, "off: weights and code wait for the flash; the start-up code sets it"))
    if state.fpu is False:
        found.append(Finding("wrong", "FPU", "off: the first float instruction stops the firmware; flash this build"))
    elif state.fpu:
        found.append(Finding("ok", "FPU", "on"))
    return found


def _code(about: About, board: Board) -> list[Finding]:
    best = "mve" if board.core.mve else "dsp" if board.core.dsp else "portable"
    if about.kernels == best:
        kernels = Finding("ok", "kernels", f"{about.kernels}, {about.compiler}")
    else:
        text = f"{about.kernels}, but {board.core.title} has {best}: several times slower; mend the compiler's -mcpu"
        kernels = Finding("slow", "kernels", text)
    if not about.model_flags:
        return [kernels, Finding("note", "flags", "not told: it was not built by the project's Makefile")]
    levels = re.findall(r"-O\S*", about.model_flags) or ["-O0"]
    if levels[-1] not in _FAST_FLAGS:  # measured: 1.4 to 5 times with -Os
        text = f"the model is compiled with {levels[-1]}, several times slower; make MODEL_OPTIMIZE=-O3, and flash it"
        return [kernels, Finding("slow", "flags", text)]
    return [kernels, Finding("ok", "flags", about.model_flags)]


def _line(info: DeviceInfo) -> list[Finding]:
    """How long an input is on the way, beside which the inference may be short."""
    baud = max(info.fast_baud, info.baud)
    ms = info.input_bytes * 10 / baud * 1000
    return [Finding("note", "line", f"an input of {info.input_bytes:,} B takes {ms:,.0f} ms at {baud:,} baud")]
