"""Requests and their answers over a bad line: sequence numbers, flow control, repetition, giving up.

What the messages mean is session.py's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy import protocol
from tinydeploy.errors import LinkError, MismatchError
from tinydeploy.protocol import ErrorCode, Frame, Garbage, Kind, Text
from tinydeploy.transport import Transport

_READ_BYTES = 4096
_LAST_WORDS_LINES = 12
_FAULT_REPORT_S = 1.0  # by then a fault report is on the host even at 9,600 baud
_MOST_UNDER_WAY = 8  # more would only make losses dearer
_MOST_DOUBLINGS = 2  # of the latency allowed: patience should last for many attempts
_MOST_LATENCY_S = 1.6
_ANSWERS_OF_PATIENCE = 16  # so many of the latest: emulated devices on a busy machine answer late
_MOST_PATIENCE_S = 30.0
_RUNS_OF_PATIENCE = 4  # a run takes no longer than so many that are known
_RESCUED_ATTEMPTS = 8  # of so many attempts one has the rescue before it
_FIRST_RESCUED = 3  # a rescue takes far longer than a request, and would hold up a device that is only late
_FAST_PATIENCE_S = 1.0  # at a rate that was set: a device that was reset is at its own again


@dataclass(frozen=True, slots=True)
class Timing:
    """How long to wait. ``latency_s`` is allowed on top of the bytes' own time on the wire before a request is sent
    again; ``patience_s`` without any answer ends the attempt, ``compute_s`` when the device has said that it works."""

    latency_s: float = 0.1
    patience_s: float = 5.0
    compute_s: float = 60.0


class InterruptedLinkError(LinkError):
    """The session ended under us: the device was reset, or another program took the device over."""


class RefusedError(LinkError):
    """The device refused a request for a reason that a caller may mend."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Request:
    """One request under way. ``answer_bytes`` is the expected size of the answer's payload; ``rescue`` goes before
    the first repetition and some later ones."""

    kind: Kind
    payload: bytes
    answer_bytes: int
    rescue: bytes = b""
    sequence: int = 0
    wire: bytes = b""
    expected_s: float = 0.0
    due_s: float = 0.0
    first_sent_s: float = 0.0
    attempts: int = 0
    busy: bool = False
    answer: bytes | None = None


