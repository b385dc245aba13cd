"""Sessions with the device's own C: its main as a process on a pseudo-terminal, and its link in this process."""

from __future__ import annotations

import itertools
import os
import pty
import random
import signal
import time
import tty
from pathlib import Path

import pytest
from support.link.devices import InProcessTransport, device_on_a_pty, expected_output, in_process, some_input

from tinydeploy import protocol
from tinydeploy.errors import LinkError, MismatchError
from tinydeploy.exchange import InterruptedLinkError, Timing
from tinydeploy.protocol import ErrorCode, Frame, Kind
from tinydeploy.session import Session
from tinydeploy.transport import SerialTransport

QUICK = Timing(latency_s=0.05, patience_s=1.0)


class TestTheFirmwareOnAPty:
    def test_greets_infers_steps_and_passes_text(self) -> None:
        lines: list[str] = []
        with device_on_a_pty() as (port, _):
            time.sleep(0.1)
            transport = SerialTransport(port)  # drops what was there before, so the banner may be lost
            session = Session(transport, timing=QUICK, on_text=lines.append)
            info = session.hello()
            assert (info.board, info.model, info.fingerprint) == ("host", "backwards", "0123456789abcdef")
            assert info.model_sha256 == "00112233445566778899aabbccddeeff" * 2
            assert (info.input_bytes, info.output_bytes, info.arena_bytes, info.step_count) == (3000, 3000, 6000, 2)
            assert (info.core_hz, info.baud) == (100_000_000, 115_200)

            data = some_input()
            result = session.infer(data, runs=3)
            assert result.output == expected_output(data)
            assert result.cycles == (1000, 1000, 1000)
            assert result.stack_bytes == 96

            session.write_input(data)
            assert session.run_step(0, protocol.crc32(data)) == 1000
            assert session.read_arena(0, 3000) == bytes(reversed(expected_output(data)))
            assert session.run_step(1, 0) == 1000
            assert session.read_arena(3000, 3000) == expected_output(data)
            assert session.read_arena(5990, 0) == b""
            assert session.digest_arena(0, 6000) == protocol.digest(session.read_arena(0, 6000))
            session.close()

    def test_answers_after_any_noise(self) -> None:
        with device_on_a_pty() as (port, _):
            session = Session(SerialTransport(port), timing=QUICK)
            for seed in range(20):
                session.transport.write(random.Random(seed).randbytes(3000))
                session.hello()
            assert session.infer(some_input()).output == expected_output(some_input())
            session.close()

    def test_a_device_that_stops_is_silent(self) -> None:
        with device_on_a_pty() as (port, process):
            session = Session(SerialTransport(port), timing=QUICK)
            session.hello()
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(LinkError, match=r"is silent: no answer in 1\.\d s; .*make flash"):
                session.infer(some_input())
            session.close()

    def test_two_clients_cannot_have_the_port(self) -> None:
        with device_on_a_pty() as (port, _):
            first = SerialTransport(port)
            with pytest.raises(LinkError, match="is in use by another program; close that program"):
                SerialTransport(port)
            first.close()


