"""The chip families: where their registers are, and the rules of their clock trees.

A family here has a clock driver ``firmware_templates/drivers/clock_<family>.c`` that reads the same settings as
``#define``s. Frequencies are in Hz. Each rule names the manual's section; RM0385 is the reference manual of the
STM32F74x/75x, RM0432 that of the STM32L4+, DS10916 and DS12023 are the data sheets; sections are named by title where
their numbers change between revisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinydeploy.stricttoml import Table

MHZ = 1_000_000
HSI_HZ = 16 * MHZ  # the internal oscillator of both families
Setting = int | str | bool


@dataclass(frozen=True, slots=True)
class Tree:
    """What a clock family makes of its settings: the frequencies that follow from them."""

    settings: Mapping[str, Setting]
    sysclk_hz: int
    hclk_hz: int
    apb_hz: Mapping[str, int]
    flash_wait_states: int


@dataclass(frozen=True, slots=True)
class Family:
    """One chip family.

    ``gpio_base`` is port A's address, each further port ``gpio_stride`` bytes on; bit n of ``gpio_enable_register``
    clocks port n. ``enable_registers`` are the absolute addresses of the RCC registers that clock peripherals.
    ``vddio2_pins`` are port and lowest pin number of the pins that need PWR_CR2.IOSV.
    """

    name: str
    title: str
    gpio_base: int
    gpio_stride: int
    gpio_ports: str
    gpio_enable_register: int
    enable_registers: Mapping[str, int]
    vddio2_pins: tuple[str, int] | None
    clock: Callable[[Table], Tree]


def _source_hz(table: Table, sources: Mapping[str, int | None]) -> int:
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


def _pll_input(table: Table, sources: Mapping[str, int | None], m_range: tuple[int, int]) -> int:
    """The frequency that enters the PLL: the source divided by pll_m.

    When HSE does not start, the clock driver makes the same frequency from HSI, so it must divide HSI's.
    """
    hz = _exact(table, "PLL input (source / pll_m)", _source_hz(table, sources), table.integer("pll_m", *m_range))
    if table.values["source"] == "hse" and HSI_HZ % hz:
        raise table.error(
            f"PLL input (hse_hz / pll_m) is {hz:,} Hz, which HSI's 16 MHz cannot make when HSE fails; "
            "choose a pll_m that gives a divisor of 16 MHz"
        )
    return hz


def _in_range(table: Table, what: str, hz: int, low: int, high: int, section: str) -> None:
    if not low <= hz <= high:
        low_mhz, high_mhz = f"{low / MHZ:g}", f"{high / MHZ:g}"
        raise table.error(f"{what} is {hz / MHZ:g} MHz; it must be {low_mhz} to {high_mhz} MHz ({section})")


def _one_of(table: Table, key: str, values: tuple[int, ...]) -> int:
    value = table.integer(key, values[0], values[-1])
    if value not in values:
        raise table.error(f"{key} is {value}; it must be one of {', '.join(map(str, values))}")
    return value


def _exact(table: Table, what: str, numerator: int, denominator: int) -> int:
    if numerator % denominator:
        raise table.error(f"{what} is {numerator / denominator:,.3f} Hz, not a whole number; choose other dividers")
    return numerator // denominator


def _sysclk(table: Table, hz: int, high: int, section: str) -> int:
    stated = table.integer("sysclk_hz", 1 * MHZ, 1000 * MHZ)
    if hz != stated:
        raise table.error(f"sysclk_hz is {stated:,}, but source and PLL settings make {hz:,}")
    _in_range(table, "sysclk_hz", hz, 1 * MHZ, high, section)
    return hz


def _wait_states(table: Table, hclk_hz: int, step_hz: int, highest: int, section: str) -> int:
    """The stated wait states, at least one for every full `step_hz` of HCLK beyond the first."""
    states = table.integer("flash_wait_states", 0, highest)
    needed = (hclk_hz - 1) // step_hz
    if states < needed:
        raise table.error(f"flash_wait_states is {states}; HCLK {hclk_hz / MHZ:g} MHz needs {needed} ({section})")
    return states


_AHB_PRESCALERS = (1, 2, 4, 8, 16, 64, 128, 256, 512)
_APB_PRESCALERS = (1, 2, 4, 8, 16)


def _stm32f7_clock(table: Table) -> Tree:
    """STM32F7: source / M * N / P; over-drive above 180 MHz."""
    table.expect_keys(
        (
            "sysclk_hz",
            "source",
            "pll_m",
            "pll_n",
            "pll_p",
            "pll_q",
            "over_drive",
            "ahb_prescaler",
            "apb1_prescaler",
            "apb2_prescaler",
            "flash_wait_states",
        ),
        ("hse_hz", "hse_bypass"),
    )
    pll_in = _pll_input(table, {"hse": None, "hsi": HSI_HZ}, (2, 63))
    _in_range(table, "PLL input (source / pll_m)", pll_in, 1 * MHZ, 2 * MHZ, "RM0385 RCC_PLLCFGR")
    vco = pll_in * table.integer("pll_n", 50, 432)
    _in_range(table, "PLL VCO (input * pll_n)", vco, 100 * MHZ, 432 * MHZ, "RM0385 RCC_PLLCFGR")
    pll48 = vco // table.integer("pll_q", 2, 15)
    _in_range(table, "PLL48CLK (VCO / pll_q)", pll48, 0, 48 * MHZ, "RM0385 RCC_PLLCFGR")
    over_drive = table.boolean("over_drive")
    # DS10916 "General operating conditions", regulator scale 1.
    section = "DS10916 general operating conditions, scale 1" + ("" if over_drive else " without over_drive")
    pll_p = _one_of(table, "pll_p", (2, 4, 6, 8))
    sysclk = _sysclk(table, _exact(table, "sysclk", vco, pll_p), (216 if over_drive else 180) * MHZ, section)
    hclk = sysclk // _one_of(table, "ahb_prescaler", _AHB_PRESCALERS)
    apb1 = hclk // _one_of(table, "apb1_prescaler", _APB_PRESCALERS)
    apb2 = hclk // _one_of(table, "apb2_prescaler", _APB_PRESCALERS)
    _in_range(table, "APB1", apb1, 0, (54 if over_drive else 45) * MHZ, section)
    _in_range(table, "APB2", apb2, 0, (108 if over_drive else 90) * MHZ, section)
    states = _wait_states(table, hclk, 30 * MHZ, 9, "RM0385 Read access latency, 2.7 to 3.6 V")
    return Tree(dict(table.values), sysclk, hclk, {"apb1": apb1, "apb2": apb2}, states)


def _stm32l4plus_clock(table: Table) -> Tree:
    """STM32L4+: source / M * N / R in voltage range 1; boost mode above 80 MHz."""
    table.expect_keys(
        (
            "sysclk_hz",
            "source",
            "pll_m",
            "pll_n",
            "pll_r",
            "boost",
            "vddio2",
            "ahb_prescaler",
            "apb1_prescaler",
            "apb2_prescaler",
            "flash_wait_states",
        ),
        ("hse_hz", "hse_bypass"),
    )
    pll_in = _pll_input(table, {"msi": 4 * MHZ, "hsi": HSI_HZ, "hse": None}, (1, 16))
    _in_range(table, "PLL input (source / pll_m)", pll_in, 2_660_000, 16 * MHZ, "DS12023 PLL characteristics")
    vco = pll_in * table.integer("pll_n", 8, 127)
    _in_range(table, "PLL VCO (input * pll_n)", vco, 64 * MHZ, 344 * MHZ, "DS12023 PLL characteristics, range 1")
    boost = table.boolean("boost")
    section = "RM0432 Dynamic voltage scaling management, range 1 " + (
        "boost" if boost else "normal mode; 120 MHz needs boost = true"
    )
    pll_r = _one_of(table, "pll_r", (2, 4, 6, 8))
    sysclk = _sysclk(table, _exact(table, "sysclk", vco, pll_r), (120 if boost else 80) * MHZ, section)
    hclk = sysclk // _one_of(table, "ahb_prescaler", _AHB_PRESCALERS)
    apb1 = hclk // _one_of(table, "apb1_prescaler", _APB_PRESCALERS)
    apb2 = hclk // _one_of(table, "apb2_prescaler", _APB_PRESCALERS)
    table.boolean("vddio2")
    states = _wait_states(table, hclk, 20 * MHZ, 15, "RM0432 Read access latency, range 1")
    return Tree(dict(table.values), sysclk, hclk, {"apb1": apb1, "apb2": apb2}, states)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="stm32f7",
            title="STM32F74x / F75x",
            # RM0385 "Register boundary addresses"; RCC_AHB1ENR, RCC_APB1ENR, RCC_APB2ENR (RCC at 0x40023800).
            gpio_base=0x4002_0000,
            gpio_stride=0x400,
            gpio_ports="ABCDEFGHIJK",
            gpio_enable_register=0x4002_3830,
            enable_registers={"AHB1ENR": 0x4002_3830, "APB1ENR": 0x4002_3840, "APB2ENR": 0x4002_3844},
            vddio2_pins=None,
            clock=_stm32f7_clock,
        ),
        Family(
            name="stm32l4plus",
            title="STM32L4R / L4S",
            # RM0432 "Register boundary addresses"; RCC_AHB2ENR, RCC_APB1ENR1, 2, RCC_APB2ENR (RCC at 0x40021000).
            gpio_base=0x4800_0000,
            gpio_stride=0x400,
            gpio_ports="ABCDEFGHI",
            gpio_enable_register=0x4002_104C,
            enable_registers={"APB1ENR1": 0x4002_1058, "APB1ENR2": 0x4002_105C, "APB2ENR": 0x4002_1060},
            # RM0432 PWR_CR2, IOSV: PG2 to PG15 are supplied by VDDIO2.
            vddio2_pins=("G", 2),
            clock=_stm32l4plus_clock,
        ),
    )
}
