"""The APB UART of Arm's Cortex-M System Design Kit (DDI 0479): a byte of buffer each way, 8N1."""

from __future__ import annotations

from tinydeploy.virtual.peripheral import SiliconError
from tinydeploy.virtual.uart_model import UartModel, UartWiring

DATA, STATE, CTRL, INTSTATUS, BAUDDIV = 0x00, 0x04, 0x08, 0x0C, 0x10
_TX_FULL, _RX_FULL, _TX_OVERRUN, _RX_OVERRUN = 1, 2, 4, 8
_TX, _RX, _TX_INTERRUPT, _RX_INTERRUPT = 1, 2, 4, 8


class CmsdkUart(UartModel):
    """One UART, with an interrupt for each direction."""

    def __init__(self, wiring: UartWiring) -> None:
        reset = dict.fromkeys((DATA, STATE, CTRL, INTSTATUS, BAUDDIV), 0)
        super().__init__(wiring, reset)
        self._state = self._interrupts = 0
        self._buffered: int | None = None
        self.readers = {DATA: self._read_data, STATE: lambda: self._state, INTSTATUS: lambda: self._interrupts}
        self.writers = {
            DATA: self._write_data, STATE: self._write_state, CTRL: self._write_ctrl,
            INTSTATUS: lambda value: self._interrupt(self._interrupts & ~value), BAUDDIV: self._write_bauddiv,
        }  # fmt: skip

    def reset(self) -> None:
        """Off, nothing on its way."""
        super().reset()
        self._state = self._interrupts = 0
        self._buffered = None

    @property
    def receiving(self) -> bool:
        """CTRL.RX."""
        return bool(self.registers[CTRL] & _RX)

    @property
    def baud(self) -> float:
        """PCLK / BAUDDIV."""
        divider = self.registers[BAUDDIV]
        if divider < 16:
            raise SiliconError(f"uses {self.name} with BAUDDIV {divider}; it must be at least 16")
        return self.wiring.kernel_hz() / divider

    def arrived(self, byte: int, _framing_error: bool) -> None:
        """Into the buffer; there is no framing error."""
        if self._state & _RX_FULL:
            self._state |= _RX_OVERRUN
        self.registers[DATA] = byte
        self._state |= _RX_FULL
        if self.registers[CTRL] & _RX_INTERRUPT:
            self._interrupt(self._interrupts | 2)

    def sent(self) -> None:
        """The buffered byte follows."""
        if self._buffered is not None:
            value, self._buffered = self._buffered, None
            self._start(value)

    def _start(self, value: int) -> None:
        self.shift(value)
        self._state &= ~_TX_FULL
        if self.registers[CTRL] & _TX_INTERRUPT:
            self._interrupt(self._interrupts | 1)

    def _interrupt(self, bits: int) -> None:
        self._interrupts = bits
        self.wiring.set_line(bool(bits & 1), True)
        self.wiring.set_line(bool(bits & 2), False)

    def _read_data(self) -> int:
        self._state &= ~_RX_FULL
        return self.registers[DATA]

    def _write_data(self, value: int) -> None:
        if not self.registers[CTRL] & _TX:
            raise SiliconError(f"writes {self.name}.DATA while the transmitter is off; set CTRL bit 0 first")
        if self._state & _TX_FULL:
            raise SiliconError(f"writes {self.name}.DATA while STATE.TX_FULL is set; the byte before it is lost")
        if self.shifting:
            self._buffered = value & 0xFF
            self._state |= _TX_FULL
        else:
            self._start(value & 0xFF)

    def _write_state(self, value: int) -> None:
        self._state &= ~(value & (_TX_OVERRUN | _RX_OVERRUN))

    def _write_ctrl(self, value: int) -> None:
        if value & (_TX | _RX):
            self.baud  # noqa: B018 - raises when BAUDDIV was not set
        self.registers[CTRL] = value

    def _write_bauddiv(self, value: int) -> None:
        self.registers[BAUDDIV] = value & 0xFFFFF
