"""What can go wrong on a line, as chances per byte that crosses it."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances per byte, in either direction.

    ``flip``, ``drop``, ``double`` and ``insert`` harm the byte. The others strike soon after it: ``reset`` presses the
    button, ``delay`` holds all bytes of the direction back, ``pull`` pulls the cable for a while, ``garble`` lets
    another program write to the port, and perhaps read from it.
    """

    flip: float = 0.0
    drop: float = 0.0
    double: float = 0.0
    insert: float = 0.0
    reset: float = 0.0
    delay: float = 0.0
    pull: float = 0.0
    garble: float = 0.0

    def damage(self, data: bytes, chance: random.Random) -> bytes:
        """`data` as it comes out of a line with these faults."""
        out = bytearray()
        for byte in data:
            if chance.random() < self.insert:
                out.append(chance.randrange(256))
            if chance.random() < self.flip:
                byte ^= 1 << chance.randrange(8)
            if chance.random() >= self.drop:
                out.append(byte)
                if chance.random() < self.double:
                    out.append(byte)
        return bytes(out)


def strikes(rate: float, count: int, chance: random.Random) -> bool:
    """Whether something of this chance per byte happens in `count` bytes."""
    return rate > 0 and chance.random() < 1 - (1 - rate) ** count


def somebody_elses_bytes(chance: random.Random) -> bytes:
    """What a modem manager, a terminal or a wrong program writes to a port that it thinks is its own."""
    known = (b"AT+GCAP\r", b"AT\r\nATI\r\n", b"\x7e\x00\x78\xf0\x7e", b"\r\n\x03\r\n", b"name%profile%", b"\0" * 20)
    return chance.choice((*known, chance.randbytes(chance.randrange(1, 60))))
