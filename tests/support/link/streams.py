"""A stream of bytes through either decoder, with the events in the notation of cases.py."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from support.link.cases import MAX_PAYLOAD_BYTES
from support.link.native_build import decoder_program
from tinydeploy.protocol import Decoder, Event, Frame, Text


def describe(event: Event) -> str:
    """`event` as the C program prints it."""
    if isinstance(event, Frame):
        return f"frame {event.kind} {event.sequence} {event.session} {event.payload.hex()}"
    if isinstance(event, Text):
        return f"text {event.text.encode().hex()}"
    return f"garbage {event.fault}"


def python_events(pieces: Iterable[bytes]) -> list[str]:
    """What the host's decoder says to `pieces`, one after the other."""
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    return [describe(event) for piece in pieces for event in decoder.feed(piece)]


def c_events(stream: bytes) -> list[str]:
    """What the device's decoder, compiled natively with sanitizers, says to `stream`; it takes bytes one by one."""
    done = subprocess.run([decoder_program()], input=stream, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode().splitlines()
