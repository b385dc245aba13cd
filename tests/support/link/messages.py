"""One table of requests and answers, as payloads written out from docs/PROTOCOL.md: the host's packing and parsing and
the device's C must both agree with every row.

The device is the firmware's main around the model in native/model: an input of 3,000 bytes, all zeros after a reset,
an output of as many, 0x5A added to each and turned around, an arena of 6,000, 2 steps. Its counter adds 1,000 cycles to
each reading, and a run uses 96 bytes of stack.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy import protocol
from tinydeploy.protocol import Frame, Invocation, Refusal, Region

SESSION = 0x1234
_ZEROS = zlib.crc32(bytes(3000)).to_bytes(4, "little").hex()
_OUTPUT = zlib.crc32(b"\x5a" * 3000).to_bytes(4, "little").hex()
_OK = "01 00"


@dataclass(frozen=True, slots=True)
class Exchange:
    """The `request` payload of `kind`, after the requests `before` it (kind, payload), is answered by `answers`
    (kind, payload; a payload of None is not compared). ``packed`` is the request as the host's functions make it,
    ``parse`` reads the last answer, whose meaning is ``value``."""

    name: str
    kind: int
    request: str
    answers: tuple[tuple[int, str | None], ...]
    before: tuple[tuple[int, str], ...] = ((1, _OK),)
    packed: bytes | None = None
    parse: Callable[[bytes], object] | None = None
    value: object = None
    session: int = SESSION

    @property
    def stream(self) -> bytes:
        """What the host sends, on the wire."""
        requests = [(kind, payload, SESSION) for kind, payload in self.before]
        requests.append((self.kind, self.request, self.session))
        return b"".join(
            protocol.encode_frame(Frame(kind, sequence, session, bytes.fromhex(payload)))
            for sequence, (kind, payload, session) in enumerate(requests, 1)
        )


def _refusal(code: int, detail: int) -> str:
    return f"{code:02x} {detail.to_bytes(4, 'little').hex()}"


def _refused(name: str, kind: int, request: str, code: int, detail: int, session: int = SESSION) -> Exchange:
    """A request that is answered by ERROR."""
    return Exchange(
        name,
        kind,
        request,
        ((0xFF, _refusal(code, detail)),),
        parse=protocol.parse_refusal,
        value=Refusal(code, detail),
        session=session,
    )


EXCHANGES = (
    Exchange("a greeting", 1, _OK, ((0x81, None),), before=(), packed=protocol.pack_hello()),
    _refused("a greeting of another version", 1, "02 00", 1, 1),
    _refused("a greeting without a version", 1, "", 1, 1),
    _refused("a greeting without a session", 1, _OK, 2, 0, session=0),
    Exchange(
        "a request before any greeting", 3, "01 00000000 0100", ((0xFF, _refusal(2, 0)),), before=(),
        parse=protocol.parse_refusal, value=Refusal(2, 0),
    ),
    _refused("a request of another session", 3, "01 00000000 0100", 2, SESSION, session=0x4321),
    Exchange("how the core runs", 8, "", ((0x88, None),)),  # its compiler is this machine's
    _refused("an unknown type", 0x42, "", 3, 0x42),
    Exchange(
        "a piece of input", 2, "10000000 aabb", ((0x82, ""),), packed=protocol.pack_write_input(16, b"\xaa\xbb"),
    ),
    _refused("input without an offset", 2, "000000", 4, 3),
    _refused("input past the end", 2, "b70b0000 aabb", 5, 3000),
    _refused("input at an offset that wraps", 2, "ffffffff aabb", 5, 3000),
    Exchange(
        "input that is read back from the arena", 3, "02 10000000 0300", ((0x83, "aabb00"),),
        before=((1, _OK), (2, "10000000 aabb")), packed=protocol.pack_read(Region.ARENA, 16, 3),
    ),
    _refused("reading past the output", 3, "01 b70b0000 0200", 5, 3000),
    _refused("reading more than a frame holds", 3, "02 00000000 0104", 5, 6000),
    _refused("reading no region", 3, "03 00000000 0100", 5, 0),
    _refused("reading without a size", 3, "01 00000000 01", 4, 6),
    Exchange(
        "a run", 4, f"{_ZEROS} 0100", ((0xFE, "00000000"), (0x84, f"{_OUTPUT} 60000000 e8030000")),
        packed=protocol.pack_invoke(zlib.crc32(bytes(3000)), 1), parse=protocol.parse_invoke,
        value=Invocation(zlib.crc32(b"\x5a" * 3000), 96, (1000,)),
    ),
    Exchange(
        "two runs", 4, f"{_ZEROS} 0200",
        ((0xFE, "00000000"), (0xFE, "01000000"), (0x84, f"{_OUTPUT} 60000000 e8030000 e8030000")),
        packed=protocol.pack_invoke(zlib.crc32(bytes(3000)), 2), parse=protocol.parse_invoke,
        value=Invocation(zlib.crc32(b"\x5a" * 3000), 96, (1000, 1000)),
    ),
    _refused("a run on another input", 4, "00000000 0100", 6, zlib.crc32(bytes(3000))),
    _refused("no run", 4, f"{_ZEROS} 0000", 5, 16),
    _refused("too many runs", 4, f"{_ZEROS} 1100", 5, 16),
    _refused("a run without a number", 4, _ZEROS, 4, 4),
    Exchange(
        "a step", 5, f"00000000 {_ZEROS}", ((0xFE, "00000000"), (0x85, "e8030000")),
        packed=protocol.pack_run_step(0, zlib.crc32(bytes(3000))), parse=protocol.parse_run_step, value=1000,
    ),
    _refused("a step out of order", 5, "01000000 00000000", 7, 0),
    _refused("no such step", 5, "02000000 00000000", 5, 2),
    _refused("a step on another input", 5, "00000000 00000000", 6, zlib.crc32(bytes(3000))),
    _refused("a step without a number", 5, "", 4, 0),
    # 2144DF1C and 48674BC7 are the CRCs of four zeros in the catalogues' algorithms.
    Exchange(
        "a digest", 6, "02 00000000 04000000", ((0x86, "1cdf4421 c74b6748"),),
        packed=protocol.pack_digest(Region.ARENA, 0, 4),
    ),
    _refused("a digest past the end", 6, "02 01000000 70170000", 5, 6000),
    _refused("a digest without a size", 6, "02 01000000", 4, 5),
    Exchange("the fast rate", 7, "00100e00", ((0x87, ""),), packed=protocol.pack_set_baud(921_600)),
    Exchange("the board's own rate", 7, "00c20100", ((0x87, ""),), packed=protocol.pack_set_baud(115_200)),
    _refused("another rate", 7, "00080700", 5, 921_600),
    _refused("a rate without a number", 7, "0008", 4, 2),
    Exchange("how it runs", 8, "", ((0x88, None),)),
)  # fmt: skip
