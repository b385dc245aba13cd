"""Sessions over lines that are slow, late, deaf or lossy, with the device's own link at their end."""

from __future__ import annotations

import random

import pytest
from support.link.devices import INPUT_BYTES, InProcessTransport, expected_output, in_process, some_input
from support.link.faults import Faults

from tinydeploy import protocol
from tinydeploy.errors import LinkError
from tinydeploy.exchange import InterruptedLinkError
from tinydeploy.protocol import Frame, Kind
from tinydeploy.session import Session


class TestBaudRates:
    def test_a_session_goes_on_at_the_highest_rate_and_closes_at_the_first(self) -> None:
        transport = InProcessTransport()
        session = Session(transport)
        assert session.hello().fast_baud == 921_600
        assert (transport.baud, transport.device_baud) == (921_600, 921_600)
        assert session.infer(some_input()).output == expected_output(some_input())
        assert session.garbage_bytes == 0
        session.close()
        assert (transport.baud, transport.device_baud) == (115_200, 115_200)

    def test_a_line_that_is_too_slow_for_it_stays_at_the_first_rate(self) -> None:
        transport = InProcessTransport(line_baud=460_800)
        session = Session(transport)
        session.hello()
        assert (transport.baud, transport.device_baud) == (115_200, 115_200)
        assert session.infer(some_input()).output == expected_output(some_input())
        for _ in range(3):  # and soon is not asked again
            session.hello()
        before = transport.now_s()
        session.hello()
        assert transport.now_s() - before < 0.1

    def test_a_line_that_loses_bytes_at_it_stays_at_the_first_rate(self) -> None:
        class Worse(InProcessTransport):
            def set_baud(self, baud: int) -> None:
                super().set_baud(baud)
                self.faults = Faults(flip=0.0 if baud == 115_200 else 0.01)

        transport = Worse()
        session = Session(transport)
        session.hello()
        assert transport.baud == 115_200
        assert session.infer(some_input()).output == expected_output(some_input())

    def test_a_port_that_knows_no_such_rate_stays_at_the_first(self) -> None:
        class OneRate(InProcessTransport):
            def set_baud(self, baud: int) -> None:
                if baud != 115_200:
                    raise LinkError("no such rate")

        transport = OneRate()
        session = Session(transport)
        session.hello()
        assert (transport.baud, transport.device_baud) == (115_200, 115_200)
        assert session.infer(some_input()).output == expected_output(some_input())

    def test_after_a_reset_both_are_at_the_first_rate_and_go_up_again(self) -> None:
        transport = InProcessTransport()
        session = Session(transport)
        session.hello()
        transport.reset()
        assert session.infer(some_input()).output == expected_output(some_input())
        assert (transport.baud, transport.device_baud) == (921_600, 921_600)

    def test_what_a_killed_program_left_is_undone(self) -> None:
        """It set the higher rate and never closed; the next one begins at the first."""
        transport = InProcessTransport()
        Session(transport).hello()
        transport.set_baud(115_200)
        assert transport.device_baud == 921_600
        session = Session(transport, fast=False)
        session.hello()
        assert transport.device_baud == 115_200
        assert session.infer(some_input()).output == expected_output(some_input())

    def test_a_reset_between_two_requests_is_told(self) -> None:
        session = in_process()
        session.hello()
        transport = session.transport
        assert isinstance(transport, InProcessTransport)
        transport.reset()
        with pytest.raises(InterruptedLinkError, match=r"no answer at 921,600 baud in 1\.\d s, .* reset; retry"):
            session.read_output()


class DeafTransport(InProcessTransport):
    """From some time on, answers to INVOKE are lost, and only they."""

    deaf = False

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        data = super().read(4096, timeout_s)
        if not self.deaf:
            return data
        frames = [event for event in protocol.Decoder().feed(data) if isinstance(event, Frame)]
        return b"".join(map(protocol.encode_frame, (f for f in frames if f.kind != Kind.INVOKE | Kind.RESPONSE)))


