"""A conversation with a device: requests, answers, retransmission. The messages are in protocol.py.

What makes it safe on a bad line: every frame has a CRC-32; every request a sequence number, and an answer counts only
for its request; every HELLO opens a session with a number of the host's choosing, which a reset of the device or
another program's HELLO ends, and a device refuses requests of another session; INVOKE names the CRC of the input that
it means and answers with the CRC of its output. A request whose answer does not come is sent again; a device never
runs the model twice for one request.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy import protocol
from tinydeploy.errors import LinkError, MismatchError
from tinydeploy.protocol import DeviceInfo, ErrorCode, Frame, Garbage, Invocation, Kind, Region, Text
from tinydeploy.transport import Transport

_RESTARTS = 4  # of one inference, after resets or another program's messages, before giving up
_READ_BYTES = 4096
_LAST_WORDS_LINES = 12
_HELLO_RESPONSE_BYTES = 256
_FAULT_REPORT_S = 1.0  # by then a fault report is on the host even at 9,600 baud
_LEAST_CHUNK_BYTES = 64
_MOST_DOUBLINGS = 2  # of the latency allowed: patience should last for many attempts
_MOST_HALVINGS = 4
_MOST_LATENCY_S = 1.6
_MOST_UNDER_WAY = 8  # more would only make losses dearer


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait. ``latency_s`` is allowed on top of the bytes' own time on the wire before a request is sent
    again; ``patience_s`` without any answer ends the attempt, ``compute_s`` when the device has said that it works."""

    latency_s: float = 0.1
    patience_s: float = 5.0
    compute_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Inference:
    """``output`` of the model, the cycles of each run and the stack that a run used."""

    output: bytes
    cycles: tuple[int, ...]
    stack_bytes: int


class InterruptedLinkError(LinkError):
    """The session ended under us: the device was reset, or another program took the device over."""


class _RefusedError(LinkError):
    """The device refused a request for a reason that a caller may mend."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Request:
    """One request under way. ``answer_bytes`` is the expected size of the answer's payload."""

    kind: Kind
    payload: bytes
    answer_bytes: int
    sequence: int = 0
    wire: bytes = b""
    due_s: float = 0.0
    attempts: int = 0
    busy: bool = False
    answer: bytes | None = None


def _random_session() -> int:
    return secrets.randbelow(0xFFFF) + 1


