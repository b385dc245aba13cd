"""Random, mutated and truncated bytes through both decoders and into the firmware: no difference, no crash, no hang."""

from __future__ import annotations

import itertools
import random
import subprocess
from pathlib import Path

import pytest
from support.link.cases import CASES, MAX_PAYLOAD_BYTES, RAW_CAPACITY_BYTES
from support.link.devices import INPUT_BYTES, InProcessTransport
from support.link.fuzzing import Findings, fuzz
from support.link.native_build import device_program, fuzzer_program
from support.link.projects import small_model, write_board_project
from support.link.streams import c_events, python_events

from tinydeploy import protocol
from tinydeploy.boards import load_board
from tinydeploy.protocol import Decoder, Frame, Kind, encode_frame
from tinydeploy.session import Session
from tinydeploy.transport import VirtualTransport


def mutated(stream: bytes, chance: random.Random) -> bytes:
    """`stream` with some bytes changed, lost, doubled, moved or put in, or cut off."""
    data = bytearray(stream)
    for _ in range(chance.randrange(8)):
        at = chance.randrange(len(data) + 1)
        size = chance.choice((0, 1, 1, 1, 2, 20, 300))
        piece = chance.choice((b"", chance.randbytes(size), bytes(size), bytes(data[at : at + size]) * 2))
        data[at : at + size] = piece
    return bytes(data[: chance.randrange(len(data) + 1)]) if chance.random() < 0.1 else bytes(data)


def request(chance: random.Random) -> bytes:
    """A frame that a host might send, with plausible and wild numbers."""
    number = chance.choice((0, 1, 2, 4, INPUT_BYTES, 2 * INPUT_BYTES, 0xFFFF, 0xFFFFFFFF, chance.randrange(1 << 32)))
    small = number & 0xFFFF
    kind, payload = chance.choice(
        (
            (Kind.HELLO, protocol.pack_hello()),
            (
                Kind.WRITE_INPUT,
                protocol.pack_write_input(number, chance.randbytes(chance.randrange(MAX_PAYLOAD_BYTES - 4))),
            ),
            (Kind.READ, protocol.pack_read(chance.choice(list(protocol.Region)), number, small)),
            (Kind.READ, protocol.pack_read(protocol.Region.ARENA, small, chance.randrange(2000))),
            (Kind.INVOKE, protocol.pack_invoke(number, small % 18)),
            (Kind.RUN_STEP, protocol.pack_run_step(number, number)),
            (chance.randrange(256), chance.randbytes(chance.randrange(20))),
        )
    )
    return encode_frame(Frame(kind, chance.randrange(4), chance.choice((1, 1, 1, 0, 2)), payload))


def stream_of(seed: int) -> bytes:
    chance = random.Random(seed)
    pieces = [chance.choice((case.stream, request(chance))) for case in chance.choices(CASES, k=4)]
    pieces.append(chance.randbytes(chance.choice((0, 5, RAW_CAPACITY_BYTES + 2))))
    chance.shuffle(pieces)
    return mutated(b"".join(pieces), chance)


@pytest.mark.parametrize("block", range(10))
def test_both_decoders_say_the_same(block: int) -> None:
    """100 mutated streams in one, so that each meets the decoders in the state that another left."""
    stream = b"".join(stream_of(seed) for seed in range(block * 100, block * 100 + 100))
    expected = c_events(stream)
    assert python_events([stream]) == expected
    chance = random.Random(block)
    cuts = sorted(chance.sample(range(len(stream)), 500))
    assert python_events(stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])) == expected


def test_no_input_stops_the_firmware_answering() -> None:
    """2,000 mutated streams into the firmware's main under sanitizers; then it still greets."""
    stream = b"".join(stream_of(seed) for seed in range(10_000, 12_000))
    greeting = encode_frame(Frame(Kind.HELLO, 77, 5, protocol.pack_hello()))
    done = subprocess.run(
        [device_program()], input=stream + b"\0" + greeting, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    last = Decoder().feed(done.stdout)[-1]
    assert isinstance(last, Frame)
    assert (last.kind, last.sequence, last.session) == (Kind.HELLO | Kind.RESPONSE, 77, 5)
    assert protocol.parse_hello(last.payload) is not None


def test_no_answer_breaks_the_host() -> None:
    """Whatever a device sends between its answers, the host takes only its answer."""
    transport = InProcessTransport()
    session = Session(transport, new_session=lambda: 1)
    for seed in range(500):
        transport.send_to_host(stream_of(seed))
        assert session.hello().board == "library"


@pytest.mark.parametrize("size", [0, 1, 7, 39, 40, 41, 60, 300])
def test_no_payload_breaks_the_parsers(size: int) -> None:
    chance = random.Random(size)
    for _ in range(300):
        payload = chance.randbytes(size)
        for parse in (protocol.parse_hello, protocol.parse_invoke, protocol.parse_run_step, protocol.parse_refusal):
            parse(payload)


BOARD_BYTES = 12_000  # of the corpus, through the virtual board


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What 12,000 mutants reach; benchmarks/link_fuzz.py runs more."""
    program = fuzzer_program()
    if program is None:
        pytest.skip("no C compiler here has sanitizers; install gcc")
    return fuzz(program, 12_000, 1, tmp_path_factory.mktemp("fuzz"))


def test_the_fuzzer_gets_to_every_answer_and_every_refusal(findings: Findings) -> None:
    """After each input a greeting is answered, and no frame of the device's is broken: the driver stops otherwise."""
    answers = {kind | Kind.RESPONSE for kind in Kind if kind < Kind.RESPONSE} | {Kind.BUSY, Kind.ERROR}
    assert findings.answered == answers
    assert findings.refused == set(protocol.ErrorCode)
    assert len(findings.corpus) > 100


def test_both_decoders_say_the_same_of_all_that_it_found(findings: Findings) -> None:
    stream = b"\0".join(findings.corpus)
    assert python_events([stream]) == c_events(stream)


def test_nothing_that_it_found_stops_a_board_answering(findings: Findings, tmp_path: Path) -> None:
    pytest.importorskip("unicorn")
    from tinydeploy.virtual import VirtualBoard

    board = load_board("pico")
    project, _ = write_board_project(tmp_path, small_model(), board)
    transport = VirtualTransport(VirtualBoard(board, project.elf), board.uart.baud)
    stream = b"\0".join(findings.corpus)
    transport.board.run(0.05)
    for at in range(0, BOARD_BYTES, BOARD_BYTES // 4):
        transport.write(stream[at : at + BOARD_BYTES // 4])
        transport.board.run(0.5)
        session = Session(transport, new_session=lambda: 9, fast=False)
        assert session.hello().board == "pico"
    assert session.infer(bytes(project.input.size_bytes)).cycles
