"""An ELF file -> Image: sections, symbols, and how much flash and RAM the model and the rest take.

The linker script gives the objects under ``model/`` output sections of their own (``.model_*``), so sizes by owner are
read from the sections and need no map file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tinydeploy.errors import ToolchainError
from tinydeploy.fit import largest_first

MemoryUse = Literal["flash", "ram", "both"]

# .data and .model_copied lie in RAM, and in flash what they hold at first.
_SECTION_MEMORY: dict[str, MemoryUse] = {
    ".boot2": "flash",
    ".vectors": "flash",
    ".model_text": "flash",
    ".model_rodata": "flash",
    ".model_copied": "both",
    ".text": "flash",
    ".rodata": "flash",
    ".data": "both",
    ".model_bss": "ram",
    ".bss": "ram",
    ".stack": "ram",
}


@dataclass(frozen=True, slots=True)
class Section:
    """One section that takes memory on the device."""

    name: str
    address: int
    size_bytes: int
    memory: MemoryUse


@dataclass(frozen=True, slots=True)
class Symbol:
    """One function or object; ``address`` is where its first byte is (without the Thumb bit)."""

    name: str
    address: int
    size_bytes: int
    section: str


@dataclass(frozen=True, slots=True)
class Image:
    """A linked firmware. Sizes in bytes; ``ram_bytes`` includes the reserved stack.

    ``model_flash_bytes`` is all that comes from ``model/``: code, constants and first values of variables.
    ``model_ram_bytes`` is the model's variables: arena, buffers, state; without the stack of model_invoke.
    """

    elf: Path
    bin: Path
    hex: Path
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    flash_bytes: int
    ram_bytes: int
    model_flash_bytes: int
    model_ram_bytes: int

    def section(self, name: str) -> Section | None:
        """The section called `name`, or None if nothing is in it."""
        return next((section for section in self.sections if section.name == name), None)

    def symbol(self, name: str) -> Symbol | None:
        """The function or object called `name`; the first when static ones share the name."""
        return next((symbol for symbol in self.symbols if symbol.name == name), None)

    def largest(self, memory: Literal["flash", "ram"], count: int = 3) -> tuple[tuple[str, int], ...]:
        """The `count` largest symbols in that memory, as (name, bytes), largest first."""
        sections = {section.name for section in self.sections if section.memory in (memory, "both")}
        return largest_first(((s.name, s.size_bytes) for s in self.symbols if s.section in sections), count)


def _open(file: Any, path: Path) -> Any:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        return ELFFile(file)
    except ELFError as error:
        raise ToolchainError(f"{path} is not an ELF file ({error}); delete the build folder and build again") from error


def _symbols(elf: Any) -> list[Symbol]:
    table = elf.get_section_by_name(".symtab")
    names = [section.name for section in elf.iter_sections()]
    symbols = []
    for symbol in table.iter_symbols() if table is not None else ():
        index = symbol["st_shndx"]
        if symbol["st_info"]["type"] not in ("STT_FUNC", "STT_OBJECT") or not isinstance(index, int):
            continue
        is_function = symbol["st_info"]["type"] == "STT_FUNC"
        address = symbol["st_value"] & ~1 if is_function else symbol["st_value"]
        symbols.append(Symbol(symbol.name, address, symbol["st_size"], names[index]))
    return sorted(symbols, key=lambda item: (item.address, item.name))


def read_image(elf: Path) -> Image:
    """The Image of `elf`; .bin and .hex lie beside it. Raises ToolchainError if it cannot be read."""
    try:
        file = elf.open("rb")
    except OSError as error:
        raise ToolchainError(f"{elf} cannot be read: {error.strerror}; build the project again") from error
    with file:
        parsed = _open(file, elf)
        found = {section.name: section for section in parsed.iter_sections() if section.name in _SECTION_MEMORY}
        sections = tuple(
            Section(name, section["sh_addr"], section["sh_size"], _SECTION_MEMORY[name])
            for name, section in found.items()
            if section["sh_size"]
        )
        symbols = tuple(_symbols(parsed))
        marks = {
            symbol.name: symbol["st_value"]
            for symbol in parsed.get_section_by_name(".symtab").iter_symbols()
            if symbol.name in ("__model_data_start", "__model_data_end")
        }
    by_name = {section.name: section.size_bytes for section in sections}
    # What start-up copies to RAM lies in both.
    copied = by_name.get(".model_copied", 0) + marks.get("__model_data_end", 0) - marks.get("__model_data_start", 0)
    return Image(
        elf=elf,
        bin=elf.with_suffix(".bin"),
        hex=elf.with_suffix(".hex"),
        sections=sections,
        symbols=symbols,
        flash_bytes=sum(section.size_bytes for section in sections if section.memory in ("flash", "both")),
        ram_bytes=sum(section.size_bytes for section in sections if section.memory in ("ram", "both")),
        model_flash_bytes=by_name.get(".model_text", 0) + by_name.get(".model_rodata", 0) + copied,
        model_ram_bytes=by_name.get(".model_bss", 0) + copied,
    )


def object_symbols(folder: Path, memory: Literal["flash", "ram"]) -> list[tuple[str, int]]:
    """The functions and objects in the .o files under `folder` that would lie in `memory`, as (name, bytes).

    For a program that could not be linked. A file that is no object is left out: the compiler has spoken about it.
    """
    wanted = (".text", ".rodata", ".data") if memory == "flash" else (".data", ".bss")
    found: list[tuple[str, int]] = []
    for path in sorted(folder.rglob("*.o")):
        with path.open("rb") as file:
            try:
                symbols = _symbols(_open(file, path))
            except ToolchainError:
                continue
        found += [(s.name, s.size_bytes) for s in symbols if s.section.startswith(wanted)]
    return found
