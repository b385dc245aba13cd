"""The link's frames and messages: bytes in, values out, no I/O. docs/PROTOCOL.md is the specification.

A frame on the wire is ``00 D7 COBS(header payload crc) 00``. No byte inside a frame is zero, so every zero is a
boundary and a receiver is in step again at the next one, whatever was lost. Between frames the device may print text,
which comes out as :class:`Text`. Bytes that are neither are a :class:`Garbage` value: noise is data here, never an
exception. ``firmware_templates/frame.c`` is the same on the device; tests/support/link/cases.py drives both.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum, StrEnum

PROTOCOL_VERSION = 1
MAGIC = b"\xd7"  # begins a frame; neither zero nor ASCII, so that no frame can be taken for text
FAULT_TEXT = "tinydeploy fault:"  # how the report of firmware that has stopped begins; fault.c prints it
MAX_PAYLOAD_BYTES = 0xFFFF - 11  # what the host accepts; a device says its own, smaller limit in HELLO

_HEADER = struct.Struct("<BHHH")  # type, sequence, session, size of the payload
_CRC = struct.Struct("<I")
_OVERHEAD_BYTES = _HEADER.size + _CRC.size
_PRINTABLE = b"\t\r\n" + bytes(range(0x20, 0x7F))
_HELLO = struct.Struct("<10I")
_WRITE = struct.Struct("<I")
_READ = struct.Struct("<BIH")
_INVOKE = struct.Struct("<IH")
_STEP = struct.Struct("<II")
_DIGEST = struct.Struct("<BII")
_REFUSAL = struct.Struct("<BI")
_ABOUT = struct.Struct("<5I")
_BAUD = struct.Struct("<I")
# What brings a device back that listens at another baud rate than the host: 1,024 letters are some 5,000 bytes at
# eight times the rate, more than it takes without a frame. At its own rate they are text, which it disregards.
RESCUE = b"\0" + b"U" * 1024


def _crc32c_table() -> tuple[int, ...]:
    """CRC-32C (Castagnoli) of each byte, reflected."""
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC32C = _crc32c_table()


class Kind(IntEnum):
    """Frame types. A response has the type of its request with the top bit set; BUSY and ERROR answer any request."""

    HELLO = 0x01
    WRITE_INPUT = 0x02
    READ = 0x03
    INVOKE = 0x04
    RUN_STEP = 0x05
    DIGEST = 0x06
    SET_BAUD = 0x07
    ABOUT = 0x08
    RESPONSE = 0x80
    BUSY = 0xFE
    ERROR = 0xFF


class Region(IntEnum):
    """What READ and DIGEST read: the model's memory, or the output that the last INVOKE left."""

    OUTPUT = 1
    ARENA = 2


class ErrorCode(IntEnum):
    """Why the device refused a request; the u32 that comes with it is given in brackets."""

    VERSION = 1  # another protocol version [the device's]
    SESSION = 2  # not the session that the last HELLO opened [the device's, 0 after a reset]
    TYPE = 3  # unknown request type [the type]
    SIZE = 4  # the payload has the wrong size [the size]
    RANGE = 5  # outside the region, or too many [the limit]
    INPUT = 6  # the input in memory is not the one meant [the CRC of what is there]
    ORDER = 7  # steps run in order, from 0 [the step that may come next]


class Fault(StrEnum):
    """Why bytes between two zeros are not a frame."""

    TOO_LONG = "too long"
    MAGIC = "not a frame"
    COBS = "bad byte stuffing"
    SHORT = "too short"
    LENGTH = "wrong length"
    CRC = "wrong checksum"


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. ``sequence`` and ``session`` are 16-bit; ``session`` 0 stands for none."""

    kind: int
    sequence: int
    session: int
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Text:
    """A printed line, with its newline if it had one."""

    text: str


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are neither a frame nor text; ``raw`` keeps at most the receiver's capacity."""

    fault: Fault
    raw: bytes


Event = Frame | Text | Garbage


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device says of itself in HELLO. ``window_bytes`` is how much it can keep unread while it computes;
    ``fingerprint`` is the first 16 hex digits of the SHA-256 over the generated sources; ``fast_baud`` the highest rate
    that the board's port takes, 0 from firmware that has only one."""

    protocol: int
    max_payload_bytes: int
    window_bytes: int
    max_runs: int
    core_hz: int
    baud: int
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    step_count: int
    board: str
    model: str
    model_sha256: str
    fingerprint: str
    fast_baud: int


