"""RESETS, XOSC, PLL_SYS, CLOCKS and, in the RP2040, the SSI (RP2040 and RP2350 data sheets)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.virtual.clocktree import MHZ, Clocks, mhz
from tinydeploy.virtual.oscillators import US, Oscillators
from tinydeploy.virtual.peripheral import Peripheral, SiliconError
from tinydeploy.virtual.timeline import Timeline

RESET, RESET_DONE = 0x0, 0x8
XOSC_CTRL, XOSC_STATUS, XOSC_STARTUP = 0x00, 0x04, 0x0C
PLL_CS, PLL_PWR, PLL_FBDIV, PLL_PRIM = 0x0, 0x4, 0x8, 0xC
REF_CTRL, REF_DIV, REF_SELECTED, SYS_CTRL, SYS_DIV, SYS_SELECTED, PERI_CTRL = 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44, 0x48
SSI_CTRLR0, SSI_CTRLR1, SSI_ENABLE, SSI_SER, SSI_BAUDR, SSI_SPI_CTRLR0 = 0x00, 0x04, 0x08, 0x10, 0x14, 0xF4
_PD, _POSTDIVPD, _VCOPD = 1, 1 << 3, 1 << 5
_XOSC_RANGE, _XOSC_ENABLE = 0xAA0, 0xFAB
_PLL_LOCK_US = 100
# The commands that a Winbond W25Q takes without settings: CTRLR0's and SPI_CTRLR0's fields that they need, and the
# highest clock of the flash.
_READ_COMMANDS = {
    0x03: (31 << 16 | 3 << 8, 2 << 8 | 6 << 2, 50 * MHZ),
    0x3B: (1 << 21 | 31 << 16 | 3 << 8, 8 << 11 | 2 << 8 | 6 << 2, 104 * MHZ),
}


@dataclass(frozen=True, slots=True)
class Rp2Layout:
    """What differs between the chips: addresses, reset bits, the highest clk_sys, the clock after reset."""

    resets: int
    clocks: int
    xosc: int
    pll_sys: int
    ssi: int | None
    reset_bits: int
    released_by_rom: int
    pll_bit: int
    top_hz: int
    ring_hz: int


class Rp2Clocks:
    """The clock tree. `hse_hz` is the crystal (None: nothing); `changed()` follows every change."""

    layout: Rp2Layout

    def __init__(self, timeline: Timeline, hse_hz: int | None, changed: Callable[[], None]) -> None:
        layout = self.layout
        self._crystal_hz = hse_hz
        self._notify = changed
        self._ref = "ROSC"
        self._sys = "REF"
        self._oscillators = Oscillators(timeline, {"PLL": _PLL_LOCK_US}, self._update)
        held = layout.reset_bits & ~layout.released_by_rom
        self.resets = Peripheral("RESETS", layout.resets, {RESET: held, 0x4: 0, RESET_DONE: 0})
        self.xosc = Peripheral("XOSC", layout.xosc, {XOSC_CTRL: 0, XOSC_STATUS: 0, 0x08: 0, XOSC_STARTUP: 0})
        self.pll = Peripheral("PLL_SYS", layout.pll_sys, {PLL_CS: 1, PLL_PWR: 0x2D, PLL_FBDIV: 0, PLL_PRIM: 0x7_7000})
        self.muxes = Peripheral(
            "CLOCKS", layout.clocks,
            {REF_CTRL: 0, REF_DIV: 0x100, REF_SELECTED: 1, SYS_CTRL: 0, SYS_DIV: 0x100, SYS_SELECTED: 1, PERI_CTRL: 0},
        )  # fmt: skip
        self.ssi = Peripheral("SSI", layout.ssi or 0, dict.fromkeys(range(0, 0xFC, 4), 0) | {SSI_BAUDR: 6})
        self.pads_qspi = Peripheral("PADS_QSPI", 0x4002_0000, dict.fromkeys(range(4, 0x1C, 4), 0x56))
        self.resets.writers = {RESET: self._write_reset, RESET_DONE: lambda _value: None}
        self.resets.readers = {RESET_DONE: lambda: ~self.resets.registers[RESET] & layout.reset_bits}
        self.xosc.writers = {XOSC_CTRL: self._write_xosc, XOSC_STATUS: lambda _value: None}
        self.xosc.readers = {
            XOSC_STATUS: lambda: self._is_stable() << 31 | (self.xosc.registers[XOSC_CTRL] >> 12 == 0xFAB) << 12
        }
        for offset in (PLL_CS, PLL_PWR, PLL_FBDIV, PLL_PRIM):
            self.pll.writers[offset] = lambda value, offset=offset: self._write_pll(offset, value)  # type: ignore[misc]
        self.pll.readers = {
            PLL_CS: lambda: self.pll.registers[PLL_CS] & 0x13F | self._oscillators.is_ready("PLL") << 31
        }
        self.muxes.writers = {
            REF_CTRL: self._write_ref, SYS_CTRL: self._write_sys,
            PERI_CTRL: lambda value: self._store(self.muxes, PERI_CTRL, value),
        }  # fmt: skip
        self.muxes.readers = {
            REF_SELECTED: lambda: 4 if self._ref == "XOSC" else 1,
            SYS_SELECTED: lambda: 2 if self._sys == "PLL" else 1,
        }
        for offset in range(0, 0xFC, 4):
            self.ssi.writers[offset] = lambda value, offset=offset: self._write_ssi(offset, value)  # type: ignore[misc]
        self.reset()

    @property
    def peripherals(self) -> tuple[Peripheral, ...]:
        """RESETS, XOSC, PLL_SYS, CLOCKS, SSI."""
        own = (self.resets, self.xosc, self.pll, self.muxes)
        return own if self.layout.ssi is None else (*own, self.ssi, self.pads_qspi)

    def reset(self) -> None:
        """The ring oscillator runs."""
        for peripheral in self.peripherals:
            peripheral.reset()
        self._ref, self._sys = "ROSC", "REF"
        self._oscillators.reset("ROSC")

    @property
    def clocks(self) -> Clocks:
        """clk_sys is the core's clock and that of the buses."""
        ref = self._crystal_hz or 0 if self._ref == "XOSC" else self.layout.ring_hz
        hz = self._pll_hz() if self._sys == "PLL" else ref
        return Clocks(self._sys, hz, hz, hz, hz)

    def enabled(self, _register: str, bit: int) -> bool:
        """Is a peripheral out of reset?"""
        return not self.resets.registers[RESET] >> bit & 1

    def uart_clock_hz(self, _name: str) -> int:
        """clk_peri: clk_sys, the only choice that is modelled."""
        control = self.muxes.registers[PERI_CTRL]
        if control & 0xE0:
            raise SiliconError("chooses an AUXSRC in CLK_PERI_CTRL that the virtual board does not model")
        return self.clocks.sysclk_hz if control >> 11 & 1 else 0

    def pin_powered(self, _port: str, _number: int) -> str | None:
        """All pins are powered."""
        return None

    def _store(self, peripheral: Peripheral, offset: int, value: int) -> None:
        peripheral.registers[offset] = value
        self._update()

    def _write_reset(self, value: int) -> None:
        if value >> self.layout.pll_bit & 1:
            if self._sys == "PLL":
                raise SiliconError("holds PLL_SYS in reset while clk_sys runs on it; switch to clk_ref first")
            self._oscillators.switch("PLL", False)
            self.pll.reset()
        self._store(self.resets, RESET, value & self.layout.reset_bits)

    def _write_xosc(self, value: int) -> None:
        if value & 0xFFF != _XOSC_RANGE:
            raise SiliconError(f"sets XOSC_CTRL.FREQ_RANGE to 0x{value & 0xFFF:x}; it must be 0xaa0 (1 to 15 MHz)")
        on = value >> 12 & 0xFFF == _XOSC_ENABLE
        if on and not self._oscillators.is_on("XOSC") and self._crystal_hz:
            cycles = 256 * (self.xosc.registers[XOSC_STARTUP] & 0x3FFF)
            if cycles * 1000 < self._crystal_hz:
                raise SiliconError(
                    f"starts the crystal with a XOSC_STARTUP of {cycles} cycles; give it a millisecond or more"
                )
            self._oscillators.switch("XOSC", True, cycles * 1_000_000 * US // self._crystal_hz)
        self._store(self.xosc, XOSC_CTRL, value)

    def _is_stable(self) -> bool:
        """Does the crystal run?"""
        return self._oscillators.is_ready("XOSC")

    def _write_pll(self, offset: int, value: int) -> None:
        running = self._oscillators.is_on("PLL")
        if running and offset in (PLL_CS, PLL_FBDIV) and value != self.pll.registers[offset]:
            raise SiliconError("changes REFDIV or FBDIV of PLL_SYS while its VCO runs; reset the PLL first")
        if running and offset == PLL_PRIM and self._sys == "PLL" and value != self.pll.registers[offset]:
            raise SiliconError("changes the dividers of PLL_SYS while clk_sys runs on it; switch to clk_ref first")
        self.pll.registers[offset] = value
        powered = not self.pll.registers[PLL_PWR] & (_PD | _VCOPD)
        if powered and not running:
            self._check_pll()
        self._oscillators.switch("PLL", powered)
        self._update()

    def _vco_hz(self) -> int:
        refdiv = self.pll.registers[PLL_CS] & 0x3F
        return (self._crystal_hz or 0) // max(1, refdiv) * (self.pll.registers[PLL_FBDIV] & 0xFFF)

    def _check_pll(self) -> None:
        """Data sheets, "PLL"."""
        if not self._is_stable():
            raise SiliconError("starts PLL_SYS before the crystal is stable; wait for XOSC_STATUS.STABLE")
        fbdiv = self.pll.registers[PLL_FBDIV] & 0xFFF
        vco = self._vco_hz()
        if not 16 <= fbdiv <= 320 or not 750 * MHZ <= vco <= 1600 * MHZ:
            raise SiliconError(
                f"runs the VCO of PLL_SYS at {mhz(vco)} (FBDIV {fbdiv}); it must be 750 to 1600 MHz, FBDIV 16 to 320"
            )

    def _pll_hz(self) -> int:
        prim = self.pll.registers[PLL_PRIM]
        return self._vco_hz() // max(1, prim >> 16 & 7) // max(1, prim >> 12 & 7)

    def _write_ref(self, value: int) -> None:
        source = value & 3
        if source == 2 and not self._is_stable():
            raise SiliconError("switches clk_ref to the crystal before it is stable; wait for XOSC_STATUS.STABLE")
        if source not in (0, 2):
            raise SiliconError("switches clk_ref to its auxiliary source, which the virtual board does not model")
        self._ref = "XOSC" if source == 2 else "ROSC"
        self._store(self.muxes, REF_CTRL, value)

    def _write_sys(self, value: int) -> None:
        if self._sys == "PLL" and (value ^ self.muxes.registers[SYS_CTRL]) & 0xE0:
            raise SiliconError("changes CLK_SYS_CTRL.AUXSRC while clk_sys runs on it; switch to clk_ref first")
        if value & 1:
            if value & 0xE0:
                raise SiliconError("chooses an AUXSRC in CLK_SYS_CTRL that the virtual board does not model")
            if not self._oscillators.is_ready("PLL") or self.pll.registers[PLL_PWR] & _POSTDIVPD:
                raise SiliconError("switches clk_sys to PLL_SYS before it has locked and POSTDIVPD is clear")
        self._sys = "PLL" if value & 1 else "REF"
        self._store(self.muxes, SYS_CTRL, value)

    def _write_ssi(self, offset: int, value: int) -> None:
        if self.ssi.registers[SSI_ENABLE] & 1 and offset not in (SSI_ENABLE, SSI_SER):
            raise SiliconError("writes a register of the SSI while SSIENR is set, which hardware ignores")
        self._store(self.ssi, offset, value)

    def _update(self) -> None:
        self._check()
        self._notify()

    def _check(self) -> None:
        clocks = self.clocks
        if clocks.sysclk_hz > self.layout.top_hz:
            raise SiliconError(f"runs clk_sys at {mhz(clocks.sysclk_hz)}, above {mhz(self.layout.top_hz)}")
        if self.layout.ssi is None:
            return
        if self.ssi.registers[SSI_ENABLE] & 1:
            self._check_ssi(clocks.sysclk_hz)
        elif self._sys == "PLL":
            raise SiliconError("runs clk_sys on the PLL while the SSI is off, so that the flash cannot be read")

    def _check_ssi(self, sys_hz: int) -> None:
        registers = self.ssi.registers
        command = registers[SSI_SPI_CTRLR0] >> 24
        control, protocol, top = _READ_COMMANDS.get(command, (0, 0, 0))
        if not top or registers[SSI_CTRLR0] != control or registers[SSI_SPI_CTRLR0] & 0xFF_FFFF != protocol:
            raise SiliconError(
                f"reads the flash with command 0x{command:02x}, CTRLR0 0x{registers[SSI_CTRLR0]:08x} and SPI_CTRLR0 "
                f"0x{registers[SSI_SPI_CTRLR0]:08x}, which the flash does not understand"
            )
        divider = registers[SSI_BAUDR]
        if divider < 2 or divider % 2:
            raise SiliconError(f"sets SSI.BAUDR to {divider}; it must be even and at least 2")
        if sys_hz // divider > top:
            raise SiliconError(
                f"reads the flash at {mhz(sys_hz // divider)} with command 0x{command:02x}, above its {mhz(top)}"
            )
