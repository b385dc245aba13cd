"""One table of byte streams and the events in them. The Python and the C decoder must both say exactly this.

Events are written as the C program prints them: ``frame TYPE SEQUENCE SESSION PAYLOAD_HEX``, ``text HEX``,
``garbage REASON``. The capacity is the device's: a payload of 1,024 bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

MAX_PAYLOAD_BYTES = 1024
RAW_CAPACITY_BYTES = 1 + 1024 + 11 + 5  # magic, payload, header and CRC, and a count byte for every 254


@dataclass(frozen=True, slots=True)
class Case:
    """``stream`` arrives; ``events`` come out."""

    name: str
    stream: bytes
    events: tuple[str, ...]


def _text(text: str) -> str:
    return f"text {text.encode().hex()}"


# Written out by hand from docs/PROTOCOL.md: magic d7; type 01 (HELLO), sequence 0001, session 1234, size 0002, payload
# 01 00, CRC-32 0b0178e0; then the zeros replaced by counts.
HELLO = bytes.fromhex("00 d7 030101 04341202 0201 05e078010b 00")
HELLO_EVENT = "frame 1 1 4660 0100"


def _stuffed(body: bytes, magic: bytes = b"\xd7") -> bytes:
    """`body` between zeros, each zero in it replaced by the distance to the next: an encoder apart from the real ones,
    for bodies without 254 bytes in a row that are not zero."""
    return b"\0" + magic + b"".join(bytes([len(piece) + 1]) + piece for piece in body.split(b"\0")) + b"\0"


def _frame(body: bytes, crc_flip: int = 0) -> bytes:
    return _stuffed(body + (zlib.crc32(body) ^ crc_flip).to_bytes(4, "little"))


def _header(size: int, kind: int = 0x85, sequence: int = 0xBEEF, session: int = 0xFFFF) -> bytes:
    return struct.pack("<BHHH", kind, sequence, session, size)


_EMPTY_EVENT = f"frame {0x85} {0xBEEF} {0xFFFF} "
_EMPTY = _frame(_header(0))
_ZEROS = _frame(_header(MAX_PAYLOAD_BYTES) + bytes(MAX_PAYLOAD_BYTES))
_ZEROS_EVENT = _EMPTY_EVENT + "00" * MAX_PAYLOAD_BYTES

# A payload of 254 and 508 bytes without zeros: the blocks of 255 that imply no zero. The header's size byte 00fe (or
# 01fc) ends one block; the CRC ends the last.
_LONG_PAYLOAD = bytes(range(1, 255)) * 2


def _long(size: int) -> tuple[bytes, str]:
    body = _header(size) + _LONG_PAYLOAD[:size]
    body += zlib.crc32(body).to_bytes(4, "little")
    out = bytearray()
    for piece in body.split(b"\0"):
        while len(piece) >= 254:
            out += b"\xff" + piece[:254]
            piece = piece[254:]
        out += bytes([len(piece) + 1]) + piece
    return b"\0\xd7" + bytes(out) + b"\0", _EMPTY_EVENT + _LONG_PAYLOAD[:size].hex()


_BLOCK_254, _BLOCK_254_EVENT = _long(254)
_BLOCK_508, _BLOCK_508_EVENT = _long(508)

_NEWLINE_FIRST_PAYLOAD = b"ab" + bytes(255)
_NEWLINE_FIRST = _frame(_header(257) + _NEWLINE_FIRST_PAYLOAD)
assert _NEWLINE_FIRST.startswith(b"\0\xd7\n")

CASES = (
    Case("a frame", HELLO, (HELLO_EVENT,)),
    Case("an empty payload", _EMPTY, (_EMPTY_EVENT,)),
    Case("the longest payload, all zeros", _ZEROS, (_ZEROS_EVENT,)),
    Case("a full block", _BLOCK_254, (_BLOCK_254_EVENT,)),
    Case("two full blocks", _BLOCK_508, (_BLOCK_508_EVENT,)),
    Case("two frames", HELLO + _EMPTY, (HELLO_EVENT, _EMPTY_EVENT)),
    Case("two frames that share a boundary", HELLO[:-1] + _EMPTY, (HELLO_EVENT, _EMPTY_EVENT)),
    Case("no first boundary", HELLO[1:], (HELLO_EVENT,)),
    Case("no last boundary", HELLO[:-1], ()),
    Case("nothing but boundaries", bytes(5), ()),
    Case("a line of text", b"hello\r\n", (_text("hello\r\n"),)),
    Case("text without its newline", b"hello", ()),
    Case("text up to a boundary", b"hello\0", (_text("hello"),)),
    Case("lines", b"a\nb\n\nc\0", (_text("a\n"), _text("b\n"), _text("\n"), _text("c"))),
    Case("text, frame, text", b"up\n" + HELLO + b"down\n", (_text("up\n"), HELLO_EVENT, _text("down\n"))),
    Case("text cut off by a frame", b"up" + HELLO, (_text("up"), HELLO_EVENT)),
    Case(
        "text of a frame's length",
        b"x" * (RAW_CAPACITY_BYTES + 3) + b"\n",
        (_text("x" * RAW_CAPACITY_BYTES), _text("xxx\n")),
    ),
    Case("noise before a frame", b"\xff\x13\x80" + HELLO, ("garbage not a frame", HELLO_EVENT)),
    Case("noise after a line", b"ok\n\xfe" + HELLO, (_text("ok\n"), "garbage not a frame", HELLO_EVENT)),
    Case("a newline in noise", b"\x03a\nb" + HELLO, ("garbage not a frame", HELLO_EVENT)),
    Case("a frame cut off by another", HELLO[:8] + HELLO, ("garbage bad byte stuffing", HELLO_EVENT)),
    Case("a frame cut off at a count", HELLO[:6] + HELLO, ("garbage bad byte stuffing", HELLO_EVENT)),
    Case("a frame cut off after a block", HELLO[:5] + HELLO, ("garbage too short", HELLO_EVENT)),
    Case(
        "one bit flipped in the payload", HELLO.replace(b"\x02\x01\x05", b"\x02\x03\x05"), ("garbage wrong checksum",)
    ),
    Case("one bit flipped in the checksum", _frame(_header(1) + b"x", 1), ("garbage wrong checksum",)),
    Case("a flipped count", HELLO.replace(b"\x05\xe0", b"\x15\xe0"), ("garbage bad byte stuffing",)),
    Case("another magic", _stuffed(_header(0) + b"crc.", magic=b"\xd6"), ("garbage not a frame",)),
    Case("a magic and no more", b"\0\xd7" + HELLO, ("garbage too short", HELLO_EVENT)),
    # A count of 10 is a newline: were it first in the frame, it would be taken for a line of text.
    Case("a newline as the first count", _NEWLINE_FIRST, (_EMPTY_EVENT + _NEWLINE_FIRST_PAYLOAD.hex(),)),
    Case("a size too large", _frame(_header(3) + b"xy"), ("garbage wrong length",)),
    Case("a size too small", _frame(_header(1) + b"xy"), ("garbage wrong length",)),
    Case("ten bytes", _stuffed(_header(0) + b"abc"), ("garbage too short",)),
    Case(
        "longer than any frame", b"\0" + b"\x80" * (RAW_CAPACITY_BYTES + 1) + HELLO, ("garbage too long", HELLO_EVENT)
    ),
    Case(
        "as long as the longest frame",
        b"\0" + b"\x80" * RAW_CAPACITY_BYTES + HELLO,
        ("garbage not a frame", HELLO_EVENT),
    ),
    Case(
        "a payload longer than the device's",
        _frame(_header(1030) + bytes(1030)) + HELLO,
        ("garbage too long", HELLO_EVENT),
    ),
    # All zeros stuff to one byte more than they are, so this fits the buffer though not the limit.
    Case(
        "a payload one too long that fits the buffer",
        _frame(_header(1025) + bytes(1025)) + HELLO,
        ("garbage wrong length", HELLO_EVENT),
    ),
)
