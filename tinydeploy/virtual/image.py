"""The ELF: what is loaded where, symbols, and the source line of an address."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tinydeploy.errors import ToolchainError
from tinydeploy.virtual.source import SourceLines


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes to load. `address` is where the program expects them (VMA), `load_address` where flash holds them (LMA)."""

    address: int
    load_address: int
    data: bytes
    size_bytes: int
    writable: bool
    executable: bool


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named address; bit 0 of a function's address is cleared."""

    name: str
    address: int
    size_bytes: int
    is_function: bool


class FirmwareImage:
    """A program as it lies in flash, and what its file tells of it. ``symbols`` is empty where the file has none."""

    def __init__(self, path: Path, segments: tuple[Segment, ...], symbols: Iterable[Symbol] = ()) -> None:
        self.path = path
        self.segments = segments
        self.symbols = {symbol.name: symbol for symbol in symbols}
        functions = sorted((s for s in self.symbols.values() if s.is_function), key=lambda s: s.address)
        self._functions = functions
        self._function_starts = [symbol.address for symbol in functions]

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`; ToolchainError when the file has none."""
        if name not in self.symbols:
            raise ToolchainError(f"{self.path}: no symbol {name!r}; is it static, or dropped by the linker?")
        return self.symbols[name]

    def address(self, place: int | str) -> int:
        """An address as it is, or that of a symbol."""
        return place if isinstance(place, int) else self.symbol(place).address

    def function_at(self, address: int) -> str | None:
        """The function whose code holds `address`."""
        index = bisect.bisect_right(self._function_starts, address) - 1
        if index < 0:
            return None
        symbol = self._functions[index]
        size = symbol.size_bytes or 4096  # assembly functions may carry no size
        return symbol.name if address < symbol.address + size else None

    def source_line(self, address: int) -> str | None:
        """``file.c:line`` of the code at `address`; None where the file does not tell."""
        return None

    def describe(self, address: int) -> str:
        """``file.c:line (function)`` as far as the file knows, and always the address."""
        line, function = self.source_line(address), self.function_at(address)
        place = f"0x{address:08x}"
        if function:
            place = f"{function} ({place})"
        return f"{line}, {place}" if line else place


class ElfImage(FirmwareImage):
    """An executable for Arm, read once."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                elf = ELFFile(stream)
                if elf.get_machine_arch() != "ARM" or elf.elfclass != 32:
                    raise ToolchainError(f"{path}: not a 32-bit Arm ELF file; build the firmware for the board")
                super().__init__(path, tuple(_segments(elf)), _symbols(elf))
        except OSError as error:
            raise ToolchainError(f"{path}: cannot be read ({error.strerror}); build the firmware first") from error
        except ELFError as error:
            raise ToolchainError(f"{path}: not a whole ELF file ({error}); build it or copy it again") from error
        self._source = SourceLines(path)

    def source_line(self, address: int) -> str | None:
        """``file.c:line`` of the code at `address`, from DWARF; None without debug information."""
        return self._source.find(address)


def _segments(elf: Any) -> list[Segment]:
    return [
        Segment(
            segment["p_vaddr"],
            segment["p_paddr"],
            segment.data(),
            segment["p_memsz"],
            bool(segment["p_flags"] & 2),
            bool(segment["p_flags"] & 1),
        )
        for segment in elf.iter_segments()
        if segment["p_type"] == "PT_LOAD" and segment["p_memsz"]
    ]


def _symbols(elf: Any) -> list[Symbol]:
    found = []
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            kind = symbol["st_info"]["type"]
            if not symbol.name or symbol["st_shndx"] == "SHN_UNDEF" or symbol.name.startswith("$"):
                continue
            if kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"):
                is_function = kind == "STT_FUNC"
                address = symbol["st_value"] & ~1 if is_function else symbol["st_value"]
                found.append(Symbol(symbol.name, address, symbol["st_size"], is_function))
    return found
