"""What a chip family is, and the rules that clock trees share. Frequencies in Hz.

A family has a clock driver ``firmware_templates/drivers/clock_<clock_driver>.c`` that reads the same settings as
``#define``s. Each rule names its manual's section, by title where numbers change between revisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tinydeploy.stricttoml import Table

MHZ = 1_000_000
Setting = int | str | bool


@dataclass(frozen=True, slots=True)
class Tree:
    """What a clock family makes of its settings: the frequencies that follow from them.

    ``bus_hz``: by name, the clocks that a UART can run on. ``defines``: macros that the driver needs beside the
    settings, as ``BOARD_CLOCK_<name>``.
    """

    settings: Mapping[str, Setting]
    sysclk_hz: int
    hclk_hz: int
    bus_hz: Mapping[str, int]
    flash_wait_states: int
    defines: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gpio:
    """GPIO ports of an STM32: port A's address, each further port ``stride`` bytes on; bit n of ``enable_register``
    clocks port n."""

    base: int
    stride: int
    ports: str
    enable_register: int


PinKind = Literal["stm32", "nrf52", "rp2", "fixed"]


@dataclass(frozen=True, slots=True)
class Family:
    """One chip family.

    ``parts`` are the part numbers' beginnings. ``pins`` says how a pin is connected to a UART, ``gpio`` where the ports
    of an STM32 are. ``enable_registers`` are the absolute addresses of the registers that clock peripherals (or take
    them out of reset). ``vddio2_pins`` are port and lowest pin number of the pins that need VDDIO2. ``registers`` are
    addresses that tell the chips of one driver apart; ``boot`` is what must stand in front of the program.
    ``clock(table, part)`` reads [clock]. ``clock_headers`` are what the clock driver includes of ``drivers/``.
    """

    name: str
    title: str
    parts: tuple[str, ...]
    pins: PinKind
    clock_driver: str
    clock: Callable[[Table, str], Tree]
    gpio: Gpio | None = None
    enable_registers: Mapping[str, int] = field(default_factory=dict)
    vddio2_pins: tuple[str, int] | None = None
    registers: Mapping[str, int] = field(default_factory=dict)
    boot: Literal["", "rp2040", "rp2350"] = ""
    clock_headers: tuple[str, ...] = ()


def source_hz(table: Table, sources: Mapping[str, int | None]) -> int:
    """The PLL's source frequency: fixed for an internal oscillator, ``<source>_hz`` for one that varies."""
    source = table.choice("source", sources)
    fixed = sources[source]
    hse_keys = {"hse_hz", "hse_bypass"}
    if source != "hse" and hse_keys & set(table.values):
        raise table.error(f'hse_hz and hse_bypass belong to source = "hse", and source is "{source}"')
    if fixed is not None:
        return fixed
    for key in sorted(hse_keys):
        if key not in table.values:
            raise table.error(f'missing key {key!r}, which source = "hse" needs')
    bypass = table.boolean("hse_bypass")
    # Data sheets, "External user clock" and "crystal": 1 to 48 MHz fed in, 4 to 26 MHz from a crystal.
    return table.integer("hse_hz", 1 * MHZ if bypass else 4 * MHZ, 48 * MHZ if bypass else 26 * MHZ)


def pll_input(
    table: Table, sources: Mapping[str, int | None], m_range: tuple[int, int], hsi_hz: int = 16 * MHZ
) -> tuple[int, Mapping[str, int]]:
    """The frequency that enters the PLL, the source divided by pll_m, and the driver's FALLBACK_PLL_M with HSE.

    When HSE does not start, the clock driver makes the same frequency from HSI, so it must divide HSI's.
    """
    hz = exact(table, "PLL input (source / pll_m)", source_hz(table, sources), table.integer("pll_m", *m_range))
    if table.values["source"] != "hse":
        return hz, {}
    if hsi_hz % hz or not m_range[0] <= hsi_hz // hz <= m_range[1]:
        raise table.error(
            f"PLL input (hse_hz / pll_m) is {hz:,} Hz, which HSI's {hsi_hz // MHZ} MHz cannot make when HSE fails; "
            f"choose a pll_m that gives a divisor of {hsi_hz // MHZ} MHz"
        )
    return hz, {"FALLBACK_PLL_M": hsi_hz // hz}


def in_range(table: Table, what: str, hz: int, low: int, high: int, section: str) -> None:
    """Raise unless `what` lies within `low` to `high`, as `section` says."""
    if not low <= hz <= high:
        low_mhz, high_mhz = f"{low / MHZ:g}", f"{high / MHZ:g}"
        raise table.error(f"{what} is {hz / MHZ:g} MHz; it must be {low_mhz} to {high_mhz} MHz ({section})")


def one_of(table: Table, key: str, values: tuple[int, ...]) -> int:
    """The integer under `key`, one of `values` (ascending)."""
    value = table.integer(key, values[0], values[-1])
    if value not in values:
        raise table.error(f"{key} is {value}; it must be one of {', '.join(map(str, values))}")
    return value


def exact(table: Table, what: str, numerator: int, denominator: int) -> int:
    """`numerator` / `denominator`, which must be a whole number of hertz."""
    if numerator % denominator:
        raise table.error(f"{what} is {numerator / denominator:,.3f} Hz, not a whole number; choose other dividers")
    return numerator // denominator


def sysclk(table: Table, vco_hz: int, divider: int, high: int, section: str) -> int:
    """The stated sysclk_hz, which `vco_hz` / `divider` must equal and which may be `high` at most."""
    hz = exact(table, "sysclk", vco_hz, divider)
    stated = table.integer("sysclk_hz", 1 * MHZ, 1000 * MHZ)
    if hz != stated:
        raise table.error(f"sysclk_hz is {stated:,}, but source and PLL settings make {hz:,}")
    in_range(table, "sysclk_hz", hz, 1 * MHZ, high, section)
    return hz


def wait_states(table: Table, hclk_hz: int, step_hz: int, highest: int, section: str) -> int:
    """The stated wait states, at least one for every full `step_hz` of HCLK beyond the first."""
    states = table.integer("flash_wait_states", 0, highest)
    needed = (hclk_hz - 1) // step_hz
    if states < needed:
        raise table.error(f"flash_wait_states is {states}; HCLK {hclk_hz / MHZ:g} MHz needs {needed} ({section})")
    return states


def prescaler(table: Table, key: str, hz: int) -> int:
    """The clock behind a bus prescaler of an STM32: AHB's kind for ahb and sys, APB's for the others."""
    ahb = key in ("ahb_prescaler", "sys_prescaler")
    return hz // one_of(table, key, (1, 2, 4, 8, 16, 64, 128, 256, 512) if ahb else (1, 2, 4, 8, 16))


def buses(table: Table, sysclk_hz: int, names: tuple[str, ...]) -> tuple[int, dict[str, int]]:
    """HCLK behind the AHB prescaler, and the clocks of the APBs called `names` behind theirs."""
    hclk = prescaler(table, "ahb_prescaler", sysclk_hz)
    return hclk, {name: prescaler(table, f"{name}_prescaler", hclk) for name in names}