@dataclass(frozen=True, slots=True)
class Invocation:
    """One INVOKE: the CRC-32 of the first run's output, the stack that a run used, and the cycles of each run."""

    output_crc: int
    stack_bytes: int
    cycles: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class About:
    """How the device runs now, as ABOUT tells it: the registers CPUID, CCR and CPACR of the core, those of its flash
    and of the flash's cache (0 where there is none); which kernels it has, by which compiler and with which flags."""

    cpuid: int
    ccr: int
    cpacr: int
    flash_register: int
    cache_register: int
    kernels: str
    compiler: str
    model_flags: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ERROR answer; ``code`` is an ErrorCode unless the device is newer than this program."""

    code: int
    detail: int


def crc32(data: bytes) -> int:
    """CRC-32 of IEEE 802.3 (reflected, polynomial 0xEDB88320), as in zlib."""
    return zlib.crc32(data)


def digest(data: bytes) -> bytes:
    """What DIGEST answers for `data`: its CRC-32 and its CRC-32C, little endian. The polynomials have no factor in
    common, so the two miss a difference as rarely as one CRC of 64 bits."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return struct.pack("<II", crc32(data), crc ^ 0xFFFFFFFF)


def cobs_encode(data: bytes) -> bytes:
    """Consistent overhead byte stuffing: `data` without zero bytes, at most one byte longer for every 254."""
    out = bytearray()
    pieces = data.split(b"\0")
    for index, piece in enumerate(pieces):
        # A full block of 254 implies no zero after it, so a last piece that ends in one needs no empty block.
        full, rest = divmod(len(piece), 254)
        for block in range(full):
            out.append(0xFF)
            out += piece[block * 254 : (block + 1) * 254]
        if rest or not full or index < len(pieces) - 1:
            out.append(rest + 1)
            out += piece[full * 254 :]
    return bytes(out)


def cobs_decode(raw: bytes) -> bytes | None:
    """The inverse of :func:`cobs_encode`; None when a count points past the end. `raw` holds no zero byte."""
    out = bytearray()
    at = 0
    while at < len(raw):
        code = raw[at]
        if at + code > len(raw):
            return None
        out += raw[at + 1 : at + code]
        at += code
        if code != 0xFF and at < len(raw):
            out.append(0)
    return bytes(out)


def encode_frame(frame: Frame) -> bytes:
    """`frame` as it goes on the wire, a zero before and after."""
    body = _HEADER.pack(frame.kind, frame.sequence, frame.session, len(frame.payload)) + frame.payload
    return b"\0" + MAGIC + cobs_encode(body + _CRC.pack(crc32(body))) + b"\0"


def raw_capacity(max_payload_bytes: int) -> int:
    """The longest frame, in bytes between its zeros, with a payload of at most `max_payload_bytes`."""
    body = max_payload_bytes + _OVERHEAD_BYTES
    return len(MAGIC) + body + (body + 253) // 254


def wire_bytes(payload_bytes: int) -> int:
    """The most bytes that a frame with this payload takes on the wire."""
    return raw_capacity(payload_bytes) + 2


def decode_segment(raw: bytes, max_payload_bytes: int) -> Frame | Garbage:
    """The frame in the bytes between two zeros, or why there is none."""
    if not raw.startswith(MAGIC):
        return Garbage(Fault.MAGIC, raw)
    body = cobs_decode(raw[len(MAGIC) :])
    if body is None:
        return Garbage(Fault.COBS, raw)
    if len(body) < _OVERHEAD_BYTES:
        return Garbage(Fault.SHORT, raw)
    kind, sequence, session, size = _HEADER.unpack_from(body)
    if size != len(body) - _OVERHEAD_BYTES or size > max_payload_bytes:
        return Garbage(Fault.LENGTH, raw)
    (crc,) = _CRC.unpack_from(body, len(body) - _CRC.size)
    if crc != crc32(body[: -_CRC.size]):
        return Garbage(Fault.CRC, raw)
    return Frame(kind, sequence, session, body[_HEADER.size : -_CRC.size])


