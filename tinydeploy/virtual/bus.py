"""The peripheral bus: which peripheral answers at an address, and the checks that silicon makes only by failing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.cpu import PAGE_BYTES, Cpu
from tinydeploy.virtual.peripheral import Peripheral, SiliconError


@dataclass(frozen=True, slots=True)
class Slot:
    """A peripheral's place in the memory map, and the bit that clocks it (``None``: always clocked).

    ``off``: what is the matter while that bit is clear.
    """

    peripheral: Peripheral
    size_bytes: int
    enable_register: str = ""
    enable_bit: int | None = None
    off: str = ""


# Armv7-M ARM B3.1: peripherals and the private peripheral bus.
_DEVICE_REGIONS = ((0x4000_0000, 0x6000_0000), (0xE000_0000, 0xE010_0000))


class _Elsewhere(Peripheral):
    """Registers of peripherals that the chip's description does not have, by address."""

    def __init__(self) -> None:
        super().__init__("the bus", 0)

    def register_name(self, offset: int) -> str:
        return f"address 0x{offset:08x}"


class Bus:
    """Maps the slots of one chip into `cpu`.

    ``clocked(slot)`` says whether the clock of a slot is on. ``failed(address, is_write, message)`` is told what fails
    on silicon; ``noted`` gets every register that nothing models. With ``elsewhere``, what no slot covers of the device
    regions answers too, and keeps what is written.
    """

    def __init__(
        self,
        cpu: Cpu,
        slots: list[Slot],
        clocked: Callable[[Slot], bool],
        failed: Callable[[int, bool, str], None],
        noted: Callable[[str], None],
        elsewhere: bool = False,
    ) -> None:
        self._clocked = clocked
        self._failed = failed
        self._noted = noted
        self._pages: dict[int, list[Slot]] = {}
        for slot in slots:
            first, last = slot.peripheral.base, slot.peripheral.base + slot.size_bytes - 1
            for page in range(first // PAGE_BYTES, last // PAGE_BYTES + 1):
                self._pages.setdefault(page, []).append(slot)
        self._elsewhere = Slot(_Elsewhere(), 1 << 32) if elsewhere else None
        if elsewhere:
            for start, pages in _gaps(sorted(self._pages)):
                cpu.map_device(start * PAGE_BYTES, pages * PAGE_BYTES, self._read, self._write)
        for start, pages in _runs(sorted(self._pages)):
            cpu.map_device(start * PAGE_BYTES, pages * PAGE_BYTES, self._read, self._write)

    def _slot(self, address: int) -> Slot:
        for slot in self._pages.get(address // PAGE_BYTES, ()):
            if 0 <= address - slot.peripheral.base < slot.size_bytes:
                return slot
        if self._elsewhere is not None:
            return self._elsewhere
        raise SiliconError("nothing answers at that address")

    def _find(self, address: int, size: int, verb: str) -> tuple[Peripheral, int]:
        slot = self._slot(address)
        peripheral = slot.peripheral
        if not self._clocked(slot):
            raise SiliconError(f"{verb} {peripheral.name} while {slot.off}")
        offset = address - peripheral.base
        if offset % size:
            raise SiliconError(f"{verb} {peripheral.name} with an unaligned access of {size} bytes")
        if not peripheral.knows(offset & ~3):
            self._noted(peripheral.register_name(offset & ~3))
        return peripheral, offset

    def _read(self, address: int, size: int) -> int:
        try:
            peripheral, offset = self._find(address, size, "reads")
            return peripheral.read_part(offset, size)
        except SiliconError as error:
            self._failed(address, False, str(error))
            return 0

    def _write(self, address: int, size: int, value: int) -> None:
        try:
            peripheral, offset = self._find(address, size, "writes")
            peripheral.write_part(offset, size, value)
        except SiliconError as error:
            self._failed(address, True, str(error))


def _gaps(pages: list[int]) -> list[tuple[int, int]]:
    """What of the device regions lies in no page, as (first, count)."""
    gaps: list[tuple[int, int]] = []
    for low, high in _DEVICE_REGIONS:
        at = low // PAGE_BYTES
        for page in [page for page in pages if low <= page * PAGE_BYTES < high] + [high // PAGE_BYTES]:
            if page > at:
                gaps.append((at, page - at))
            at = page + 1
    return gaps


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """Consecutive page numbers as (first, count)."""
    runs: list[tuple[int, int]] = []
    for page in pages:
        if runs and runs[-1][0] + runs[-1][1] == page:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((page, 1))
    return runs
