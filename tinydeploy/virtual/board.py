"""The virtual board: chip, wiring and core, run in virtual time."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

from tinydeploy.boards import Board
from tinydeploy.errors import FirmwareFaultError
from tinydeploy.latency import by_rules
from tinydeploy.virtual.chips.chip import BootError
from tinydeploy.virtual.core import CoreModel, OnFault
from tinydeploy.virtual.ctrl_c import deferred_interrupt
from tinydeploy.virtual.debug import Debugger
from tinydeploy.virtual.decode import Block
from tinydeploy.virtual.line import EIGHT_N_ONE, Format, transfer
from tinydeploy.virtual.memory import Memory
from tinydeploy.virtual.models import CycleModel, model_for
from tinydeploy.virtual.models.silicon import Silicon, SiliconModel
from tinydeploy.virtual.plain_image import read_image
from tinydeploy.virtual.silicon_file import silicon_of
from tinydeploy.virtual.system import System
from tinydeploy.virtual.tally import Tally
from tinydeploy.virtual.timeline import PS_PER_SECOND, Event
from tinydeploy.virtual.watch import Call
from tinydeploy.virtual.wiring import Setup, setup_for


class VirtualBoard:
    """A board running `firmware` (ELF, Intel HEX or plain bytes), in reset state.

    The same input gives the same run, to the cycle. ``cycles``: by the constants that ship for the chip where there are
    some, by the core's rules alone, or by given constants.
    With ``on_fault="stop"`` whatever silicon takes to a fault handler ends :meth:`run` with FirmwareFaultError; with
    ``"vector"`` the firmware's own handlers run. Everything that silicon fails at without telling (clocks too fast for
    the flash, a stack overflow, an unclocked peripheral) ends it in both, unless ``strict`` is off: firmware that runs
    on silicon may break rules of the manuals, so that what it breaks is noted, and ignored where hardware ignores it.
    ``notes`` collects what the firmware did that is not modelled, and ``told`` hears each at once. ``line_baud`` is the
    host's baud rate.
    """

    def __init__(
        self,
        board: Board | Setup,
        firmware: Path,
        *,
        on_fault: OnFault = "stop",
        strict: bool = True,
        cycles: Silicon | Literal["shipped", "rules"] = "shipped",
        told: Callable[[str], None] = lambda _note: None,
    ) -> None:
        setup = board if isinstance(board, Setup) else setup_for(board)
        chip, wiring = setup.chip, setup.wiring
        self.notes: list[str] = []
        self._told = told
        self.line_baud: float = setup.baud
        self._chip = chip
        self._tx_pin = wiring.tx
        self._rx_pin = wiring.rx
        self._output = bytearray()
        self._input: deque[int] = deque()
        self._arriving: Event | None = None
        image = read_image(firmware, chip.flash.address)
        silicon = silicon_of(chip.part) if cycles == "shipped" else None if cycles == "rules" else cycles
        model: CycleModel = SiliconModel(silicon) if silicon is not None else model_for(setup.core)
        self._core = CoreModel(
            setup.core, chip.irq_count, image, chip.reset_hz, on_fault, model, None if strict else self._breaks_a_rule
        )
        self.memory = Memory(self._core.counter, silicon, chip) if silicon is not None else None
        self._system = System(chip, wiring.hse_hz, self._core, self._emit, self._note, strict)
        self._system.load(image)
        self.reset()

    def reset(self) -> None:
        """Press the reset button: memories and counts stay, bytes on the line are lost."""
        self._system.reset()
        try:
            start = self._system.start()
        except BootError as error:
            raise FirmwareFaultError(f"{self._core.image.path.name}: {error}") from error
        self._core.reset(self._chip.boot_address, None if start is None else (start.sp, start.pc))
        self._input.clear()
        self._arriving = None

    def close(self) -> None:
        """Nothing to give back; for symmetry with other transports."""

    def uart_send(self, data: bytes) -> None:
        """Queue bytes from the host; they arrive one after another at the line's baud rate."""
        self._input.extend(data)
        self._next_arrival()

    def uart_receive(self) -> bytes:
        """What the device has sent since last asked."""
        taken = bytes(self._output)
        self._output.clear()
        return taken

    @property
    def idle(self) -> bool:
        """The firmware waits in WFI, and nothing is on the way that would wake it."""
        return self._core.sleeping and self._core.timeline.next_ps is None

    @property
    def time_s(self) -> float:
        """Virtual time since power-on."""
        return self._core.timeline.now_ps / PS_PER_SECOND

    @property
    def core_hz(self) -> int:
        """The core's clock as the firmware has set it."""
        return self._core.timeline.core_hz

    def run(self, seconds: float, until_output: bool = False) -> None:
        """Let `seconds` of virtual time pass, or less: until the device has sent something, with `until_output`."""
        core = self._core
        end_ps = core.timeline.now_ps + round(seconds * PS_PER_SECOND)
        stop = False

        def interrupt() -> None:
            nonlocal stop
            stop = True
            core.counter.halt()

        with deferred_interrupt(interrupt):
            while not stop:
                core.run_due()
                if core.failure is not None:
                    raise core.failure
                if core.halted:
                    return
                if core.reset_requested:
                    self.reset()
                if (until_output and self._output) or core.timeline.now_ps >= end_ps:
                    return
                core.advance(end_ps)

    @functools.cached_property
    def debugger(self) -> Debugger:
        """What a debugger can do to this board."""
        return Debugger(self._core)

    def watch(self, symbols: Iterable[str]) -> None:
        """Count each call of these functions, entry to return, what they call included and interrupts not."""
        image = self._core.image
        self._core.watch.watch({image.symbol(name).address & ~1: name for name in symbols})

    def poke(self, place: int | str, data: bytes) -> None:
        """Write memory at an address or symbol, flash too, as a debugger does."""
        self._core.cpu.write(self._core.image.address(place), data)

    def take_calls(self) -> list[Call]:
        """The calls that returned since last taken, in the order of their return."""
        return self._core.watch.take()

    def tally(self, symbol: str) -> Tally:
        """What the last call of `symbol` executed; it is to be watched too."""
        tally = Tally(symbol, self._core.counter, self.memory)
        self._core.watch.listeners.append(tally)
        return tally

    def edges(self) -> Iterator[tuple[Block | None, Block, int]]:
        """Every pair of blocks that ran, and how often: for fitting cycle models."""
        return self._core.counter.edges()

    @property
    def instructions(self) -> int:
        """Instructions executed since power-on, exact."""
        return self._core.counter.instructions

    @property
    def cycles(self) -> int:
        """Cycles executed since power-on (an estimate, see `cycle_model`), sleep not counted."""
        return self._core.counter.cycles

    @property
    def cycle_model(self) -> str:
        """By what rules cycles are estimated, and how far they were off where silicon was measured."""
        statement = self._core.model.statement
        return statement if self.memory is not None else by_rules(statement)

    def _breaks_a_rule(self, where: str, message: str) -> None:
        self._note(f"{where}: the firmware {message}")

    def _emit(self, pin: str, value: int, form: Format, baud: float) -> None:
        if pin != self._tx_pin:
            self._note(f"{pin} sends, but the virtual COM port listens on {self._tx_pin}")
            return
        self._output += bytes(item.byte for item in transfer(value, form, baud, EIGHT_N_ONE, self.line_baud))

    def _next_arrival(self) -> None:
        if self._input and self._arriving is None:
            frame_ps = round(EIGHT_N_ONE.frame_bits * PS_PER_SECOND / self.line_baud)
            self._arriving = self._core.timeline.schedule(frame_ps, self._arrive)

    def _arrive(self) -> None:
        self._arriving = None
        value = self._input.popleft()
        self._next_arrival()
        for uart in self._system.receivers(self._rx_pin):
            uart.take_frame(value, EIGHT_N_ONE, self.line_baud)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self._told(text)
