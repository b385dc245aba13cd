"""The serial line, bit by bit: what a receiver at one baud rate makes of a frame that was sent at another."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BAUD_ERROR = 0.025  # half a bit is lost over a frame of ten bits at 5 %; both ends share it


@dataclass(frozen=True, slots=True)
class Format:
    """Data bits (7 to 9, a parity bit counted), parity ("none", "even", "odd") and stop bits of a UART."""

    data_bits: int = 8
    parity: str = "none"
    stop_bits: int = 1

    @property
    def frame_bits(self) -> int:
        """Bits of a frame, start and stop included."""
        return 1 + self.data_bits + self.stop_bits


EIGHT_N_ONE = Format()


@dataclass(frozen=True, slots=True)
class Received:
    """One byte as the receiver took it; ``framing_error``: its stop bit was low."""

    byte: int
    framing_error: bool


def frame(value: int, form: Format) -> tuple[int, ...]:
    """The levels of one frame, start bit first."""
    payload = form.data_bits - (form.parity != "none")
    bits = [value >> bit & 1 for bit in range(payload)]
    if form.parity != "none":
        bits.append((sum(bits) & 1) ^ (form.parity == "odd"))
    return 0, *bits, *([1] * form.stop_bits)


def transfer(value: int, sent: Format, sender_baud: float, form: Format, receiver_baud: float) -> list[Received]:
    """What the receiver takes from one frame followed by an idle line.

    Within `MAX_BAUD_ERROR` and at the same format, the value. Beyond, the receiver samples wherever its own clock says:
    none, one or several bytes, and never the value that was sent.
    """
    matching = abs(sender_baud / receiver_baud - 1) <= MAX_BAUD_ERROR and sent == form
    if matching:
        return [Received(value & (1 << form.data_bits) - 1, False)]
    levels = frame(value, sent)
    ratio = sender_baud / receiver_baud

    def level(receiver_bits: float) -> int:
        """The line at a time counted in the receiver's bits."""
        index = int(receiver_bits * ratio)
        return levels[index] if index < len(levels) else 1

    received: list[Received] = []
    length = len(levels) / ratio  # of the frame, in receiver bits
    time = 0.0
    step = 1 / 16  # the receiver looks sixteen times a bit
    while time < length:
        if level(time):
            time += step
            continue
        if level(time + 0.5) == 0:  # a start bit, seen again in its middle
            bits = [level(time + 1.5 + bit) for bit in range(form.data_bits)]
            taken = sum(bit << index for index, bit in enumerate(bits))
            received.append(Received(taken, level(time + 1.5 + form.data_bits) == 0))
            time += 1.5 + form.data_bits + 0.5
            while time < length and not level(time):
                time += step  # after a framing error the line must rise first
        else:
            time += step
    if len(received) == 1 and received[0].byte == value:
        # Sampled near the edges of the last bits, where they are still changing: later for a slow receiver than for a
        # fast one, so that an echo does not come back right.
        doubtful = 0b10 if ratio > 1 else 0b11
        received = [Received(value ^ doubtful << form.data_bits - 2, received[0].framing_error)]
    return received
