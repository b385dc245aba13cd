"""Source lines of code addresses, from DWARF. Only the compilation unit that holds an address is decoded."""

from __future__ import annotations

import bisect
from pathlib import Path
from typing import Any

from elftools.dwarf.ranges import BaseAddressEntry
from elftools.elf.elffile import ELFFile

Rows = tuple[list[int], list[str | None]]


class SourceLines:
    """The line tables of one ELF file, read on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, Rows] = {}  # by the unit's offset
        self._units: list[tuple[int, list[tuple[int, int]]]] | None = None

    def find(self, address: int) -> str | None:
        """``file.c:line`` of the code at `address`; None without debug information."""
        with self._path.open("rb") as stream:
            elf = ELFFile(stream)
            if not elf.has_dwarf_info():
                return None
            dwarf = elf.get_dwarf_info()
            if self._units is None:
                self._units = [(unit.cu_offset, _unit_ranges(dwarf, unit)) for unit in dwarf.iter_CUs()]
            for offset, ranges in self._units:
                if not any(low <= address < high for low, high in ranges):
                    continue
                if offset not in self._rows:
                    self._rows[offset] = _unit_rows(dwarf, dwarf.get_CU_at(offset))
                starts, lines = self._rows[offset]
                index = bisect.bisect_right(starts, address) - 1
                if index >= 0 and lines[index] is not None:
                    return lines[index]
        return None


def _unit_ranges(dwarf: Any, unit: Any) -> list[tuple[int, int]]:
    """The code addresses of a compilation unit; everything when it does not tell."""
    top = unit.get_top_DIE()
    low = top.attributes.get("DW_AT_low_pc")
    high = top.attributes.get("DW_AT_high_pc")
    if low is not None and high is not None:
        size = high.value if high.form != "DW_FORM_addr" else high.value - low.value
        return [(low.value, low.value + size)]
    attribute = top.attributes.get("DW_AT_ranges")
    lists = dwarf.range_lists()
    if attribute is None or lists is None:
        return [(0, 1 << 32)]
    base = low.value if low is not None else 0
    ranges = []
    for entry in lists.get_range_list_at_offset(attribute.value, cu=unit):
        if isinstance(entry, BaseAddressEntry):
            base = entry.base_address
        else:
            start = 0 if getattr(entry, "is_absolute", False) else base
            ranges.append((start + entry.begin_offset, start + entry.end_offset))
    return ranges


def _unit_rows(dwarf: Any, unit: Any) -> Rows:
    program = dwarf.line_program_for_CU(unit)
    if program is None:
        return [], []
    files = program["file_entry"]
    first = 0 if program["version"] >= 5 else 1  # DWARF 5 counts files from 0
    names = [Path(entry.name.decode(errors="replace")).name for entry in files]
    rows: list[tuple[int, str | None]] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        index = state.file - first
        name = names[index] if 0 <= index < len(names) else "?"
        rows.append((state.address, None if state.end_sequence else f"{name}:{state.line}"))
    rows.sort(key=lambda row: row[0])
    return [row[0] for row in rows], [row[1] for row in rows]