class Exchange:
    """One conversation over `transport`. The owner sets ``session``, ``window_bytes`` (0: one request at a time) and
    ``longest_run_s``, the time that a run of the model is known to take.

    ``repeats`` counts requests sent again, ``garbage_bytes`` what was neither frame nor text. ``own_baud`` is the rate
    that a device has after a reset, the transport's at first.
    """

    def __init__(self, transport: Transport, timing: Timing, on_text: Callable[[str], None] | None) -> None:
        self.session = 0
        self.window_bytes = 0
        self.longest_run_s = 0.0
        self.repeats = 0
        self.garbage_bytes = 0
        self.own_baud = transport.baud
        self._transport = transport
        self._timing = timing
        self._on_text = on_text
        self._decoder = protocol.Decoder()
        self._sequence = 0
        self._latency_s = timing.latency_s
        self._slowest_s = 0.0  # of all answers so far, from the first time that their request was sent
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS_LINES)
        self._garbage_before = 0
        self._faulted = False

    def exchange(self, requests: list[Request]) -> list[bytes]:
        """The payloads of the answers to `requests`, in order; as many are under way as the device's window takes."""
        waiting = deque(requests)
        under_way: dict[int, Request] = {}  # by sequence, in the order last sent
        heard_s = self._transport.now_s()
        self._garbage_before = self.garbage_bytes
        noise_bytes = self._noise_bytes
        self._faulted = False
        while waiting or under_way:
            while waiting and (not under_way or self._fits(under_way, waiting[0])):
                request = waiting.popleft()
                self._sequence = (self._sequence + 1) & 0xFFFF
                request.sequence = self._sequence
                request.wire = protocol.encode_frame(
                    Frame(request.kind, request.sequence, self.session, request.payload)
                )
                self._send(request, under_way)
            first_due_s = min(request.due_s for request in under_way.values())
            data = self._transport.read(_READ_BYTES, max(0.0, first_due_s - self._transport.now_s()))
            for event in self._decoder.feed(data):
                if self._take(event, under_way):
                    heard_s = self._transport.now_s()
                    noise_bytes = self._noise_bytes
            now_s = self._transport.now_s()
            # A device that computes sends nothing: after noise it may have been reset.
            busy = noise_bytes == self._noise_bytes and any(request.busy for request in under_way.values())
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
        if busy:
            known_s = self._timing.patience_s + _RUNS_OF_PATIENCE * self.longest_run_s
            return min(known_s, self._timing.compute_s) if self.longest_run_s else self._timing.compute_s
        least_s = min(_FAST_PATIENCE_S, self._timing.patience_s) if self._fast else self._timing.patience_s
        return max(least_s, min(_ANSWERS_OF_PATIENCE * self._slowest_s, _MOST_PATIENCE_S))

    @property
    def _noise_bytes(self) -> int:
        """What came and is no frame, or not yet."""
        return self.garbage_bytes + self._decoder.unfinished_bytes

    @property
    def _fast(self) -> bool:
        """At a rate that only a device keeps which has not been reset."""
        return self._transport.baud != self.own_baud

    def _fits(self, under_way: dict[int, Request], request: Request) -> bool:
        """Whether `request` may follow those under way without overrunning the device's receiver."""
        size = protocol.wire_bytes(len(request.payload))
        return (
            len(under_way) < _MOST_UNDER_WAY
            and size + sum(len(other.wire) for other in under_way.values()) <= self.window_bytes
        )

    def _send(self, request: Request, under_way: dict[int, Request]) -> None:
        """Sends `request`, again or for the first time, and sets when to lose patience with it."""
        under_way.pop(request.sequence, None)
        under_way[request.sequence] = request
        rescue = request.rescue if request.attempts % _RESCUED_ATTEMPTS == _FIRST_RESCUED else b""
        self._transport.write(rescue + request.wire)
        wire_bytes = (
            len(rescue)
            + sum(len(other.wire) + protocol.wire_bytes(other.answer_bytes) for other in under_way.values())
            + protocol.wire_bytes(4)
        )
        now_s, wire_s = self._transport.now_s(), wire_bytes * 10 / self._transport.baud
        if not request.attempts:
            request.first_sent_s = now_s
        request.expected_s = now_s + wire_s + self._compute_s() * request.busy
        request.due_s = request.expected_s + wire_s / 2 + self._latency_s * 2 ** min(request.attempts, _MOST_DOUBLINGS)
        self.repeats += request.attempts > 0
        request.attempts += 1

    def _compute_s(self) -> float:
        """How long a run may take before it is worth asking again: asking disturbs the measurement a little."""
        return 2 * self.longest_run_s or 0.5

    def _take(self, event: protocol.Event, under_way: dict[int, Request]) -> bool:
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
        if event.session != self.session:
            return False  # an answer to somebody else
        if request is None:
            # A second answer: the first was only late, so this line or device is slower than allowed for.
            self._latency_s = min(2 * self._latency_s, _MOST_LATENCY_S)
            return False
        if request.attempts == 1 and not request.busy:
            late_s = self._transport.now_s() - request.expected_s
            self._latency_s = max(self._timing.latency_s, 0.95 * self._latency_s, min(2 * late_s, _MOST_LATENCY_S))
        if event.kind == Kind.BUSY:
            request.busy = True
            request.due_s = self._transport.now_s() + self._compute_s() + self._latency_s
            return True
        if event.kind == Kind.ERROR:
            raise self._refusal(event.payload, request)
        if event.kind != request.kind | Kind.RESPONSE:
            return False
        request.answer = event.payload
        if not request.busy:
            self._slowest_s = max(self._slowest_s, self._transport.now_s() - request.first_sent_s)
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

    def _refusal(self, payload: bytes, request: Request) -> LinkError | MismatchError:
        refusal = protocol.parse_refusal(payload)
        name = self._transport.name
        if refusal is None:
            return self.nonsense(request.kind.name)
        if refusal.code == ErrorCode.VERSION:
            return MismatchError(
                f"the firmware on {name} speaks link protocol {refusal.detail}, this tinydeploy "
                f"{protocol.PROTOCOL_VERSION}; flash this build or rebuild"
            )
        if refusal.code == ErrorCode.SESSION:
            what = "another program talks to it" if refusal.detail else "the device was reset"
            return InterruptedLinkError(f"the conversation with {name} was interrupted: {what}; {self._said()}retry")
        known = {code.value: code.name for code in ErrorCode}
        return RefusedError(
            f"{name} refused {request.kind.name}: {known.get(refusal.code, refusal.code)} ({refusal.detail:,}); "
            "flash this build or rebuild",
            refusal.code,
        )

    def nonsense(self, what: str) -> LinkError:
        """The error for an answer to `what` that is well framed and makes no sense."""
        return LinkError(
            f"{self._transport.name} answered {what} with a malformed message; flash this build or rebuild"
        )

    def _silent(self, waited_s: float, busy: bool) -> LinkError:
        for event in self._decoder.flush():  # a fault report may have cut a frame off
            self._take(event, {})
        if self._faulted:
            fact = f"the firmware on {self._transport.name} has stopped"
            step = "reset the board"
        elif busy:
            fact = f"{self._transport.name} began to compute and said nothing for {waited_s:.0f} s"
            step = "reset the board and retry"
        elif self._fast:
            return InterruptedLinkError(
                f"the conversation with {self._transport.name} was interrupted: no answer at {self._transport.baud:,} "
                f"baud in {waited_s:.1f} s, the device may have been reset; {self._said()}retry"
            )
        elif garbage_bytes := self.garbage_bytes - self._garbage_before:
            fact = f"{self._transport.name} gives no answer but {garbage_bytes:,} B of garbage in {waited_s:.1f} s"
            step = f"check that the firmware's baud rate is {self._transport.baud:,}"
        else:
            fact = f"{self._transport.name} is silent: no answer in {waited_s:.1f} s"
            step = "check that the board has power and runs tinydeploy's firmware (make flash), then reset it"
        return LinkError(f"{fact}; {self._said()}{step}")

    def _said(self) -> str:
        """The last lines that the firmware printed, for messages: a fault report explains a silence."""
        return f"it printed: {' | '.join(self._last_words)}; " if self._last_words else ""
