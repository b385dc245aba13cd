"""The UART of the nRF52 (nRF52840 Product Specification, "UART - Universal asynchronous receiver/transmitter").

The one without EasyDMA: a byte out at a time, six bytes of FIFO in. Flow control, parity and a second stop bit are not
modelled, and said so when firmware turns them on.
"""

from __future__ import annotations

from collections import deque

from tinydeploy.virtual.peripheral import SiliconError
from tinydeploy.virtual.uart_model import UartModel, UartWiring

STARTRX, STOPRX, STARTTX, STOPTX = 0x000, 0x004, 0x008, 0x00C
RXDRDY, TXDRDY, ERROR, RXTO = 0x108, 0x11C, 0x124, 0x144
INTENSET, INTENCLR, ERRORSRC, ENABLE = 0x304, 0x308, 0x480, 0x500
PSEL_TXD, PSEL_RXD, RXD, TXD, BAUDRATE, CONFIG = 0x50C, 0x514, 0x518, 0x51C, 0x524, 0x56C
_EVENTS = {RXDRDY: 1 << 2, TXDRDY: 1 << 7, ERROR: 1 << 9, RXTO: 1 << 17}
_NOT_CONNECTED = 0xFFFF_FFFF
_ON = 4
_FIFO_BYTES = 6
_OVERRUN, _FRAMING = 1, 4
# BAUDRATE as the manual lists it; other values are not allowed.
_RATES = {
    0x0004_F000: 1200, 0x0009_D000: 2400, 0x0013_B000: 4800, 0x0027_5000: 9600, 0x003A_F000: 14400, 0x004E_A000: 19200,
    0x0075_C000: 28800, 0x0080_0000: 31250, 0x009D_5000: 38400, 0x00E5_0000: 56000, 0x00EB_F000: 57600,
    0x013A_9000: 76800, 0x01D7_E000: 115_200, 0x03AF_B000: 230_400, 0x0400_0000: 250_000, 0x075F_7000: 460_800,
    0x0EBE_D000: 921_600, 0x1000_0000: 1_000_000,
}  # fmt: skip


class NrfUart(UartModel):
    """One UART."""

    def __init__(self, wiring: UartWiring) -> None:
        zero = (*_EVENTS, STARTRX, STOPRX, STARTTX, STOPTX, INTENSET, INTENCLR, ERRORSRC, ENABLE, RXD, TXD, CONFIG)
        reset = dict.fromkeys(zero, 0)
        reset |= dict.fromkeys((0x508, PSEL_TXD, 0x510, PSEL_RXD), _NOT_CONNECTED) | {BAUDRATE: 0x0400_0000}
        super().__init__(wiring, reset)
        self._fifo: deque[int] = deque()
        self._receiving = self._transmitting = False
        self.readers = {INTENCLR: lambda: self.registers[INTENSET], RXD: self._read_rxd}
        self.writers = {
            STARTRX: lambda _value: self._task("receiving", True),
            STOPRX: lambda _value: self._task("receiving", False),
            STARTTX: lambda _value: self._task("transmitting", True),
            STOPTX: lambda _value: self._task("transmitting", False),
            INTENSET: lambda value: self._enable_interrupts(self.registers[INTENSET] | value),
            INTENCLR: lambda value: self._enable_interrupts(self.registers[INTENSET] & ~value),
            ERRORSRC: lambda value: self.registers.update({ERRORSRC: self.registers[ERRORSRC] & ~value}),
            TXD: self._write_txd,
            ENABLE: self._write_enable,
            CONFIG: self._write_config,
            BAUDRATE: self._write_baudrate,
        }
        for offset in _EVENTS:
            self.writers[offset] = lambda value, offset=offset: self._set_event(offset, value & 1)  # type: ignore[misc]
        for offset in (PSEL_TXD, PSEL_RXD):
            self.writers[offset] = lambda value, offset=offset: self._select_pin(offset, value)  # type: ignore[misc]

    def reset(self) -> None:
        """Off, nothing on its way."""
        super().reset()
        self._fifo.clear()
        self._receiving = self._transmitting = False

    @property
    def receiving(self) -> bool:
        """ENABLE and STARTRX."""
        return self._on and self._receiving

    @property
    def baud(self) -> float:
        """BAUDRATE as the manual lists it."""
        return float(_RATES[self.registers[BAUDRATE]])

    @property
    def _on(self) -> bool:
        return self.registers[ENABLE] == _ON

    def arrived(self, byte: int, framing_error: bool) -> None:
        """Into the FIFO, or an overrun."""
        if framing_error:
            self._fail(_FRAMING)
        if len(self._fifo) == _FIFO_BYTES:
            self._fail(_OVERRUN)
            return
        self._fifo.append(byte)
        if len(self._fifo) == 1:
            self._set_event(RXDRDY, 1)

    def sent(self) -> None:
        """TXD is free again."""
        self._set_event(TXDRDY, 1)

    def _fail(self, source: int) -> None:
        self.registers[ERRORSRC] |= source
        self._set_event(ERROR, 1)

    def _set_event(self, offset: int, value: int) -> None:
        self.registers[offset] = value
        self._signal()

    def _enable_interrupts(self, mask: int) -> None:
        self.registers[INTENSET] = mask
        self._signal()

    def _signal(self) -> None:
        mask = self.registers[INTENSET]
        self.wiring.set_line(any(self.registers[offset] and mask & bit for offset, bit in _EVENTS.items()))

    def _task(self, which: str, on: bool) -> None:
        if on and not self._on:
            raise SiliconError(f"starts {self.name} while ENABLE is {self.registers[ENABLE]}; write 4 first")
        setattr(self, f"_{which}", on)

    def _read_rxd(self) -> int:
        if self._fifo:
            self.registers[RXD] = self._fifo.popleft()
            if self._fifo:
                self._set_event(RXDRDY, 1)
        return self.registers[RXD]

    def _write_txd(self, value: int) -> None:
        if not self._on or not self._transmitting:
            raise SiliconError(f"writes {self.name}.TXD before ENABLE and STARTTX")
        if self.shifting:
            raise SiliconError(f"writes {self.name}.TXD before TXDRDY; the byte before it is lost")
        self.shift(value & 0xFF)

    def _write_enable(self, value: int) -> None:
        if value not in (0, _ON):
            raise SiliconError(
                f"writes {value} to {self.name}.ENABLE, which the virtual board does not model (4: UART)"
            )
        self.registers[ENABLE] = value

    def _write_config(self, value: int) -> None:
        if value:
            raise SiliconError(f"turns on flow control or parity in {self.name}.CONFIG, which is not modelled")
        self.registers[CONFIG] = value

    def _write_baudrate(self, value: int) -> None:
        if value not in _RATES:
            raise SiliconError(f"writes 0x{value:08x} to {self.name}.BAUDRATE, which the manual does not list")
        self.registers[BAUDRATE] = value

    def _select_pin(self, offset: int, value: int) -> None:
        if self._on:
            raise SiliconError(f"chooses a pin of {self.name} while it is enabled; the pins must be chosen before")
        self.registers[offset] = value
