"""Frames: one table of cases for the Python and the C decoder, whole and byte by byte."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.link.cases import CASES, HELLO, MAX_PAYLOAD_BYTES, RAW_CAPACITY_BYTES, Case
from support.link.native_build import decoder_program
from support.link.streams import c_events, python_events

from tinydeploy import protocol
from tinydeploy.protocol import Decoder, Frame, Garbage, Text, cobs_decode, cobs_encode, encode_frame

frames = st.builds(
    Frame,
    kind=st.integers(0, 255),
    sequence=st.integers(0, 0xFFFF),
    session=st.integers(0, 0xFFFF),
    payload=st.binary(max_size=MAX_PAYLOAD_BYTES),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_python_decodes(case: Case) -> None:
    assert python_events([case.stream]) == list(case.events)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_python_decodes_byte_by_byte(case: Case) -> None:
    assert python_events([bytes([byte]) for byte in case.stream]) == list(case.events)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_c_decodes(case: Case) -> None:
    assert c_events(case.stream) == list(case.events)


def test_the_capacity_is_the_same_in_python_and_c() -> None:
    assert protocol.raw_capacity(MAX_PAYLOAD_BYTES) == RAW_CAPACITY_BYTES


def test_the_digest_is_two_known_checksums() -> None:
    """The check values of CRC-32 and CRC-32C that their catalogues give for the digits 1 to 9."""
    assert protocol.digest(b"123456789") == struct.pack("<II", 0xCBF43926, 0xE3069283)
    assert protocol.digest(b"") == bytes(8)


def test_encodes_the_frame_of_the_specification() -> None:
    assert encode_frame(Frame(protocol.Kind.HELLO, 1, 0x1234, protocol.pack_hello())) == HELLO
    specification = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text("utf-8")
    assert f"`{HELLO.hex(' ')}`" in specification


def test_a_greeting_with_fields_of_a_later_version_is_understood() -> None:
    payload = struct.pack("<10I", *range(1, 11)) + b"\1b\1m\2sh\1f" + struct.pack("<I", 921_600)
    info = protocol.parse_hello(payload + b"more")
    assert info == protocol.parse_hello(payload)
    assert info is not None
    assert (info.protocol, info.step_count, info.board, info.model_sha256, info.fingerprint) == (1, 10, "b", "sh", "f")
    assert info.fast_baud == 921_600


def test_a_greeting_without_the_fast_rate_is_understood() -> None:
    info = protocol.parse_hello(struct.pack("<10I", *range(1, 11)) + b"\1b\1m\2sh\1f")
    assert info is not None
    assert info.fast_baud == 0


@given(st.lists(frames, max_size=5), st.data())
def test_what_is_encoded_is_decoded_in_pieces_of_any_size(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encode_frame, sent))
    decoder = Decoder(MAX_PAYLOAD_BYTES)
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent


@given(st.binary(max_size=3 * 254 + 5).map(lambda data: data.replace(b"\1", b"\0")))
def test_stuffing_removes_all_zeros_and_is_undone(data: bytes) -> None:
    stuffed = cobs_encode(data)
    assert 0 not in stuffed
    assert cobs_decode(stuffed) == data
    assert len(stuffed) <= len(data) + max(1, (len(data) + 253) // 254)


@given(frames.filter(lambda frame: frame.payload), st.data())
def test_a_changed_bit_is_never_taken_for_a_frame(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(encode_frame(frame))
    bit = data.draw(st.integers(8, 8 * (len(wire) - 1) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    decoder = Decoder()
    events = decoder.feed(bytes(wire) + encode_frame(frame))
    assert [event for event in events if isinstance(event, Frame)] == [frame]


def test_every_place_of_the_first_zero_comes_through() -> None:
    """Each makes another first count, and some counts are printable characters or a newline."""
    for place in range(600):
        payload = b"\xaa" * place + b"\0" + b"\xbb" * (700 - place)
        frame = Frame(0xAA, 0xAAAA, 0xAAAA, payload)
        assert Decoder().feed(encode_frame(frame)) == [frame]


def test_flush_gives_what_was_cut_off() -> None:
    decoder = Decoder()
    assert decoder.feed(b"HardFault at") == []
    assert decoder.flush() == [Text("HardFault at")]
    assert decoder.flush() == []
    decoder.feed(b"\xd7\x05")
    assert decoder.flush() == [Garbage(protocol.Fault.COBS, b"\xd7\x05")]


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(39), bytes(43), bytes(40) + b"\x05boar", bytes(40) + b"\1b\1m\1s"],
    ids=["empty", "short", "three names", "a name cut off", "a name missing"],
)
def test_a_malformed_hello_is_no_info(payload: bytes) -> None:
    assert protocol.parse_hello(payload) is None


def test_malformed_answers_are_none() -> None:
    assert protocol.parse_invoke(bytes(8)) is None
    assert protocol.parse_invoke(bytes(13)) is None
    assert protocol.parse_run_step(bytes(3)) is None
    assert protocol.parse_refusal(bytes(4)) is None


def test_the_c_decoder_program_is_built_with_warnings_as_errors() -> None:
    """The empty stream ends cleanly: no sanitizer report, no event."""
    done = subprocess.run([decoder_program()], input=b"", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