class TestPorts:
    def test_a_missing_port(self) -> None:
        with pytest.raises(
            LinkError, match=r"there is no port /dev/no-such-port; .*virtual board|the USB serial ports"
        ):
            SerialTransport("/dev/no-such-port")

    @pytest.mark.parametrize("path", ["/dev/null", "/tmp"])
    def test_something_that_is_no_port(self, path: str) -> None:
        with pytest.raises(LinkError, match=f"{path} is not a serial port"):
            SerialTransport(path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
    def test_a_port_without_permission(self, tmp_path: Path) -> None:
        path = str(tmp_path / "port")
        os.mkfifo(path, 0)
        with pytest.raises(LinkError, match=r"no permission to open .*dialout"):
            SerialTransport(path)

    def test_a_port_that_goes_away(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        transport = SerialTransport(os.ttyname(slave))
        os.close(slave)
        os.close(master)
        with pytest.raises(LinkError, match="went away while it was in use"):
            transport.read(1, 0.1)
        with pytest.raises(LinkError, match="went away while it was in use"):
            transport.write(b"x")
        transport.close()

    def test_a_port_that_only_makes_noise(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        session = Session(SerialTransport(os.ttyname(slave)), timing=Timing(latency_s=0.05, patience_s=0.3))
        os.write(master, b"\xf0\x80" * 20 + b"\0")
        with pytest.raises(LinkError, match=r"40 B of garbage .* baud rate is 115,200"):
            session.hello()
        session.close()
        os.close(slave)
        os.close(master)


class TestRefusals:
    def test_firmware_of_another_build(self) -> None:
        session = in_process()
        session.hello()
        session.check("0123456789abcdef" * 4, "build/x")
        with pytest.raises(MismatchError, match=r"runs build 0123456789abcdef .* build/x holds build fedc.*rebuild"):
            session.check("fedcba9876543210" * 4, "build/x")

    def test_firmware_of_another_protocol(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "PROTOCOL_VERSION", 2)
        with pytest.raises(MismatchError, match="speaks link protocol 1, this tinydeploy 2; flash this build"):
            in_process().hello()

    def test_requests_outside_the_memory(self) -> None:
        session = in_process()
        session.hello()
        with pytest.raises(LinkError, match=r"refused READ: RANGE \(6,000\)"):
            session.read_arena(5999, 2)
        with pytest.raises(LinkError, match=r"refused READ: RANGE \(6,000\)"):
            session.read_arena(0xFFFFFFFF, 1)
        with pytest.raises(LinkError, match=r"refused RUN_STEP: RANGE \(2\)"):
            session.run_step(2, 0)
        session.write_input(some_input())
        with pytest.raises(LinkError, match=r"refused INVOKE: RANGE \(16\)"):
            session.invoke(protocol.crc32(some_input()), runs=17)

    def test_steps_out_of_order(self) -> None:
        session = in_process()
        session.hello()
        with pytest.raises(LinkError, match=r"refused RUN_STEP: ORDER \(0\)"):
            session.run_step(1, 0)

    @pytest.mark.parametrize(
        ("kind", "payload", "code"),
        [
            (Kind.WRITE_INPUT, b"abc", ErrorCode.SIZE),
            (Kind.WRITE_INPUT, protocol.pack_write_input(2999, b"ab"), ErrorCode.RANGE),
            (Kind.WRITE_INPUT, protocol.pack_write_input(0xFFFFFFFF, b"ab"), ErrorCode.RANGE),
            (Kind.READ, b"", ErrorCode.SIZE),
            (Kind.READ, b"\3" + bytes(4) + b"\1\0", ErrorCode.RANGE),
            (Kind.READ, b"\2" + bytes(4) + b"\xff\xff", ErrorCode.RANGE),
            (Kind.INVOKE, b"", ErrorCode.SIZE),
            (Kind.INVOKE, bytes(6), ErrorCode.RANGE),
            (Kind.RUN_STEP, b"", ErrorCode.SIZE),
            (Kind.DIGEST, bytes(7), ErrorCode.SIZE),
            (Kind.DIGEST, protocol.pack_digest(protocol.Region.ARENA, 1, 6000), ErrorCode.RANGE),
            (Kind.SET_BAUD, b"abc", ErrorCode.SIZE),
            (Kind.SET_BAUD, protocol.pack_set_baud(460_800), ErrorCode.RANGE),
            (Kind.HELLO, b"", ErrorCode.VERSION),
            (0x42, b"", ErrorCode.TYPE),
        ],
    )
    def test_every_malformed_request_is_refused_by_name(self, kind: int, payload: bytes, code: ErrorCode) -> None:
        transport = InProcessTransport()
        Session(transport, new_session=lambda: 7).hello()
        transport.write(protocol.encode_frame(Frame(kind, 99, 7, payload)))
        (answer,) = protocol.Decoder().feed(transport.read(100, 0))
        assert isinstance(answer, Frame)
        refusal = protocol.parse_refusal(answer.payload)
        assert (answer.kind, answer.sequence, refusal and refusal.code) == (Kind.ERROR, 99, code)

    def test_without_a_greeting_nothing_is_done(self) -> None:
        transport = InProcessTransport()
        for kind, session in itertools.product((Kind.READ, Kind.INVOKE, Kind.HELLO), (0, 5)):
            if (kind, session) != (Kind.HELLO, 5):
                payload = protocol.pack_hello() if kind == Kind.HELLO else bytes(7)
                transport.write(protocol.encode_frame(Frame(kind, 1, session, payload)))
                (answer,) = protocol.Decoder().feed(transport.read(100, 0))
                assert isinstance(answer, Frame)
                assert answer.payload == bytes([ErrorCode.SESSION, 0, 0, 0, 0])


class TestInterruptions:
    def test_a_reset_is_noticed(self) -> None:
        transport = InProcessTransport()
        session = Session(transport, fast=False)
        session.hello()
        transport.reset()
        transport.send_to_host(b"tinydeploy: backwards\r\n")
        with pytest.raises(
            InterruptedLinkError, match=r"the device was reset; it printed: tinydeploy: backwards; retry"
        ):
            session.read_output()

    def test_another_client_is_noticed(self) -> None:
        transport = InProcessTransport()
        session = Session(transport)
        session.hello()
        Session(transport).hello()
        with pytest.raises(InterruptedLinkError, match="another program talks to it"):
            session.read_output()

    def test_two_clients_in_turn_both_get_right_results(self) -> None:
        transport = InProcessTransport()
        first, second = Session(transport), Session(transport)
        first.hello()
        second.hello()
        for seed in range(10):
            assert first.infer(some_input(seed)).output == expected_output(some_input(seed))
            assert second.infer(some_input(-seed)).output == expected_output(some_input(-seed))

    def test_a_fault_report_ends_the_wait_and_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        transport = InProcessTransport()
        session = Session(transport)
        session.hello()
        data = some_input()
        session.write_input(data)
        report = b"\0\r\ntinydeploy fault: BusFault\r\n  data access to an address where nothing answers\r\n"
        monkeypatch.setattr(transport, "write", lambda _: transport.send_to_host(report))
        started_s = transport.now_s()
        with pytest.raises(
            LinkError, match=r"has stopped; it printed: tinydeploy fault: BusFault \| data.*reset the board"
        ):
            session.invoke(protocol.crc32(data))
        assert transport.now_s() - started_s < 3

    def test_inference_starts_again_after_a_reset(self) -> None:
        transport = InProcessTransport()
        session = Session(transport)
        session.hello()
        transport.reset()
        assert session.infer(some_input()).output == expected_output(some_input())

    def test_an_input_changed_by_somebody_else_is_never_used(self) -> None:
        session = in_process()
        session.hello()
        session.write_input(some_input(1))
        with pytest.raises(LinkError, match="refused INVOKE: INPUT"):
            session.invoke(protocol.crc32(some_input(2)))

    def test_a_used_input_is_not_used_again(self) -> None:
        session = in_process()
        session.hello()
        data = some_input()
        session.write_input(data)
        session.invoke(protocol.crc32(data))
        with pytest.raises(LinkError, match="refused INVOKE: INPUT"):
            session.invoke(protocol.crc32(data))

    def test_a_request_that_comes_twice_runs_once(self) -> None:
        transport = InProcessTransport()
        session = Session(transport, new_session=lambda: 9)
        session.hello()
        data = some_input()
        session.write_input(data)
        before = transport.runs
        invoke = protocol.encode_frame(Frame(Kind.INVOKE, 500, 9, protocol.pack_invoke(protocol.crc32(data), 1)))
        transport.write(invoke + invoke)
        busy, *answers = protocol.Decoder().feed(transport.read(1000, 0))
        assert isinstance(busy, Frame)
        assert busy.kind == Kind.BUSY
        assert len(answers) == 2
        assert answers[0] == answers[1]
        assert transport.runs == before + 1
