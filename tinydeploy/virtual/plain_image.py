"""Firmware files without symbols: plain bytes from the start of the flash (.bin) and Intel HEX."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.errors import ToolchainError
from tinydeploy.virtual.image import ElfImage, FirmwareImage, Segment

_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)


def read_image(path: Path, flash_address: int) -> FirmwareImage:
    """The firmware in `path`: ELF by what it begins with, Intel HEX by its name, else plain bytes for `flash_address`.

    Raises ToolchainError.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ToolchainError(f"{path}: cannot be read ({error.strerror}); name an .elf, .hex or .bin file") from error
    if data.startswith(b"\x7fELF"):
        return ElfImage(path)
    if data and path.suffix.lower() in (".hex", ".ihex"):
        return FirmwareImage(path, tuple(_hex_segments(path, data)))
    if len(data) < 8:
        raise ToolchainError(
            f"{path}: {len(data)} B cannot hold a vector table; name the firmware's .elf, .hex or .bin"
        )
    return FirmwareImage(path, (_segment(flash_address, data),))


def _segment(address: int, data: bytes) -> Segment:
    return Segment(address, address, data, len(data), writable=False, executable=True)


def _hex_segments(path: Path, text: bytes) -> list[Segment]:
    """Records that follow one another are one segment (Intel HEX revision A, 1988)."""
    segments: list[Segment] = []
    base, start, run = 0, 0, bytearray()
    for number, line in enumerate(text.split(), 1):
        try:
            record = bytes.fromhex(line[1:].decode("ascii"))
        except ValueError:
            record = b""
        if line[:1] != b":" or not record or len(record) != record[0] + 5 or sum(record) & 0xFF:
            raise ToolchainError(f"{path}:{number}: not a record of Intel HEX, or its checksum is wrong; copy it again")
        kind, data = record[3], record[4:-1]
        if kind == _DATA:
            address = base + int.from_bytes(record[1:3], "big")
            if address != start + len(run):
                if run:
                    segments.append(_segment(start, bytes(run)))
                start, run = address, bytearray()
            run += data
        elif kind in (_SEGMENT, _LINEAR):
            base = int.from_bytes(data, "big") << (4 if kind == _SEGMENT else 16)
        elif kind == _END:
            break
    else:
        raise ToolchainError(f"{path}: its last record is not Intel HEX's end record, so it is cut off; copy it again")
    return [*segments, _segment(start, bytes(run))] if run else segments