class Decoder:
    """Turns a stream of bytes, in pieces of any size, into events.

    Bytes are kept until a zero ends the segment, or a newline ends a line when all of the segment is printable. A
    segment longer than any frame is dropped up to the next zero; printable text of that length comes out in pieces.
    """

    def __init__(self, max_payload_bytes: int = MAX_PAYLOAD_BYTES) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._capacity = raw_capacity(max_payload_bytes)
        self._segment = b""
        self._overflow = False

    @property
    def unfinished_bytes(self) -> int:
        """How much of a segment is there."""
        return len(self._segment)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        events: list[Event] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._extend(piece, events)
            if (event := self._end()) is not None:
                events.append(event)
        self._extend(rest, events)
        return events

    def flush(self) -> list[Event]:
        """What the unfinished segment holds, when nothing more is expected; the decoder starts afresh."""
        event = self._end()
        return [] if event is None else [event]

    def _extend(self, piece: bytes, events: list[Event]) -> None:
        """Adds bytes without zeros to the segment; complete printable lines leave it as text."""
        if self._overflow or not piece:
            return
        segment = self._segment + piece
        printable = len(segment) - len(segment.lstrip(_PRINTABLE))
        at = 0
        while at < printable:
            newline = segment.find(b"\n", at, min(printable, at + self._capacity))
            end = newline + 1 if newline >= 0 else at + self._capacity
            if end > printable:
                break
            events.append(Text(segment[at:end].decode("ascii")))
            at = end
        self._segment = segment[at : at + self._capacity]
        self._overflow = len(segment) - at > self._capacity

    def _end(self) -> Event | None:
        segment, overflow = self._segment, self._overflow
        self._segment, self._overflow = b"", False
        if overflow:
            return Garbage(Fault.TOO_LONG, segment)
        if not segment:
            return None
        if not segment.strip(_PRINTABLE):
            return Text(segment.decode("ascii"))
        return decode_segment(segment, self._max_payload_bytes)


def pack_hello() -> bytes:
    """The payload of HELLO."""
    return struct.pack("<H", PROTOCOL_VERSION)


def pack_write_input(offset: int, data: bytes) -> bytes:
    """The payload of WRITE_INPUT: `data` to `offset` bytes into the input."""
    return _WRITE.pack(offset) + data


def pack_read(region: Region, offset: int, size: int) -> bytes:
    """The payload of READ: `size` bytes from `offset`."""
    return _READ.pack(region, offset, size)


def pack_digest(region: Region, offset: int, size: int) -> bytes:
    """The payload of DIGEST: of `size` bytes from `offset`."""
    return _DIGEST.pack(region, offset, size)


def pack_invoke(input_crc: int, runs: int) -> bytes:
    """The payload of INVOKE; the device refuses it unless its input has this CRC-32."""
    return _INVOKE.pack(input_crc, runs)


def pack_run_step(step: int, input_crc: int) -> bytes:
    """The payload of RUN_STEP; the CRC-32 of the input counts for step 0."""
    return _STEP.pack(step, input_crc)


def pack_set_baud(baud: int) -> bytes:
    """The payload of SET_BAUD."""
    return _BAUD.pack(baud)


def parse_hello(payload: bytes) -> DeviceInfo | None:
    """The payload of HELLO's response; None when it is not one."""
    if len(payload) < _HELLO.size:
        return None
    names = []
    at = _HELLO.size
    for _ in range(4):
        end = at + 1 + payload[at] if at < len(payload) else len(payload) + 1
        if end > len(payload):
            return None
        names.append(payload[at + 1 : end].decode("utf-8", "replace"))
        at = end
    (fast_baud,) = _BAUD.unpack_from(payload, at) if len(payload) >= at + _BAUD.size else (0,)
    fields = (*_HELLO.unpack_from(payload), *names, fast_baud)
    return DeviceInfo(*fields)


def parse_invoke(payload: bytes) -> Invocation | None:
    """The payload of INVOKE's response; None when it is not one."""
    if len(payload) < 12 or len(payload) % 4:
        return None
    output_crc, stack_bytes, *cycles = (word for (word,) in struct.iter_unpack("<I", payload))
    return Invocation(output_crc, stack_bytes, tuple(cycles))


def parse_run_step(payload: bytes) -> int | None:
    """The cycles in RUN_STEP's response; None when it is not one."""
    return int.from_bytes(payload, "little") if len(payload) == 4 else None


def parse_about(payload: bytes) -> About | None:
    """The payload of ABOUT's response; None when it is not one."""
    lines = payload[_ABOUT.size :].decode("utf-8", "replace").split("\n")
    if len(payload) < _ABOUT.size or len(lines) < 3:
        return None
    return About(*_ABOUT.unpack_from(payload), *lines[:3])


def parse_refusal(payload: bytes) -> Refusal | None:
    """The payload of ERROR; None when it is not one."""
    return Refusal(*_REFUSAL.unpack(payload)) if len(payload) == _REFUSAL.size else None
