"""The chip around the core: memories, clocks, pins, UARTs, and everything that only keeps its registers."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable

from tinydeploy.errors import ToolchainError
from tinydeploy.virtual.bus import Bus, Slot
from tinydeploy.virtual.chips.chip import BootError, Chip, Row, Start, TimerPlace, UartPlace, slot
from tinydeploy.virtual.chips.stm32_clock import Stm32Clocks
from tinydeploy.virtual.clocktree import timer_hz
from tinydeploy.virtual.core import CoreModel
from tinydeploy.virtual.cpu import PROT_EXEC, PROT_READ, PROT_WRITE
from tinydeploy.virtual.image import FirmwareImage
from tinydeploy.virtual.line import Format
from tinydeploy.virtual.nrf_pins import NrfPins
from tinydeploy.virtual.otg import Otg
from tinydeploy.virtual.peripheral import Peripheral
from tinydeploy.virtual.pins import Around, FixedPins, Pins, Stm32Pins
from tinydeploy.virtual.rp_pins import RpPins
from tinydeploy.virtual.timer import Timer
from tinydeploy.virtual.uart_model import UartWiring
from tinydeploy.virtual.uarts import UARTS, AnyUart

PINS: dict[str, Callable[[Around], Pins]] = {"stm32": Stm32Pins, "nrf52": NrfPins, "rp2": RpPins, "fixed": FixedPins}
Emit = Callable[[str, int, Format, float], None]


class System:
    """One chip. `emit(pin, value, format, baud)` gets every frame that leaves a pin, such as "PA9".

    Unless `strict`, what breaks a manual's rules is noted and done, and registers of unknown peripherals answer.
    """

    def __init__(
        self,
        chip: Chip,
        hse_hz: int | None,
        core: CoreModel,
        emit: Emit,
        note: Callable[[str], None],
        strict: bool = True,
    ) -> None:
        self.chip = chip
        self._core = core
        self._emit = emit
        self._note = note
        self._memories: dict[str, ctypes.Array[ctypes.c_char]] = {}
        self.clocks = chip.control(core.timeline, hse_hz, self._clocks_changed)
        if not strict and isinstance(self.clocks, Stm32Clocks):
            self.clocks.broken = lambda error: note(f"the firmware {error}")
        rows = {row.name: row for row in chip.rows}
        self.uarts: dict[str, AnyUart] = {}
        self.pins: Pins = PINS[chip.pins](Around(chip, self.clocks, self._clocked_port, self.uarts))
        self.uarts.update({place.name: self._uart(place, rows[place.name]) for place in chip.uarts})
        self._timers = [self._timer(place, rows[place.name]) for place in chip.timers]
        self._peripherals: list[Peripheral] = [
            *self.clocks.peripherals,
            *self.pins.peripherals,
            *self.uarts.values(),
            *self._timers,
            *(Otg(row.name, row.base) for row in chip.rows if row.name.startswith("OTG")),
        ]
        modelled = {peripheral.name: peripheral for peripheral in self._peripherals}
        slots: list[Slot] = []
        for row in chip.rows:
            peripheral = modelled.get(row.name)
            if peripheral is None:
                peripheral = Peripheral(row.name, row.base)
                self._peripherals.append(peripheral)
            slots.append(slot(chip, row, peripheral))
        self._map_memories()
        Bus(core.cpu, core.slots + slots, self._clocked, core.fail_access, self._unmodelled, elsewhere=not strict)

    def reset(self) -> None:
        """All peripherals as after reset; memories keep their content."""
        self._core.timeline.forget()
        for peripheral in self._peripherals:
            peripheral.reset()
        self.clocks.reset()
        self._core.timeline.set_core_hz(self.clocks.clocks.hclk_hz)

    def load(self, image: FirmwareImage) -> None:
        """Program the flash: segments at their load addresses, the rest erased."""
        flash = self.chip.flash
        content = self._memories["flash"]
        for segment in image.segments:
            start = segment.load_address - flash.address
            if not segment.data:
                continue
            if not 0 <= start <= start + len(segment.data) <= flash.size_bytes:
                raise ToolchainError(
                    f"{image.path}: loads {len(segment.data):,} B at 0x{segment.load_address:08x}, outside the flash "
                    f"of {self.chip.title}; build it for this board"
                )
            ctypes.memmove(ctypes.addressof(content) + start, segment.data, len(segment.data))

    def start(self) -> Start | None:
        """What the boot ROM does, on a chip that has one: copies done, where to begin. BootError where it cannot be."""
        if self.chip.boot is None:
            self._require_vectors()
            return None
        start = self.chip.boot(self._memories["flash"].raw)
        for address, data in start.copies:
            self._core.cpu.write(address, data)
        return start

    def _require_vectors(self) -> None:
        """BootError where the vector table's first two words are a stack and a reset handler of no such chip."""
        sp, pc = (self._core.cpu.read_word(self.chip.boot_address + offset) for offset in (0, 4))
        regions = self.chip.regions
        has_stack = any(one.writable and one.address < sp <= one.address + one.size_bytes for one in regions)
        has_code = pc & 1 and any(one.address <= pc < one.address + one.size_bytes for one in regions)
        if not (has_stack and has_code):
            raise BootError(
                f"its vector table has the stack at 0x{sp:08x} and the reset handler at 0x{pc:08x}, which "
                f"{self.chip.title} does not have; name firmware that was built for it, whole"
            )

    def _map_memories(self) -> None:
        noise = random.Random(0x7D)  # RAM is not zero after power-on, and not the same everywhere
        for region in self.chip.regions:
            if region.alias_of is None:
                data = noise.randbytes(region.size_bytes) if region.writable else b"\xff" * region.size_bytes
                self._memories[region.name] = ctypes.create_string_buffer(data, region.size_bytes)
        for region in self.chip.regions:
            whole = self._memories[region.alias_of or region.name]
            part = (ctypes.c_char * region.size_bytes).from_buffer(whole, region.alias_offset)
            rights = PROT_READ | PROT_EXEC | (PROT_WRITE if region.writable else 0)
            self._core.cpu.map_buffer(region.address, part, rights)

    def _uart(self, place: UartPlace, row: Row) -> AnyUart:
        wiring = UartWiring(
            place=place,
            base=row.base,
            timeline=self._core.timeline,
            kernel_hz=lambda: self.clocks.uart_clock_hz(place.name),
            set_line=lambda level, transmit=False: self._core.set_line(
                place.irq if place.tx_irq is None or not transmit else place.tx_irq, level
            ),
            pin=lambda signal: self._why_unconnected(place, signal),
            emit=lambda value, form, baud: self._send(place, value, form, baud),
        )
        return UARTS[place.kind](wiring)

    def _timer(self, place: TimerPlace, row: Row) -> Timer:
        return Timer(
            place,
            row.base,
            self._core.timeline,
            lambda: timer_hz(self.clocks.clocks, row.enable_register.startswith("APB2")),
            lambda level: self._core.set_line(place.irq, level),
        )

    def receivers(self, pin: str) -> list[AnyUart]:
        """The UARTs that are on and could hear `pin`."""
        return [
            self.uarts[place.name]
            for place in self.chip.uarts
            if pin in self.pins.possible(place, "RX") and self.uarts[place.name].receiving
        ]

    def _why_unconnected(self, place: UartPlace, signal: str) -> str | None:
        if self.pins.carrying(place, signal):
            return None
        why = self.pins.why_none(place, signal)
        return f"uses {place.name} while no pin carries {place.name}_{signal} {why}"

    def _clocked_port(self, port: str) -> bool:
        row = next(row for row in self.chip.rows if row.name == f"GPIO{port}")
        return row.enable_bit is None or self.clocks.enabled(row.enable_register, row.enable_bit)

    def _send(self, place: UartPlace, value: int, form: Format, baud: float) -> None:
        for pin in self.pins.carrying(place, "TX"):
            self._emit(pin, value, form, baud)

    def _clocks_changed(self) -> None:
        self._core.timeline.set_core_hz(self.clocks.clocks.hclk_hz)
        self._core.systick.retime()
        for timer in self._timers:
            timer.retime()

    def _clocked(self, place: Slot) -> bool:
        return place.enable_bit is None or self.clocks.enabled(place.enable_register, place.enable_bit)

    def _unmodelled(self, register: str) -> None:
        self._note(f"{register} is not modelled: it keeps what is written to it")
