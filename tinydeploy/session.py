"""A conversation with a device. The messages are in protocol.py, their repetition and flow control in exchange.py.

What makes it safe on a bad line: every frame has a CRC-32; every request a sequence number, and an answer counts only
for its request; every HELLO opens a session with a number of the host's choosing, which a reset of the device or
another program's HELLO ends, and a device refuses requests of another session; INVOKE names the CRC of the input that
it means and answers with the CRC of its output. A request whose answer does not come is sent again; a device never
runs the model twice for one request.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy import protocol
from tinydeploy.errors import LinkError, MismatchError, TinydeployError
from tinydeploy.exchange import Exchange, InterruptedLinkError, RefusedError, Request, Timing
from tinydeploy.protocol import About, DeviceInfo, ErrorCode, Invocation, Kind, Region
from tinydeploy.transport import Transport

_RESTARTS = 4  # of one inference, after resets or another program's messages, before giving up
_HELLO_RESPONSE_BYTES = 256
_LEAST_CHUNK_BYTES = 64
_MOST_HALVINGS = 4
_MOST_FAILED_SPEED_UPS = 2


@dataclass(frozen=True, slots=True)
class Inference:
    """``output`` of the model, the cycles of each run and the stack that a run used."""

    output: bytes
    cycles: tuple[int, ...]
    stack_bytes: int


def _random_session() -> int:
    return secrets.randbelow(0xFFFF) + 1


class Session:
    """Speaks to the device behind `transport`; :meth:`hello` comes first.

    ``on_text`` gets each line that the firmware prints outside frames. ``new_session`` yields the 16-bit, non-zero
    number of each session. Errors: LinkError (silent device, lost session, refused request), MismatchError (firmware
    of another protocol version). ``garbage_bytes`` and ``repeats`` tell how good the line is.

    ``place_input``, for a virtual board in this process, puts an input straight into the model's buffer as a debugger
    would: emulating the line byte by byte takes far longer than the inference. The device checks its CRC all the same.

    With ``fast``, :meth:`hello` goes on to the highest rate that the board's port takes, when a probe comes through at
    it; :meth:`close` goes back. After a reset, or when nothing comes through, it is the board's own rate again.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timing: Timing | None = None,
        on_text: Callable[[str], None] | None = None,
        new_session: Callable[[], int] = _random_session,
        place_input: Callable[[bytes], None] | None = None,
        fast: bool = True,
    ) -> None:
        self.transport = transport
        self._place_input = place_input
        self._new_session = new_session
        self._exchange = Exchange(transport, timing or Timing(), on_text)
        self._info: DeviceInfo | None = None
        self._halvings = 0
        self._speed_ups_left = _MOST_FAILED_SPEED_UPS if fast and place_input is None else 0

    @property
    def repeats(self) -> int:
        """How many requests were sent again."""
        return self._exchange.repeats

    @property
    def garbage_bytes(self) -> int:
        """How many bytes came that were neither frame nor text."""
        return self._exchange.garbage_bytes

    @property
    def info(self) -> DeviceInfo:
        """What the device said of itself; valid after :meth:`hello`."""
        assert self._info is not None, "hello() comes first"
        return self._info

    def hello(self) -> DeviceInfo:
        """Opens a session. MismatchError when the firmware is of another protocol, or changed under us."""
        info = self._open()
        if self._speed_ups_left and info.fast_baud > self.transport.baud:
            try:
                self._set_baud(info.fast_baud)
                self._probe()
            except LinkError:
                self._speed_ups_left -= 1
                self._slow_down()
                self._greet(protocol.RESCUE)
        return self.info

    def _open(self) -> DeviceInfo:
        """Greets at the present rate, and where the device no longer has that, at its own."""
        if self.transport.baud != self._exchange.own_baud:
            with contextlib.suppress(InterruptedLinkError):
                return self._greet(b"")
            self.transport.set_baud(self._exchange.own_baud)
        return self._greet(protocol.RESCUE)

    def _slow_down(self) -> None:
        """Back to the device's own rate, the device too if it still hears."""
        if self.transport.baud != self._exchange.own_baud:
            with contextlib.suppress(LinkError):
                self._set_baud(self._exchange.own_baud)
            self.transport.set_baud(self._exchange.own_baud)

    def _set_baud(self, baud: int) -> None:
        self._exchange.exchange([Request(Kind.SET_BAUD, protocol.pack_set_baud(baud), 0)])
        self.transport.set_baud(baud)

    def _probe(self) -> None:
        """LinkError unless a greeting and a piece of input come through at once."""
        before = self.repeats
        info = self._greet(b"")
        data = (b"\x55\xaa\x0f\xf0" * self._chunk_bytes())[: min(self._chunk_bytes(), info.input_bytes)]
        self._exchange.exchange([Request(Kind.WRITE_INPUT, protocol.pack_write_input(0, data), 0)])
        if self.repeats != before:
            raise LinkError(f"{self.transport.name} loses bytes at {self.transport.baud:,} baud; choose a lower rate")

    def _greet(self, rescue: bytes) -> DeviceInfo:
        self._exchange.session = self._new_session()
        request = Request(Kind.HELLO, protocol.pack_hello(), _HELLO_RESPONSE_BYTES, rescue)
        (payload,) = self._exchange.exchange([request])
        info = protocol.parse_hello(payload)
        if info is None:
            raise MismatchError(
                f"the firmware on {self.transport.name} greets in a way that this tinydeploy does not know; "
                "flash this build"
            )
        if self._info is not None and info.fingerprint != self._info.fingerprint:
            raise MismatchError(
                f"the firmware on {self.transport.name} changed from build {self._info.fingerprint} to "
                f"{info.fingerprint} in the middle of the work; start again"
            )
        self._info = info
        self._exchange.window_bytes = info.window_bytes
        return info

    def check(self, fingerprint: str, where: str) -> None:
        """MismatchError unless the device runs the build with `fingerprint` (at least 16 hex digits), found `where`."""
        if self.info.fingerprint != fingerprint[:16]:
            raise MismatchError(
                f"{self.transport.name} runs build {self.info.fingerprint} (model {self.info.model} on "
                f"{self.info.board}), but {where} holds build {fingerprint[:16]}; flash this build (make flash) "
                "or rebuild"
            )

    def write_input(self, data: bytes) -> None:
        """Sends a whole input: ``info.input_bytes`` bytes, as the model has it in memory."""
        assert len(data) == self.info.input_bytes, f"{len(data)} B for an input of {self.info.input_bytes} B"
        if self._place_input is not None:
            self._place_input(data)
            return
        chunk = self._chunk_bytes()
        self._exchange_chunked(
            [
                Request(Kind.WRITE_INPUT, protocol.pack_write_input(at, data[at : at + chunk]), 0)
                for at in range(0, len(data), chunk)
            ]
        )

    def invoke(self, input_crc: int, runs: int = 1) -> Invocation:
        """Runs the model on the input whose CRC-32 this is; further runs only measure time, up to ``max_runs``."""
        request = Request(Kind.INVOKE, protocol.pack_invoke(input_crc, runs), 8 + 4 * runs)
        (payload,) = self._exchange.exchange([request])
        result = protocol.parse_invoke(payload)
        if result is None or len(result.cycles) != runs:
            raise self._exchange.nonsense("INVOKE")
        self._exchange.longest_run_s = max(
            self._exchange.longest_run_s, *(c / self.info.core_hz for c in result.cycles)
        )
        return result

    def read_output(self) -> bytes:
        """The output of the last :meth:`invoke`."""
        return self._read(Region.OUTPUT, 0, self.info.output_bytes)

    def run_step(self, step: int, input_crc: int) -> int:
        """Runs one step of the model, 0 and up in order, and gives its cycles; step 0 checks the input's CRC-32."""
        (payload,) = self._exchange.exchange([Request(Kind.RUN_STEP, protocol.pack_run_step(step, input_crc), 4)])
        cycles = protocol.parse_run_step(payload)
        if cycles is None:
            raise self._exchange.nonsense("RUN_STEP")
        return cycles

    def read_arena(self, offset: int, size: int) -> bytes:
        """`size` bytes of the arena from `offset`."""
        return self._read(Region.ARENA, offset, size)

    def digest_arena(self, offset: int, size: int) -> bytes:
        """:func:`protocol.digest` of `size` bytes of the arena from `offset`, computed by the device."""
        request = Request(Kind.DIGEST, protocol.pack_digest(Region.ARENA, offset, size), 8)
        (payload,) = self._exchange.exchange([request])
        if len(payload) != 8:
            raise self._exchange.nonsense("DIGEST")
        return payload

    def about(self) -> About | None:
        """How the device runs now; None from firmware that is too old to tell."""
        try:
            (payload,) = self._exchange.exchange([Request(Kind.ABOUT, b"", _HELLO_RESPONSE_BYTES)])
        except RefusedError as error:
            if error.code == ErrorCode.TYPE:
                return None
            raise
        about = protocol.parse_about(payload)
        if about is None:
            raise self._exchange.nonsense("ABOUT")
        return about

    def infer(self, data: bytes, runs: int = 1) -> Inference:
        """The model's output for the input `data`, whatever happens on the way: a reset or another program's message
        starts it again, a few times, before LinkError."""
        input_crc = protocol.crc32(data)
        for restart in range(_RESTARTS + 1):
            try:
                self.write_input(data)
                result = self.invoke(input_crc, runs)
                output = self.read_output()
                if protocol.crc32(output) == result.output_crc:
                    return Inference(output, result.cycles, result.stack_bytes)
            except InterruptedLinkError:
                if restart == _RESTARTS:
                    raise
                self.hello()
            except RefusedError as error:
                # Only interference or a reset can have changed the input between writing and running.
                if error.code != ErrorCode.INPUT or restart == _RESTARTS:
                    raise
        raise InterruptedLinkError(
            f"something else uses the model on {self.transport.name} meanwhile; close other programs that use the port"
        )

    def close(self) -> None:
        """Closes the transport, the device at its own rate again if it still answers."""
        with contextlib.suppress(TinydeployError):
            self._slow_down()
        self.transport.close()

    def _read(self, region: Region, offset: int, size: int) -> bytes:
        chunk = self._chunk_bytes()
        sizes = [(at, min(chunk, size - at)) for at in range(0, size, chunk)]
        pieces = self._exchange_chunked(
            [Request(Kind.READ, protocol.pack_read(region, offset + at, count), count) for at, count in sizes]
        )
        if any(len(piece) != count for piece, (_, count) in zip(pieces, sizes, strict=True)):
            raise self._exchange.nonsense("READ")
        return b"".join(pieces)

    def _chunk_bytes(self) -> int:
        """Payload data per frame: two frames fit the device's window, so that the line never waits for an answer; less
        on a bad line, where a long frame rarely comes through whole."""
        overhead = protocol.wire_bytes(4) + 8
        most = max(_LEAST_CHUNK_BYTES, min(self.info.max_payload_bytes - 4, self.info.window_bytes // 2 - overhead))
        return max(_LEAST_CHUNK_BYTES, most >> self._halvings)

    def _exchange_chunked(self, requests: list[Request]) -> list[bytes]:
        """:meth:`_exchange`, after which the next chunks are shorter if more than a quarter was sent again."""
        before = self.repeats
        answers = self._exchange.exchange(requests)
        if (self.repeats - before) * 4 > len(requests):
            self._halvings = min(self._halvings + 1, _MOST_HALVINGS)
        elif self.repeats == before:
            self._halvings = max(self._halvings - 1, 0)
        return answers
