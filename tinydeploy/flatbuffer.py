"""A FlatBuffers reader that trusts nothing: every offset is checked against the buffer before it is followed.

Layout after the FlatBuffers internals page: a table starts with a signed offset back to its vtable; the vtable holds
its own size, the table's size, then one 16-bit offset per field, 0 for a field that is absent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydeploy.errors import ModelError


class _Bytes:
    """The buffer with bounds-checked scalar reads."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def unpack(self, code: str, at: int) -> int | float:
        size = struct.calcsize(code)
        if at < 0 or at + size > len(self.data):
            raise ModelError(
                f"the file is truncated or damaged: an offset points to byte {at}, it has {len(self.data)}; "
                "export or copy the model again."
            )
        value: int | float = struct.unpack_from("<" + code, self.data, at)[0]
        return value

    def integer(self, code: str, at: int) -> int:
        return int(self.unpack(code, at))


# The buffer of a table that stands in no file.
EMPTY = _Bytes(b"")


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the buffer; `field` arguments are the schema's slot numbers, from 0."""

    buffer: _Bytes
    position: int

    def _field(self, field: int) -> int:
        """The position of a field, or 0 when it is absent."""
        vtable = self.position - self.buffer.integer("i", self.position)
        size = self.buffer.integer("H", vtable)
        entry = 4 + 2 * field
        if entry + 2 > size:
            return 0
        offset = self.buffer.integer("H", vtable + entry)
        return self.position + offset if offset else 0

    def integer(self, field: int, code: str, default: int = 0) -> int:
        """A scalar integer field; `code` is its struct letter."""
        at = self._field(field)
        return self.buffer.integer(code, at) if at else default

    def number(self, field: int, default: float = 0.0) -> float:
        """A float32 field."""
        at = self._field(field)
        return float(self.buffer.unpack("f", at)) if at else default

    def table(self, field: int) -> Table | None:
        """A field that is a table (or a union's value)."""
        at = self._field(field)
        return Table(self.buffer, at + self.buffer.integer("I", at)) if at else None

    def string(self, field: int) -> str:
        """A string field; damaged UTF-8 is replaced."""
        return bytes(self.bytes(field)).decode("utf-8", "replace")

    def _vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Start and length of a vector whose whole extent lies inside the buffer."""
        at = self._field(field)
        if not at:
            return 0, 0
        start = at + self.buffer.integer("I", at)
        length = self.buffer.integer("I", start)
        end = start + 4 + length * item_bytes
        if end > len(self.buffer.data):
            raise ModelError(
                f"the file is truncated or damaged: a vector of {length} items ends at byte {end}, it has "
                f"{len(self.buffer.data)}; export or copy the model again."
            )
        return start + 4, length

    def bytes(self, field: int) -> memoryview:
        """A vector of bytes, not copied."""
        start, length = self._vector(field, 1)
        return memoryview(self.buffer.data)[start : start + length]

    def array(self, field: int, dtype: str) -> NDArray[np.generic]:
        """A vector of scalars as a numpy array."""
        item = np.dtype(dtype)
        start, length = self._vector(field, item.itemsize)
        return np.frombuffer(self.buffer.data, item.newbyteorder("<"), length, start) if length else np.empty(0, item)

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        start, length = self._vector(field, 4)
        positions = [start + 4 * i for i in range(length)]
        return [Table(self.buffer, at + self.buffer.integer("I", at)) for at in positions]


def root(data: bytes, identifier: bytes) -> Table:
    """The root table of a buffer with this 4-byte file identifier."""
    if len(data) < 8:
        raise ModelError(f"the file has {len(data)} bytes, too few for a model; export or copy the model again.")
    if data[4:8] != identifier:
        raise ModelError(
            f"the file is not a TensorFlow Lite model (no {identifier.decode()} mark at byte 4); give a .tflite file."
        )
    buffer = _Bytes(data)
    return Table(buffer, buffer.integer("I", 0))
