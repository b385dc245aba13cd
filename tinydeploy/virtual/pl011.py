"""The PrimeCell UART PL011 (Arm DDI 0183), as in the RP2040 and RP2350: FIFOs of 32 bytes, 8N1 alone.

Not modelled, and said so when firmware turns them on: DMA, modem lines, loop back, parity, other word lengths.
"""

from __future__ import annotations

from collections import deque

from tinydeploy.virtual.peripheral import SiliconError
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event
from tinydeploy.virtual.uart_model import UartModel, UartWiring

DR, RSR, FR, ILPR, IBRD, FBRD, LCR_H, CR, IFLS, IMSC, RIS, MIS, ICR, DMACR = (
    0x00, 0x04, 0x18, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48,
)  # fmt: skip
_UARTEN, _TXE, _RXE = 1, 1 << 8, 1 << 9
_RX, _TX, _RT, _FE, _OE = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 10
_FEN = 1 << 4
_FIFO_BYTES = 32
_LEVELS = (4, 8, 16, 24, 28)  # IFLS: 1/8 to 7/8 of 32
_SILENCE_BITS = 32


class Pl011(UartModel):
    """One UART."""

    def __init__(self, wiring: UartWiring) -> None:
        reset = dict.fromkeys((DR, RSR, ILPR, IBRD, FBRD, LCR_H, IMSC, RIS, MIS, ICR, DMACR), 0)
        reset |= {FR: 0x90, CR: _TXE | _RXE, IFLS: 0x12}
        super().__init__(wiring, reset)
        self._incoming: deque[int] = deque()
        self._outgoing: deque[int] = deque()
        self._latched = 0
        self._divider = 0  # in sixty-fourths; IBRD and FBRD are taken over by a write to LCR_H
        self._silence: Event | None = None
        self.readers = {
            DR: self._read_dr, FR: self._read_fr, RIS: lambda: self._latched,
            MIS: lambda: self._latched & self.registers[IMSC], ICR: lambda: 0,
        }  # fmt: skip
        self.writers = {
            DR: self._write_dr, CR: self._write_cr, LCR_H: self._write_lcr_h, IMSC: self._write_imsc,
            ICR: self._write_icr, DMACR: self._write_dmacr, FR: lambda _value: None, RIS: lambda _value: None,
            MIS: lambda _value: None,
        }  # fmt: skip

    def reset(self) -> None:
        """Off, nothing on its way."""
        super().reset()
        self._incoming.clear()
        self._outgoing.clear()
        self._latched = self._divider = 0
        if self._silence is not None:
            self._silence.cancelled = True
        self._silence = None

    @property
    def receiving(self) -> bool:
        """UARTEN and RXE."""
        return self.registers[CR] & (_UARTEN | _RXE) == _UARTEN | _RXE

    @property
    def baud(self) -> float:
        """clk_peri / (16 * divider)."""
        clock = self.wiring.kernel_hz()
        if not clock:
            raise SiliconError(f"uses {self.name} while clk_peri does not run; set CLK_PERI_CTRL.ENABLE first")
        if self._divider < 64:
            raise SiliconError(
                f"uses {self.name} with no divider; IBRD and FBRD take effect with the write to LCR_H after them"
            )
        return 4 * clock / self._divider

    @property
    def _depth(self) -> int:
        return _FIFO_BYTES if self.registers[LCR_H] & _FEN else 1

    def _level(self, shift: int) -> int:
        return _LEVELS[min(self.registers[IFLS] >> shift & 7, 4)] if self._depth > 1 else 1

    def arrived(self, byte: int, framing_error: bool) -> None:
        """Into the FIFO, or an overrun."""
        if len(self._incoming) == self._depth:
            self._latch(_OE)
            return
        self._incoming.append(byte | framing_error << 8)
        self._latch((_FE if framing_error else 0) | (_RX if len(self._incoming) >= self._level(3) else 0))
        if self._silence is not None:
            self._silence.cancelled = True
        self._silence = self.wiring.timeline.schedule(int(_SILENCE_BITS * PS_PER_SECOND / self.baud), self._timed_out)

    def _timed_out(self) -> None:
        self._silence = None
        if self._incoming:
            self._latch(_RT)

    def sent(self) -> None:
        """The next byte, and the interrupt when the FIFO has run down to its level."""
        if self._outgoing:
            self._next()

    def _next(self) -> None:
        before = len(self._outgoing)
        self.shift(self._outgoing.popleft())
        level = self._level(0) if self._depth > 1 else 0
        if before > level >= len(self._outgoing):
            self._latch(_TX)

    def _latch(self, bits: int) -> None:
        self._latched |= bits
        self.wiring.set_line(bool(self._latched & self.registers[IMSC]))

    def _read_fr(self) -> int:
        busy = self.shifting or bool(self._outgoing)
        full_out, full_in = len(self._outgoing) >= self._depth, len(self._incoming) >= self._depth
        flags = ((busy, 3), (not self._incoming, 4), (full_out, 5), (full_in, 6), (not self._outgoing, 7))
        return sum(flag << bit for flag, bit in flags)

    def _read_dr(self) -> int:
        if self._incoming:
            self.registers[DR] = self._incoming.popleft()
            if len(self._incoming) < self._level(3):
                self._latched &= ~_RX
            if not self._incoming:
                self._latched &= ~_RT
            self._latch(0)
        return self.registers[DR]

    def _write_dr(self, value: int) -> None:
        if self.registers[CR] & (_UARTEN | _TXE) != _UARTEN | _TXE:
            raise SiliconError(f"writes {self.name}.UARTDR while UARTCR.UARTEN or TXE is clear")
        if len(self._outgoing) >= self._depth:
            raise SiliconError(f"writes {self.name}.UARTDR while the transmit FIFO is full; the byte is lost")
        self._outgoing.append(value & 0xFF)
        if len(self._outgoing) > self._level(0):
            self._latched &= ~_TX
        if not self.shifting:
            self._next()

    def _write_cr(self, value: int) -> None:
        if value & ~(_UARTEN | _TXE | _RXE):
            raise SiliconError(f"sets 0x{value:x} in {self.name}.UARTCR: only UARTEN, TXE and RXE are modelled")
        self.registers[CR] = value

    def _write_lcr_h(self, value: int) -> None:
        if value & ~_FEN != 3 << 5:
            raise SiliconError(f"sets 0x{value:x} in {self.name}.UARTLCR_H: only 8 bits without parity are modelled")
        if self.registers[CR] & _UARTEN:
            raise SiliconError(f"writes {self.name}.UARTLCR_H while UARTCR.UARTEN is set; clear it first")
        self.registers[LCR_H] = value
        self._divider = (self.registers[IBRD] & 0xFFFF) << 6 | self.registers[FBRD] & 63

    def _write_imsc(self, value: int) -> None:
        self.registers[IMSC] = value
        self._latch(0)

    def _write_icr(self, value: int) -> None:
        self._latched &= ~value
        self._latch(0)

    def _write_dmacr(self, value: int) -> None:
        if value:
            raise SiliconError(f"turns on DMA in {self.name}.UARTDMACR, which the virtual board does not model")
