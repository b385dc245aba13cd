"""Requests and answers: one table for the host's functions and the device's C."""

from __future__ import annotations

import subprocess

import pytest
from support.link.messages import EXCHANGES, SESSION, Exchange
from support.link.native_build import device_program

from tinydeploy import protocol
from tinydeploy.protocol import Decoder, Frame, encode_frame


def device_answers(stream: bytes) -> list[Frame]:
    """The frames that the firmware's main, compiled natively with sanitizers, sends when `stream` comes."""
    done = subprocess.run([device_program()], input=stream, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return [event for event in Decoder().feed(done.stdout) if isinstance(event, Frame)]


@pytest.mark.parametrize("row", EXCHANGES, ids=lambda row: row.name)
def test_the_device_answers(row: Exchange) -> None:
    last = len(row.before) + 1
    answers = [frame for frame in device_answers(row.stream) if frame.sequence == last]
    assert [frame.kind for frame in answers] == [kind for kind, _ in row.answers]
    assert {frame.session for frame in answers} == {row.session}
    for frame, (_, payload) in zip(answers, row.answers, strict=True):
        assert payload is None or frame.payload == bytes.fromhex(payload)


@pytest.mark.parametrize("row", [row for row in EXCHANGES if row.packed is not None], ids=lambda row: row.name)
def test_the_host_packs(row: Exchange) -> None:
    assert row.packed == bytes.fromhex(row.request)


@pytest.mark.parametrize("row", [row for row in EXCHANGES if row.parse is not None], ids=lambda row: row.name)
def test_the_host_parses(row: Exchange) -> None:
    payload = row.answers[-1][1]
    assert payload is not None
    assert row.parse is not None
    assert row.parse(bytes.fromhex(payload)) == row.value


def test_the_rows_have_every_request_and_every_error() -> None:
    assert {row.kind for row in EXCHANGES} >= {kind for kind in protocol.Kind if kind < protocol.Kind.RESPONSE}
    refusals = {row.value.code for row in EXCHANGES if isinstance(row.value, protocol.Refusal)}
    assert refusals == set(protocol.ErrorCode)


def test_the_greeting_tells_the_device() -> None:
    (frame,) = device_answers(EXCHANGES[0].stream)
    info = protocol.parse_hello(frame.payload)
    assert info is not None
    assert (info.protocol, info.max_payload_bytes, info.max_runs, info.core_hz) == (1, 1024, 16, 100_000_000)
    assert (info.baud, info.fast_baud) == (115_200, 921_600)
    assert (info.input_bytes, info.output_bytes, info.arena_bytes, info.step_count) == (3000, 3000, 6000, 2)


@pytest.mark.parametrize("damage", [b"\x01", b"\x80"], ids=["a bit", "the top bit"])
def test_a_damaged_request_is_not_answered(damage: bytes) -> None:
    """Whichever byte it is: the greeting after it is."""
    greeting = EXCHANGES[0].stream
    for place in range(1, len(greeting) - 1):
        broken = bytearray(greeting)
        broken[place] ^= damage[0]
        again = encode_frame(Frame(protocol.Kind.HELLO, 9, SESSION, protocol.pack_hello()))
        if place == len(greeting) // 2:
            assert [frame.sequence for frame in device_answers(bytes(broken) + again)] == [9]
        assert not any(isinstance(event, Frame) for event in Decoder().feed(bytes(broken)))
