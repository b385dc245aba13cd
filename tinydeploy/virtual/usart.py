"""USART, UART and LPUART of the STM32 F7 and L4+ (RM0385 section 31, RM0432 sections 44 and 45): asynchronous mode.

Not modelled, and said so when firmware turns it on: DMA, synchronous, smartcard, LIN, IrDA, half duplex, flow control.
"""

from __future__ import annotations

from collections import deque

from tinydeploy.virtual.line import Format
from tinydeploy.virtual.peripheral import SiliconError
from tinydeploy.virtual.timeline import Event
from tinydeploy.virtual.uart_model import UartModel, UartWiring

CR1, CR2, CR3, BRR, GTPR, RTOR, RQR, ISR, ICR, RDR, TDR, PRESC = range(0, 0x30, 4)
_UE, _RE, _TE, _OVER8, _FIFOEN = 1 << 0, 1 << 2, 1 << 3, 1 << 15, 1 << 29
_PE, _FE, _NF, _ORE, _IDLE, _RXNE, _TC, _TXE, _BUSY, _TEACK, _REACK = (
    1 << bit for bit in (0, 1, 2, 3, 4, 5, 6, 7, 16, 21, 22)
)
_OVRDIS = 1 << 12
_FIFO_BYTES = 8
_LPUART_MIN_BRR = 0x300
_PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)
_CONFIG_CR1 = 1 << 28 | 1 << 12 | _OVER8 | 1 << 10 | 1 << 9 | _FIFOEN  # only while UE is clear
_UNSUPPORTED_CR2 = {14: "LIN", 11: "the synchronous clock"}
_UNSUPPORTED_CR3 = {
    1: "IrDA",
    3: "half duplex",
    5: "smartcard",
    6: "receive DMA",
    7: "transmit DMA",
    8: "RTS",
    9: "CTS",
}