@pytest.mark.parametrize(("known", "least_s", "most_s"), [(False, 60, 64), (True, 5, 8)])
def test_a_run_that_does_not_end_is_waited_for_as_long_as_the_runs_before_suggest(
    known: bool, least_s: float, most_s: float
) -> None:
    transport = DeafTransport()
    session = Session(transport, fast=False)
    session.hello()
    if known:
        session.infer(some_input())
    session.write_input(some_input(2))
    transport.deaf = True
    started_s = transport.now_s()
    with pytest.raises(LinkError, match="began to compute and said nothing for"):
        session.invoke(protocol.crc32(some_input(2)))
    assert least_s < transport.now_s() - started_s < most_s


class LateTransport(InProcessTransport):
    """Every byte from the device comes half a second late."""

    def __init__(self) -> None:
        super().__init__()
        self._late: list[tuple[float, bytes]] = []

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        while data := super().read(4096, 0.0):
            self._late.append((self.now_s() + 0.5, data))
        if self._late and self._late[0][0] <= self.now_s() + timeout_s:
            due_s, data = self._late.pop(0)
            super().read(1, max(0.0, due_s - self.now_s()))
            return data
        return super().read(1, timeout_s)


def test_a_late_line_is_soon_not_asked_twice() -> None:
    session = Session(LateTransport())
    session.hello()
    session.infer(some_input())
    before = session.repeats
    for seed in range(5):
        assert session.infer(some_input(seed)).output == expected_output(some_input(seed))
    assert session.repeats == before


LOSSY = {
    "flips": Faults(flip=1e-3),
    "drops": Faults(drop=1e-3),
    "doubles": Faults(double=1e-3),
    "inserts": Faults(insert=1e-3),
    "all": Faults(flip=5e-4, drop=5e-4, double=5e-4, insert=5e-4),
    "resets": Faults(reset=4e-5),
    "all and resets": Faults(flip=1e-4, drop=1e-4, double=1e-4, insert=1e-4, reset=2e-5),
}


class TestLossyLines:
    @pytest.mark.parametrize("faults", LOSSY.values(), ids=LOSSY)
    def test_no_wrong_result_is_accepted(self, faults: Faults) -> None:
        """Every inference ends, with the right result: these rates hit more than every third frame of 500 bytes."""
        session = in_process(faults, seed=5)
        transport = session.transport
        assert isinstance(transport, InProcessTransport)
        session.hello()
        started_s = transport.now_s()
        for seed in range(60):
            assert session.infer(some_input(seed)).output == expected_output(some_input(seed))
        clean_s = 60 * 2 * INPUT_BYTES * 10 / 115_200
        # A reset at the higher rate is noticed after a second of silence.
        assert transport.now_s() - started_s < 4 * clean_s + 2 * transport.resets
        assert bool(transport.resets) == bool(faults.reset)

    def test_a_line_that_lets_nothing_through_ends_in_an_honest_error(self) -> None:
        session = in_process(Faults(flip=0.05))
        with pytest.raises(LinkError, match=r"gives no answer but .* garbage|is silent"):
            session.hello()

    def test_a_device_that_resets_all_the_time_ends_in_an_honest_error(self) -> None:
        session = in_process(Faults(reset=0.01))
        session.hello()
        with pytest.raises(InterruptedLinkError, match="the device was reset"):
            session.infer(some_input())

    def test_an_undisturbed_line_carries_all_data(self) -> None:
        """The device's encoder on 100 outputs, the dense and the mostly zero ones that stuffing treats apart."""
        session = in_process()
        session.hello()
        chance = random.Random(11)
        for seed in range(100):
            zero = (256 - 0x5A) % 256  # becomes a zero in the output
            share = chance.choice((0.0, 0.004, 0.1, 0.9))
            data = bytes(zero if chance.random() < share else byte for byte in some_input(seed))
            assert session.infer(data).output == expected_output(data)
        assert session.garbage_bytes == 0
        assert session.repeats == 0

    def test_an_undisturbed_line_is_used_to_more_than_85_percent(self) -> None:
        session = in_process()
        session.hello()
        transport = session.transport
        assert isinstance(transport, InProcessTransport)
        before_bytes = transport.written_bytes
        session.write_input(some_input())
        assert INPUT_BYTES / (transport.written_bytes - before_bytes) > 0.9
