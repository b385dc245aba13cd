"""USART and UART of the STM32F4 (RM0090 "USART", RM0383 the same): SR and DR in front of the later kind's machinery.

The frame format, the baud rate and the interrupts are those of the later USART; what differs is where registers lie,
that CR1.UE is bit 13, and that reading SR and then DR clears the error flags.
"""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.virtual import usart
from tinydeploy.virtual.line import Format
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.uart_model import UartWiring
from tinydeploy.virtual.usart import Usart

SR, DR, BRR, CR1, CR2, CR3, GTPR = range(0, 0x1C, 4)
_UE = 1 << 13
_STATUS = 0xFF  # PE to TXE stand where ISR has them
_ERRORS = 0x1F  # PE, FE, NF, ORE, IDLE


class UsartV1(Peripheral):
    """One UART."""

    def __init__(self, wiring: UartWiring) -> None:
        super().__init__(wiring.place.name, wiring.base, dict.fromkeys((SR, DR, BRR, CR1, CR2, CR3, GTPR), 0))
        self._inner = Usart(replace(wiring, place=replace(wiring.place, fifo=False)))
        self._status_read = False
        inner = self._inner
        self.readers = {SR: self._read_sr, DR: self._read_dr}
        self.writers = {
            SR: self._write_sr,
            DR: lambda value: inner.write(usart.TDR, value),
            BRR: lambda value: self._pass(BRR, usart.BRR, value),
            CR1: self._write_cr1,
            CR2: lambda value: self._pass(CR2, usart.CR2, value),
            CR3: lambda value: self._pass(CR3, usart.CR3, value),
        }

    def reset(self) -> None:
        """Off, nothing on its way."""
        super().reset()
        self._inner.reset()
        self._status_read = False

    @property
    def receiving(self) -> bool:
        """The receiver is on."""
        return self._inner.receiving

    def take_frame(self, value: int, sent: Format, line_baud: float) -> None:
        """A frame has arrived on the line."""
        self._inner.take_frame(value, sent, line_baud)

    def _pass(self, offset: int, inner_offset: int, value: int) -> None:
        self._inner.write(inner_offset, value)
        self.registers[offset] = value

    def _write_cr1(self, value: int) -> None:
        self.registers[CR1] = value
        # UE moves to bit 0; SBK (0) and RWU (1) are not modelled, and UESM (1) of the later kind has no place here.
        self._inner.write(usart.CR1, value & ~(_UE | 3) | bool(value & _UE))

    def _read_sr(self) -> int:
        self._status_read = True
        return self._inner.read(usart.ISR) & _STATUS

    def _write_sr(self, value: int) -> None:
        """TC is cleared by writing 0 to it (RXNE too, which nobody needs)."""
        if not value & 1 << 6:
            self._inner.write(usart.ICR, 1 << 6)

    def _read_dr(self) -> int:
        if self._status_read:
            self._status_read = False
            self._inner.write(usart.ICR, _ERRORS)
        return self._inner.read(usart.RDR)
