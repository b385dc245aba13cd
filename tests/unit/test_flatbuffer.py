"""The FlatBuffers reader: fields, defaults, vectors and strings as the format has them; no read leaves the buffer."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import flatbuffers
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.errors import ModelError
from tinydeploy.flatbuffer import Table, root

MARK = b"TEST"


def table(build: Callable[[flatbuffers.Builder], list[tuple[int, str, object]]]) -> Table:
    """The root of a buffer written by Google's library: `build` returns (slot, type, value) after writing children."""
    return root(buffer(build), MARK)


def buffer(build: Callable[[flatbuffers.Builder], list[tuple[int, str, object]]]) -> bytes:
    builder = flatbuffers.Builder(64)
    fields = build(builder)
    builder.StartObject(10)
    for slot, kind, value in fields:
        getattr(builder, f"Prepend{kind}Slot")(slot, value, 0 if kind == "UOffsetTRelative" else None)
    builder.Finish(builder.EndObject(), MARK)
    return bytes(builder.Output())


@given(st.integers(-128, 127), st.integers(0, 65535), st.integers(-(1 << 31), (1 << 31) - 1))
def test_scalars_keep_their_sign_and_size(small: int, half: int, word: int) -> None:
    read = table(lambda _: [(0, "Int8", small), (1, "Uint16", half), (2, "Int32", word)])
    assert (read.integer(0, "b"), read.integer(1, "H"), read.integer(2, "i")) == (small, half, word)


@given(st.floats(width=32, allow_nan=False))
def test_floats(value: float) -> None:
    assert table(lambda _: [(3, "Float32", value)]).number(3) == value


def test_absent_fields_have_their_defaults() -> None:
    read = table(lambda _: [(0, "Int8", 1)])
    assert read.integer(4, "i", 7) == 7
    assert read.integer(99, "i", 7) == 7  # a slot past the end of the vtable: a field newer than the file
    assert read.number(4, 0.5) == 0.5
    assert read.table(4) is None
    assert read.string(4) == ""
    assert len(read.bytes(4)) == 0
    assert read.array(4, "i4").tolist() == []
    assert read.tables(4) == []


@given(st.text(), st.binary())
def test_strings_and_bytes(text: str, data: bytes) -> None:
    def build(builder: flatbuffers.Builder) -> list[tuple[int, str, object]]:
        string = builder.CreateString(text)
        return [(0, "UOffsetTRelative", string), (1, "UOffsetTRelative", builder.CreateByteVector(data))]

    read = table(build)
    assert read.string(0) == text
    assert bytes(read.bytes(1)) == data


def test_damaged_utf8_is_replaced() -> None:
    read = table(lambda b: [(0, "UOffsetTRelative", b.CreateByteVector(b"caf\xe9"))])
    assert read.string(0) == "caf\ufffd"


@given(st.lists(st.integers(-(1 << 31), (1 << 31) - 1)))
def test_arrays(values: list[int]) -> None:
    data = np.array(values, np.int32)
    assert table(lambda b: [(0, "UOffsetTRelative", b.CreateNumpyVector(data))]).array(0, "i4").tolist() == values


def test_tables_in_tables() -> None:
    def build(builder: flatbuffers.Builder) -> list[tuple[int, str, object]]:
        children = []
        for value in (5, 6, 7):
            builder.StartObject(1)
            builder.PrependInt32Slot(0, value, None)
            children.append(builder.EndObject())
        builder.StartVector(4, 3, 4)
        for child in reversed(children):
            builder.PrependUOffsetTRelative(child)
        return [(0, "UOffsetTRelative", builder.EndVector()), (1, "UOffsetTRelative", children[1])]

    read = table(build)
    assert [child.integer(0, "i") for child in read.tables(0)] == [5, 6, 7]
    one = read.table(1)
    assert one is not None
    assert one.integer(0, "i") == 6


@pytest.mark.parametrize("data", [b"", b"1234567", b"\0\0\0\0TFL3" + bytes(20)])
def test_what_is_no_such_buffer_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        root(data, MARK)


def test_a_vector_that_claims_more_than_there_is() -> None:
    data = bytearray(buffer(lambda b: [(0, "UOffsetTRelative", b.CreateByteVector(b"abcdefgh"))]))
    at = data.index(b"abcdefgh") - 4
    struct.pack_into("<I", data, at, 0x7FFFFFFF)
    with pytest.raises(ModelError, match="truncated or damaged: a vector of 2147483647 items"):
        root(bytes(data), MARK).bytes(0)


@given(st.data())
def test_no_read_leaves_the_buffer(data: st.DataObject) -> None:
    """Every accessor on a buffer cut anywhere, with any word changed: a value or a ModelError."""
    whole = bytearray(
        buffer(
            lambda b: [
                (0, "UOffsetTRelative", b.CreateString("name")),
                (1, "UOffsetTRelative", b.CreateNumpyVector(np.arange(5, dtype=np.int32))),
                (2, "Int32", 3),
            ]
        )
    )
    at = data.draw(st.integers(0, len(whole) - 4))
    struct.pack_into("<I", whole, at, data.draw(st.integers(0, 0xFFFFFFFF)))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    accessors: list[Callable[[Table], object]] = [
        lambda t: t.string(0),
        lambda t: t.array(1, "i4"),
        lambda t: t.integer(2, "i"),
        lambda t: t.table(0),
        lambda t: t.tables(1),
        lambda t: t.number(2),
    ]
    for access in accessors:
        with contextlib.suppress(ModelError):
            access(root(cut, MARK))
