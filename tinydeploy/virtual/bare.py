"""Run single functions of an ELF on a bare emulated core: no clock tree, no peripherals, exact counts.

Every buffer lies in pages of its own with nothing mapped around it, against the page after it or the one before, so
that an access past that side stops the run at the guilty source line. What the core itself would fault on (unaligned
LDRD, undefined instructions) stops it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinydeploy.cores import Core
from tinydeploy.errors import FirmwareFaultError, ToolchainError
from tinydeploy.virtual.checks import Cause, StrictChecks
from tinydeploy.virtual.chips.chip import Chip
from tinydeploy.virtual.counter import Action, BlockCounter, combine
from tinydeploy.virtual.cpu import FETCH, PAGE_BYTES, PROT_EXEC, PROT_READ, PROT_WRITE, Cpu
from tinydeploy.virtual.decode import Block, Instruction
from tinydeploy.virtual.image import ElfImage
from tinydeploy.virtual.memory import Memory
from tinydeploy.virtual.models import CycleModel, model_for
from tinydeploy.virtual.models.silicon import Silicon
from tinydeploy.virtual.stack import StackWatch

# All in the external RAM region, which the core's default memory map lets execute (Armv7-M ARM B3.1).
_BUFFERS = 0x6000_0000
_STACK_TOP = 0x9F00_0000
_RETURN = 0x9FFF_F000  # where a called function returns to: a page of its own
_ARGUMENT_REGISTERS = ("r0", "r1", "r2", "r3")


@dataclass(frozen=True, slots=True)
class Result:
    """One call: exact ``instructions``, estimated ``cycles``, r0 on return, the stack used."""

    instructions: int
    cycles: int
    value: int
    stack_bytes: int


class BareCore:
    """An ELF's segments in the memory of one core. Keep one and call it many times: the first call decodes."""

    def __init__(self, core: Core, elf: Path, *, stack_bytes: int = 64 * 1024, model: CycleModel | None = None) -> None:
        self.image = ElfImage(elf)
        self.cpu = Cpu(core)
        self.counter = BlockCounter(self.cpu, model or model_for(core))
        self._fault: str | None = None
        self._next_buffer = _BUFFERS
        self._stack_bytes = _pages(stack_bytes)
        for address, data, protection in _merge(self.image):
            self.cpu.map(address, _pages(len(data)), protection)
            self.cpu.write(address, data)
        self.cpu.map(_STACK_TOP - self._stack_bytes, self._stack_bytes, PROT_READ | PROT_WRITE)
        self.cpu.map(_RETURN, PAGE_BYTES, PROT_READ | PROT_EXEC)
        self.cpu.on_invalid(self._invalid)
        self.cpu.on_interrupt(self._interrupt)
        self._checks = StrictChecks(self.cpu, self.counter, self._report)
        self._stack = StackWatch(self.cpu)
        self.counter.visit = self._visit

    def put_caches(self, silicon: Silicon, chip: Chip) -> None:
        """Put the caches of a calibrated `chip` before its flash; the ELF's code must lie there."""
        self._memory = Memory(self.counter, silicon, chip)

    def allocate(
        self,
        data: bytes | int,
        *,
        against: Literal["end", "start"] = "end",
        alignment: int = 4,
        writable: bool = True,
    ) -> int:
        """A buffer holding `data` (or that many zero bytes): its address, a multiple of `alignment`.

        It lies against the unmapped page at its end, as far as the alignment lets it, or against the one at its start.
        """
        content = bytes(data) if isinstance(data, int) else data
        size = _pages(max(len(content), 1))
        address = self._next_buffer
        self._next_buffer += size + PAGE_BYTES
        self.cpu.map(address, size, PROT_READ | (PROT_WRITE if writable else 0))
        start = address if against == "start" else address + (size - len(content)) // alignment * alignment
        self.cpu.write(start, content)
        return start

    def address(self, place: int | str) -> int:
        """An address as it is, or that of a symbol."""
        return self.image.address(place)

    def write(self, place: int | str, data: bytes) -> None:
        """Put `data` at an address or symbol."""
        self.cpu.write(self.address(place), data)

    def read(self, place: int | str, size_bytes: int) -> bytes:
        """The bytes at an address or symbol."""
        return self.cpu.read(self.address(place), size_bytes)

    def call(self, symbol: int | str, *arguments: int, max_cycles: int = 20_000_000_000) -> Result:
        """Call a function with 32-bit integer or pointer arguments: r0 to r3, then the stack (AAPCS)."""
        cpu, counter = self.cpu, self.counter
        entry = self.address(symbol)
        extra = arguments[len(_ARGUMENT_REGISTERS) :]
        sp = _STACK_TOP - (len(extra) * 4 + 7 & ~7)
        cpu.write(sp, b"".join((value & 0xFFFF_FFFF).to_bytes(4, "little") for value in extra))
        cpu["xpsr"] = 0x0100_0000
        cpu["sp"], cpu["lr"] = sp, _RETURN | 1
        for register, value in zip(_ARGUMENT_REGISTERS, arguments, strict=False):
            cpu[register] = value
        counter.break_sequence()
        self._fault = None
        self._stack.lowest = sp
        before = counter.instructions, counter.cycles
        pc = entry & ~1
        while pc != _RETURN:
            left = max_cycles - (counter.cycles - before[1])
            if left <= 0:
                raise FirmwareFaultError(f"{symbol}: still running after {max_cycles:,} cycles; is it in a loop?")
            status = counter.run(pc, left)
            pc = cpu["pc"]
            if status and self._fault is None:
                self._fault = f"undefined instruction ({cpu.error_text(status)}) at {self.image.describe(pc)}"
            if self._fault is not None:
                raise FirmwareFaultError(f"{self.image.path.name}: {self._fault}")
        return Result(counter.instructions - before[0], counter.cycles - before[1], cpu["r0"], sp - self._stack.lowest)

    def _fail(self, message: str) -> None:
        self._fault = self._fault or message
        self.counter.halt()
        self.cpu.stop()

    def _visit(self, previous: Block | None, block: Block) -> Action | None:
        if block.address == _RETURN:
            return self.counter.halt
        return combine(self._stack.visit(previous, block), self._checks.visit(previous, block))

    def _report(self, instruction: Instruction, _cause: Cause) -> None:
        self._fail(
            f"{self.image.describe(instruction.address)}: '{instruction.text}' at an address that is not a multiple of "
            "4 faults on silicon"
        )

    def _invalid(self, kind: str, address: int, size: int) -> None:
        pc = self.cpu["pc"]
        what = "runs into" if kind == FETCH else f"{kind}s {size} bytes at"
        self._fault = f"{self.image.describe(pc)} {what} 0x{address:08x}, where nothing is mapped"

    def _interrupt(self, number: int) -> None:
        self._fail(f"exception {number} at {self.image.describe(self.cpu['pc'])}")


def _pages(size_bytes: int) -> int:
    return -(-size_bytes // PAGE_BYTES) * PAGE_BYTES


def _merge(image: ElfImage) -> list[tuple[int, bytes, int]]:
    """Segments as whole pages at their run addresses; those that share a page are one, with the rights of both."""
    merged: list[tuple[int, bytearray, int]] = []
    for segment in sorted(image.segments, key=lambda segment: segment.address):
        start = segment.address // PAGE_BYTES * PAGE_BYTES
        data = bytes(segment.address - start) + segment.data.ljust(segment.size_bytes, b"\0")
        rights = PROT_READ | (PROT_WRITE if segment.writable else 0) | (PROT_EXEC if segment.executable else 0)
        if merged and start < merged[-1][0] + _pages(len(merged[-1][1])):
            address, content, before = merged.pop()
            content.extend(bytes(max(0, segment.address - address - len(content))))
            content[segment.address - address :] = data[segment.address - start :]
            merged.append((address, content, before | rights))
        else:
            merged.append((start, bytearray(data), rights))
    if not merged:
        raise ToolchainError(f"{image.path}: has no loadable segments; was it linked?")
    return [(address, bytes(data), rights) for address, data, rights in merged]