class Session:
    """Speaks to the device behind `transport`; :meth:`hello` comes first.

    ``on_text`` gets each line that the firmware prints outside frames. ``new_session`` yields the 16-bit, non-zero
    number of each session. ``garbage_bytes`` and ``repeats`` tell how good the line is: bytes that were neither frame
    nor text, and requests sent again. Errors: LinkError (silent device, lost session, refused request), MismatchError
    (firmware of another protocol version).

    ``place_input``, for a virtual board in this process, puts an input straight into the model's buffer as a debugger
    would: emulating the line byte by byte takes far longer than the inference. The device checks its CRC all the same.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timing: Timing | None = None,
        on_text: Callable[[str], None] | None = None,
        new_session: Callable[[], int] = _random_session,
        place_input: Callable[[bytes], None] | None = None,
    ) -> None:
        self.transport = transport
        self._place_input = place_input
        self._timing = timing or Timing()
        self._on_text = on_text
        self._new_session = new_session
        self._decoder = protocol.Decoder()
        self._session = 0
        self._sequence = 0
        self._info: DeviceInfo | None = None
        self._longest_run_s = 0.0
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS_LINES)
        self.garbage_bytes = 0
        self.repeats = 0
        self._garbage_before = 0
        self._halvings = 0
        self._latency_s = self._timing.latency_s
        self._faulted = False

    @property
    def info(self) -> DeviceInfo:
        """What the device said of itself; valid after :meth:`hello`."""
        assert self._info is not None, "hello() comes first"
        return self._info

    def hello(self) -> DeviceInfo:
        """Opens a session. MismatchError when the firmware is of another protocol, or changed under us."""
        self._session = self._new_session()
        (payload,) = self._exchange([_Request(Kind.HELLO, protocol.pack_hello(), _HELLO_RESPONSE_BYTES)])
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
        self._exchange_chunks(
            [
                _Request(Kind.WRITE_INPUT, protocol.pack_write_input(at, data[at : at + chunk]), 0)
                for at in range(0, len(data), chunk)
            ]
        )

    def invoke(self, input_crc: int, runs: int = 1) -> Invocation:
        """Runs the model on the input whose CRC-32 this is; further runs only measure time, up to ``max_runs``."""
        request = _Request(Kind.INVOKE, protocol.pack_invoke(input_crc, runs), 8 + 4 * runs)
        (payload,) = self._exchange([request])
        result = protocol.parse_invoke(payload)
        if result is None or len(result.cycles) != runs:
            raise self._nonsense("INVOKE")
        self._longest_run_s = max(self._longest_run_s, *(c / self.info.core_hz for c in result.cycles))
        return result

    def read_output(self) -> bytes:
        """The output of the last :meth:`invoke`."""
        return self._read(Region.OUTPUT, 0, self.info.output_bytes)

    def run_step(self, step: int, input_crc: int) -> int:
        """Runs one step of the model, 0 and up in order, and gives its cycles; step 0 checks the input's CRC-32."""
        (payload,) = self._exchange([_Request(Kind.RUN_STEP, protocol.pack_run_step(step, input_crc), 4)])
        cycles = protocol.parse_run_step(payload)
        if cycles is None:
            raise self._nonsense("RUN_STEP")
        return cycles

    def read_arena(self, offset: int, size: int) -> bytes:
        """`size` bytes of the arena from `offset`."""
        return self._read(Region.ARENA, offset, size)

    def digest_arena(self, offset: int, size: int) -> bytes:
        """:func:`protocol.digest` of `size` bytes of the arena from `offset`, computed by the device."""
        request = _Request(Kind.DIGEST, protocol.pack_digest(Region.ARENA, offset, size), 8)
        (payload,) = self._exchange([request])
        if len(payload) != 8:
            raise self._nonsense("DIGEST")
        return payload

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
            except _RefusedError as error:
                # Only interference or a reset can have changed the input between writing and running.
                if error.code != ErrorCode.INPUT or restart == _RESTARTS:
                    raise
        raise InterruptedLinkError(
            f"something else uses the model on {self.transport.name} meanwhile; close other programs that use the port"
        )

    def close(self) -> None:
        """Closes the transport."""
        self.transport.close()

    def _read(self, region: Region, offset: int, size: int) -> bytes:
        chunk = self._chunk_bytes()
        sizes = [(at, min(chunk, size - at)) for at in range(0, size, chunk)]
        pieces = self._exchange_chunks(
            [_Request(Kind.READ, protocol.pack_read(region, offset + at, count), count) for at, count in sizes]
        )
        if any(len(piece) != count for piece, (_, count) in zip(pieces, sizes, strict=True)):
            raise self._nonsense("READ")
        return b"".join(pieces)

    def _chunk_bytes(self) -> int:
        """Payload data per frame: two frames fit the device's window, so that the line never waits for an answer; less
        on a bad line, where a long frame rarely comes through whole."""
        overhead = protocol.wire_bytes(4) + 8
        most = max(_LEAST_CHUNK_BYTES, min(self.info.max_payload_bytes - 4, self.info.window_bytes // 2 - overhead))
        return max(_LEAST_CHUNK_BYTES, most >> self._halvings)

    def _exchange_chunks(self, requests: list[_Request]) -> list[bytes]:
        """:meth:`_exchange`, after which the next chunks are shorter if more than a quarter was sent again."""
        before = self.repeats
        answers = self._exchange(requests)
        if (self.repeats - before) * 4 > len(requests):
            self._halvings = min(self._halvings + 1, _MOST_HALVINGS)
        elif self.repeats == before:
            self._halvings = max(self._halvings - 1, 0)
        return answers

    def _exchange(self, requests: list[_Request]) -> list[bytes]:
        """The payloads of the answers to `requests`, in order; as many are under way as the device's window takes."""
        waiting = deque(requests)
        under_way: dict[int, _Request] = {}  # by sequence, in the order last sent
        heard_s = self.transport.now_s()
        self._garbage_before = self.garbage_bytes
        self._faulted = False
        while waiting or under_way:
            window = self._info.window_bytes if self._info else 0
            while waiting and (not under_way or self._fits(window, under_way, waiting[0])):
                request = waiting.popleft()
                self._sequence = (self._sequence + 1) & 0xFFFF
                request.sequence = self._sequence
                request.wire = protocol.encode_frame(
                    Frame(request.kind, request.sequence, self._session, request.payload)
                )
                self._send(request, under_way)
            first_due_s = min(request.due_s for request in under_way.values())
            data = self.transport.read(_READ_BYTES, max(0.0, first_due_s - self.transport.now_s()))
            for event in self._decoder.feed(data):
                if self._take(event, under_way):
                    heard_s = self.transport.now_s()
            now_s = self.transport.now_s()
            busy = any(request.busy for request in under_way.values())
            if under_way and now_s - heard_s > self._patience_s(busy):
                raise self._silent(now_s - heard_s, busy)
            if overdue := [request for request in under_way.values() if request.due_s <= now_s]:
                self._send(overdue[0], under_way)  # one at a time: the answer to the next may be there by now
        answers = [request.answer for request in requests]
        return [answer for answer in answers if answer is not None]

    def _patience_s(self, busy: bool) -> float:
        """How long to go on without an answer."""
        if self._faulted:
            return min(_FAULT_REPORT_S, self._timing.patience_s)
        return self._timing.compute_s if busy else self._timing.patience_s

    def _fits(self, window: int, under_way: dict[int, _Request], request: _Request) -> bool:
        """Whether `request` may follow those under way without overrunning the device's receiver."""
        size = protocol.wire_bytes(len(request.payload))
        return (
            len(under_way) < _MOST_UNDER_WAY and size + sum(len(other.wire) for other in under_way.values()) <= window
        )

    def _send(self, request: _Request, under_way: dict[int, _Request]) -> None:
        """Sends `request`, again or for the first time, and sets when to lose patience with it."""
        under_way.pop(request.sequence, None)
        under_way[request.sequence] = request
        self.transport.write(request.wire)
        wire_bytes = sum(
            len(other.wire) + protocol.wire_bytes(other.answer_bytes) for other in under_way.values()
        ) + protocol.wire_bytes(4)
        wait_s = (
            self._latency_s * 2 ** min(request.attempts, _MOST_DOUBLINGS) + 1.5 * wire_bytes * 10 / self.transport.baud
        )
        if request.busy:
            wait_s += self._compute_s()
        self.repeats += request.attempts > 0
        request.attempts += 1
        request.due_s = self.transport.now_s() + wait_s

    def _compute_s(self) -> float:
        """How long a run may take before it is worth asking again: asking disturbs the measurement a little."""
        return 2 * self._longest_run_s or 0.5

    def _take(self, event: protocol.Event, under_way: dict[int, _Request]) -> bool:
        """Handles one event; True when it is an answer to a request under way."""
        if isinstance(event, Garbage):
            self.garbage_bytes += len(event.raw)
            return False
        if isinstance(event, Text):
            if line := event.text.strip():
                self._last_words.append(line)
            self._faulted |= protocol.FAULT_TEXT in event.text
            if self._on_text is not None:
                self._on_text(event.text)
            return False
        request = under_way.get(event.sequence)
        if event.session != self._session:
            return False  # an answer to somebody else
        if request is None:
            # A second answer: the first was only late, so this line or device is slower than allowed for.
            self._latency_s = min(2 * self._latency_s, _MOST_LATENCY_S)
            return False
        if event.kind == Kind.BUSY:
            request.busy = True
            request.due_s = self.transport.now_s() + self._compute_s() + self._latency_s
            return True
        if event.kind == Kind.ERROR:
            raise self._refusal(event.payload, request)
        if event.kind != request.kind | Kind.RESPONSE:
            return False
        request.answer = event.payload
        # The device answers in order: what was sent before this request and has no answer was lost.
        lost = []
        for other in under_way.values():
            if other is request:
                break
            lost.append(other)
        del under_way[request.sequence]
        for other in lost:
            self._send(other, under_way)
        return True

    def _refusal(self, payload: bytes, request: _Request) -> LinkError | MismatchError:
        refusal = protocol.parse_refusal(payload)
        name = self.transport.name
        if refusal is None:
            return self._nonsense(request.kind.name)
        if refusal.code == ErrorCode.VERSION:
            return MismatchError(
                f"the firmware on {name} speaks link protocol {refusal.detail}, this tinydeploy "
                f"{protocol.PROTOCOL_VERSION}; flash this build or rebuild"
            )
        if refusal.code == ErrorCode.SESSION:
            what = "another program talks to it" if refusal.detail else "the device was reset"
            return InterruptedLinkError(f"the conversation with {name} was interrupted: {what}; {self._said()}retry")
        known = {code.value: code.name for code in ErrorCode}
        return _RefusedError(
            f"{name} refused {request.kind.name}: {known.get(refusal.code, refusal.code)} ({refusal.detail:,}); "
            "flash this build or rebuild",
            refusal.code,
        )

    def _nonsense(self, what: str) -> LinkError:
        return LinkError(f"{self.transport.name} answered {what} with a malformed message; flash this build or rebuild")

    def _silent(self, waited_s: float, busy: bool) -> LinkError:
        for event in self._decoder.flush():  # a fault report may have cut a frame off
            self._take(event, {})
        if self._faulted:
            fact = f"the firmware on {self.transport.name} has stopped"
            step = "reset the board"
        elif busy:
            fact = f"{self.transport.name} began to compute and said nothing for {waited_s:.0f} s"
            step = "reset the board and retry"
        elif garbage_bytes := self.garbage_bytes - self._garbage_before:
            fact = f"{self.transport.name} gives no answer but {garbage_bytes:,} B of garbage in {waited_s:.1f} s"
            step = f"check that the firmware's baud rate is {self.transport.baud:,}"
        else:
            fact = f"{self.transport.name} is silent: no answer in {waited_s:.1f} s"
            step = "check that the board has power and runs tinydeploy's firmware (make flash), then reset it"
        return LinkError(f"{fact}; {self._said()}{step}")

    def _said(self) -> str:
        """The last lines that the firmware printed, for messages: a fault report explains a silence."""
        return f"it printed: {' | '.join(self._last_words)}; " if self._last_words else ""