class Usart(UartModel):
    """One UART."""

    def __init__(self, wiring: UartWiring) -> None:
        place = wiring.place
        known = (CR1, CR2, CR3, BRR, GTPR, RTOR, RQR, ISR, ICR, RDR, TDR, *((PRESC,) if place.fifo else ()))
        super().__init__(wiring, dict.fromkeys(known, 0))
        self._place = place
        self._flags = _TC
        self._received: deque[int] = deque()
        self._to_send: deque[int] = deque()
        self._idle: Event | None = None
        self.readers = {ISR: self._read_isr, RDR: self._read_rdr, ICR: lambda: 0, RQR: lambda: 0}
        self.writers = {
            CR1: self._write_cr1, CR2: self._write_cr2, CR3: self._write_cr3, BRR: self._write_brr,
            ICR: self._write_icr, RQR: self._write_rqr, TDR: self._write_tdr,
            ISR: lambda _value: None, RDR: lambda _value: None,
        }  # fmt: skip

    def reset(self) -> None:
        """Off, nothing on its way."""
        super().reset()
        self._clear()

    def _clear(self) -> None:
        self.stop_shifting()
        self._quiet()
        self._flags = _TC
        self._received.clear()
        self._to_send.clear()

    def _quiet(self) -> None:
        """Forget that the line will have been idle."""
        if self._idle is not None:
            self._idle.cancelled = True
        self._idle = None

    @property
    def _enabled(self) -> bool:
        return bool(self.registers[CR1] & _UE)

    @property
    def receiving(self) -> bool:
        """The receiver is on."""
        return self._enabled and bool(self.registers[CR1] & _RE)

    @property
    def _depth(self) -> int:
        return _FIFO_BYTES if self._place.fifo and self.registers[CR1] & _FIFOEN else 1

    @property
    def format(self) -> Format:
        """The frame format from CR1.M, CR1.PCE, CR1.PS and CR2.STOP."""
        cr1 = self.registers[CR1]
        data_bits = 7 if cr1 >> 28 & 1 else 9 if cr1 >> 12 & 1 else 8
        parity = ("odd" if cr1 >> 9 & 1 else "even") if cr1 >> 10 & 1 else "none"
        return Format(data_bits, parity, 2 if self.registers[CR2] >> 13 & 1 else 1)

    @property
    def baud(self) -> float:
        """The baud rate that the kernel clock, PRESC and BRR make."""
        brr = self.registers[BRR]
        clock = self.wiring.kernel_hz() / _PRESCALERS[min(self.registers.get(PRESC, 0) & 0xF, 11)]
        if self._place.low_power:
            if brr < _LPUART_MIN_BRR:
                raise SiliconError(f"uses {self.name} with BRR 0x{brr:x}, below 0x300 (RM0432 LPUART_BRR)")
            baud = 256 * clock / brr
            if not 3 * baud <= clock <= 4096 * baud:
                raise SiliconError(
                    f"uses {self.name} at {baud:.0f} baud from {clock:.0f} Hz; 3 to 4096 times are needed"
                )
        elif self.registers[CR1] & _OVER8:
            baud = 2 * clock / max(1, brr & 0xFFF0 | (brr & 7) << 1)
        else:
            baud = clock / max(1, brr)
        if not clock:
            raise SiliconError(f"uses {self.name} while its kernel clock does not run")
        if not self._place.low_power and brr < 16:
            raise SiliconError(f"uses {self.name} with BRR {brr}, below 16 (USART_BRR); set BRR before CR1.UE")
        return baud

    def arrived(self, byte: int, framing_error: bool) -> None:
        """Into RDR or the FIFO, or an overrun; the line idle for as long as a frame takes sets IDLE."""
        if framing_error:
            self._flags |= _FE
        if len(self._received) < self._depth:
            self._received.append(byte)
        elif not self.registers[CR3] & _OVRDIS:
            self._flags |= _ORE
        else:
            self._received[-1] = byte
        self._quiet()
        self._idle = self.wiring.timeline.schedule(self.frame_ps, self._become_idle)
        self._signal()

    def _become_idle(self) -> None:
        self._idle = None
        self._flags |= _IDLE
        self._signal()

    def _status(self) -> int:
        cr1 = self.registers[CR1]
        full = len(self._to_send) >= self._depth
        value = self._flags | (0 if full else _TXE) | (_RXNE if self._received else 0)
        if self._enabled:
            value |= (_TEACK if cr1 & _TE else 0) | (_REACK if cr1 & _RE else 0)
        if self._depth > 1:
            value |= (not self._to_send) << 23 | (len(self._received) == self._depth) << 24
        return value

    def _signal(self) -> None:
        """Drive the interrupt line from flags and enables; it is level-sensitive."""
        status, cr1, cr3 = self._status(), self.registers[CR1], self.registers[CR3]
        enabled = cr1 & (_RXNE | _TC | _TXE | _IDLE)  # the enables stand where the flags do
        level = bool(
            status & enabled
            or (cr1 & _RXNE and status & _ORE)
            or (cr1 >> 8 & 1 and status & _PE)
            or (cr3 & 1 and status & (_FE | _NF | _ORE))
            or (cr1 >> 30 & 1 and status >> 23 & 1)
            or (cr1 >> 31 & 1 and status >> 24 & 1)
        )
        self.wiring.set_line(level and self._enabled)

    def _read_isr(self) -> int:
        return self._status()

    def _read_rdr(self) -> int:
        value = self._received.popleft() if self._received else self.registers[RDR]
        self.registers[RDR] = value
        self._signal()
        return value

    def _write_cr1(self, value: int) -> None:
        before = self.registers[CR1]
        if before & _UE and value & _UE and (before ^ value) & _CONFIG_CR1:
            raise SiliconError(f"changes the frame format in {self.name}_CR1 while UE is set, which hardware ignores")
        self.registers[CR1] = value
        if not value & _UE:
            self._clear()
        if not value & _TE:
            self._to_send.clear()
        self._signal()

    def _write_cr2(self, value: int) -> None:
        self._refuse(value, _UNSUPPORTED_CR2, "CR2")
        self._protect(CR2, value, "CR2")

    def _write_cr3(self, value: int) -> None:
        self._refuse(value, _UNSUPPORTED_CR3, "CR3")
        self.registers[CR3] = value
        self._signal()

    def _write_brr(self, value: int) -> None:
        self._protect(BRR, value & (0xF_FFFF if self._place.low_power else 0xFFFF), "BRR")

    def _protect(self, offset: int, value: int, name: str) -> None:
        if self._enabled and value != self.registers[offset]:
            raise SiliconError(f"writes {self.name}_{name} while CR1.UE is set, which hardware ignores; clear UE first")
        self.registers[offset] = value

    def _refuse(self, value: int, unsupported: dict[int, str], register: str) -> None:
        for bit, name in unsupported.items():
            if value >> bit & 1:
                raise SiliconError(f"turns on {name} in {self.name}_{register}, which the virtual board does not model")

    def _write_icr(self, value: int) -> None:
        self._flags &= ~(value & (_PE | _FE | _NF | _ORE | _IDLE | _TC))
        self._signal()

    def _write_rqr(self, value: int) -> None:
        if value >> 3 & 1:
            self._received.clear()
        if value >> 4 & 1:
            self._to_send.clear()
        self._signal()

    def _write_tdr(self, value: int) -> None:
        if not self._enabled or not self.registers[CR1] & _TE:
            raise SiliconError(f"writes {self.name}_TDR while the transmitter is off; set CR1.UE and CR1.TE first")
        if len(self._to_send) >= self._depth:
            raise SiliconError(f"writes {self.name}_TDR while ISR.TXE is clear; the byte before it is lost")
        self._flags &= ~_TC
        self._to_send.append(value & 0x1FF)
        if not self.shifting:
            self.shift(self._to_send.popleft())
        self._signal()

    def sent(self) -> None:
        """The next byte, or transmission complete."""
        if self._to_send:
            self.shift(self._to_send.popleft())
        else:
            self._flags |= _TC
        self._signal()
