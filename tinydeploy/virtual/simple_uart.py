"""What UARTs of 8 data bits, no parity and 1 stop bit share: a shift register out, frames in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tinydeploy.virtual.chips.chip import UartPlace
from tinydeploy.virtual.line import EIGHT_N_ONE, Format, transfer
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event, Timeline


class SimpleUart(Peripheral):
    """A UART without its registers; the arguments are those of `Usart`.

    A child says what ``receiving`` and ``baud`` are and what happens when a byte has ``arrived`` or was ``sent``.
    """

    def __init__(
        self,
        place: UartPlace,
        base: int,
        timeline: Timeline,
        kernel_hz: Callable[[], int],
        set_line: Callable[[bool], None],
        pin: Callable[[str], str | None],
        emit: Callable[[int, Format, float], None],
        reset_values: Mapping[int, int],
    ) -> None:
        super().__init__(place.name, base, reset_values)
        self.place = place
        self.timeline = timeline
        self.kernel_hz = kernel_hz
        self.set_line = set_line
        self._pin = pin
        self._emit = emit
        self._shifting: Event | None = None

    def reset(self) -> None:
        """Registers as after reset, nothing on its way."""
        super().reset()
        if self._shifting is not None:
            self._shifting.cancelled = True
        self._shifting = None

    @property
    def receiving(self) -> bool:
        """The receiver is on."""
        raise NotImplementedError

    @property
    def baud(self) -> float:
        """The baud rate that the registers make; SiliconError when they make none."""
        raise NotImplementedError

    def arrived(self, byte: int, framing_error: bool) -> None:
        """A byte is in."""
        raise NotImplementedError

    def sent(self) -> None:
        """The shift register is empty."""
        raise NotImplementedError

    @property
    def shifting(self) -> bool:
        """A frame is on the line."""
        return self._shifting is not None

    def take_frame(self, value: int, sent: Format, line_baud: float) -> None:
        """A frame has arrived on the line; garbled when the firmware's baud rate is another."""
        reason = self._pin("RX")
        if reason is not None:
            raise SiliconError(reason)
        for item in transfer(value, sent, line_baud, EIGHT_N_ONE, self.baud):
            self.arrived(item.byte, item.framing_error)

    def shift(self, value: int) -> None:
        """Send a byte; `sent` follows a frame later."""
        reason = self._pin("TX")
        if reason is not None:
            raise SiliconError(reason)
        baud = self.baud

        def done() -> None:
            self._shifting = None
            self._emit(value, EIGHT_N_ONE, baud)
            self.sent()

        frame_ps = int(EIGHT_N_ONE.frame_bits * PS_PER_SECOND / baud)
        self._shifting = self.timeline.schedule(frame_ps, done)
