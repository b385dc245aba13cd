"""Commands, frames and noise, mixed and damaged, into the firmware's main under sanitizers: it always answers again."""

from __future__ import annotations

import random
import subprocess

import pytest
from support.link.native_build import device_program
from test_link_fuzz import mutated, request

from tinydeploy import protocol
from tinydeploy.protocol import Decoder, Frame, Kind, encode_frame

_WORDS = (
    "name",
    "profile",
    "timestamp",
    "db",
    "load",
    "print",
    "infer",
    "results",
    "help",
    "0",
    "1",
    "2",
    "3000",
    "-1",
)


def command(chance: random.Random) -> bytes:
    """What a host might send, and what it should not."""
    words = chance.choices(_WORDS, k=chance.randrange(5))
    if chance.random() < 0.5:
        words = ["db", chance.randbytes(chance.randrange(45)).hex()]
    if chance.random() < 0.1:
        words = ["db", "load", chance.choice(("3000", "3", "0", "99999999999", "x"))]
    return " ".join(words).encode() + chance.choice((b"%", b"%", b"%\r\n", b"", b" %"))


def stream_of(seed: int) -> bytes:
    chance = random.Random(seed)
    pieces = [command(chance) for _ in range(12)] + [request(chance), chance.randbytes(chance.choice((0, 3, 60)))]
    chance.shuffle(pieces)
    return mutated(b"".join(pieces), chance)


def answer(stream: bytes) -> bytes:
    done = subprocess.run([device_program()], input=stream, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


@pytest.mark.parametrize("block", range(4))
def test_no_input_stops_either_protocol_answering(block: int) -> None:
    """500 streams in one; then both are greeted."""
    stream = b"".join(stream_of(seed) for seed in range(block * 500, block * 500 + 500))
    greeting = encode_frame(Frame(Kind.HELLO, 77, 5, protocol.pack_hello()))
    out = answer(stream + b"\0" + greeting + b"name%")
    assert out.endswith(b"m-name-dut-[host]\r\nm-ready\r\n")
    frames = [event for event in Decoder().feed(out) if isinstance(event, Frame)]
    assert (frames[-1].kind, frames[-1].sequence) == (Kind.HELLO | Kind.RESPONSE, 77)


def test_commands_are_answered_without_a_boundary() -> None:
    """After any stream, and no zero at its end, the third greeting at the latest, and what follows it, is answered."""
    for seed in range(5000, 5100):
        out = answer(stream_of(seed) + b"name%" * 3 + b"timestamp%")
        assert b"m-name-dut-[host]\r\nm-ready\r\nm-lap-us-" in out, seed
