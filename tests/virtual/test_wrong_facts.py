"""The virtual chips know the manuals by themselves: firmware built from a wrong fact stops, and is told which rule."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.firmware_project import SOURCES

from tinydeploy.boards import Board, load_board
from tinydeploy.errors import FirmwareFaultError
from tinydeploy.firmware import write_project
from tinydeploy.toolchain import build_project
from tinydeploy.virtual import VirtualBoard


def changed(board: Board, where: str, **facts: Any) -> Board:
    """`board` with facts that no rule has looked at: of its clock, the clock's settings or defines, UART or pins."""
    clock, uart = board.clock, board.uart
    if where == "clock":
        clock = dataclasses.replace(clock, **facts)
    elif where == "settings":
        clock = dataclasses.replace(clock, settings={**clock.settings, **facts})
    elif where == "defines":
        clock = dataclasses.replace(clock, defines={**clock.defines, **facts})
    elif where == "uart":
        uart = dataclasses.replace(uart, **facts)
    else:
        pin = getattr(uart, where)
        uart = dataclasses.replace(uart, **{where: dataclasses.replace(pin, **facts)})
    return dataclasses.replace(board, clock=clock, uart=uart)


MISTAKES: list[tuple[str, str, dict[str, Any], str]] = [
    ("stm32f407_discovery", "clock", {"flash_wait_states": 4}, "168 MHz with 4 flash wait states; .* at least 5"),
    ("stm32f407_discovery", "settings", {"pll_n": 350}, "175 MHz, above the 168 MHz of regulator scale 1"),
    ("stm32f407_discovery", "settings", {"apb1_prescaler": 2}, "APB1 at 84 MHz, above its 42 MHz"),
    ("stm32f407_discovery", "defines", {"VOS": 3}, "bit 15 of PWR_CR, which is reserved"),
    ("stm32f407_discovery", "tx", {"function": 8}, "no pin carries USART2_TX .*: PA2 is in mode alternate function 8"),
    ("nucleo_f411re", "defines", {"VOS": 2}, "100 MHz, above the 84 MHz of regulator scale 2"),
    ("nucleo_f411re", "uart", {"enable_bit": 18}, "writes USART2 while its clock is off; set RCC_APB1ENR bit 17"),
    ("nucleo_f767zi", "clock", {"flash_wait_states": 6}, "216 MHz with 6 flash wait states; .* at least 7"),
    ("nucleo_h743zi", "settings", {"voltage_scale": 1}, "480 MHz, above the 400 MHz of scale 1"),
    ("nucleo_h743zi", "settings", {"ahb_prescaler": 1}, "AXI at 480 MHz, above the 240 MHz of scale 0"),
    ("nucleo_h743zi", "clock", {"flash_wait_states": 3}, "AXI at 240 MHz with 3 flash wait states"),
    ("nucleo_h743zi", "defines", {"WRHIGHFREQ": 1}, "and WRHIGHFREQ 1; FLASH_ACR must have at least 4 and 2"),
    ("nucleo_h743zi", "defines", {"PLL_RGE": 1}, "feeds PLL1 with 8 MHz; PLL1RGE 1 says 2 to 4 MHz"),
    ("nucleo_l476rg", "clock", {"flash_wait_states": 3}, "80 MHz with 3 flash wait states; .* at least 4"),
    ("nucleo_l476rg", "settings", {"pll_n": 21}, "SYSCLK at 84 MHz, above the 80 MHz of voltage range 1 normal mode"),
    ("nucleo_u575zi", "clock", {"flash_wait_states": 3}, "160 MHz with 3 flash wait states; .* at least 4"),
    ("nucleo_u575zi", "settings", {"pll_n": 85}, "SYSCLK at 170 MHz, above the 160 MHz of voltage range 1"),
    ("nucleo_u575zi", "defines", {"PLL_RGE": 3}, "feeds PLL1 with 4 MHz; PLL1RGE 3 says 8 to 16 MHz"),
    ("nrf52840_dk", "uart", {"divider": 0x01D6_0000}, "0x01d60000 to UART0.BAUDRATE, which the manual does not list"),
    ("pico", "settings", {"flash_divider": 3}, "SSI.BAUDR to 3; it must be even"),
    ("pico", "settings", {"pll_fbdiv": 140}, "VCO of PLL_SYS at 1680 MHz"),
    ("pico", "settings", {"pll_postdiv1": 5}, "clk_sys at 159.6 MHz, above 133 MHz"),
    ("pico", "defines", {"XOSC_STARTUP": 10}, "XOSC_STARTUP of 2560 cycles; give it a millisecond"),
    ("pico", "uart", {"enable_bit": 23}, "writes UART0 while it is held in reset; clear bit 22 of RESETS.RESET"),
    ("pico2", "rx", {"function": 3}, "no pin carries UART0_RX .*: GP1 has function 3, not 2"),
    ("pico2", "settings", {"pll_postdiv1": 4}, "clk_sys at 187.5 MHz, above 150 MHz"),
    ("mps2_an386", "uart", {"divider": 10}, "UART0 with BAUDDIV 10; it must be at least 16"),
]


@pytest.mark.parametrize(
    ("name", "where", "facts", "message"), MISTAKES, ids=[f"{m[0]}-{next(iter(m[2]))}" for m in MISTAKES]
)
def test_a_wrong_fact_stops_the_firmware(
    name: str, where: str, facts: dict[str, Any], message: str, tmp_path: Path
) -> None:
    board = load_board(name)
    write_project(SOURCES, changed(board, where, **facts), tmp_path)
    device = VirtualBoard(board, build_project(tmp_path).elf)
    device.uart_send(bytes(200))  # long enough that some arrive when the UART is up
    with pytest.raises(FirmwareFaultError, match=message):
        device.run(0.02)


def test_a_pin_that_is_not_wired_to_the_port_says_so(tmp_path: Path) -> None:
    board = load_board("nrf52840_dk")
    write_project(SOURCES, changed(board, "tx", number=7), tmp_path)
    device = VirtualBoard(board, build_project(tmp_path).elf)
    device.run(0.02)
    assert device.notes == ["P0.07 sends, but the virtual COM port listens on P0.06"]
    assert device.uart_receive() == b""


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("pico", 0x1000_0004, "checksum 0x[0-9a-f]{8} in the second stage, and 0x[0-9a-f]{8} would be right"),
        ("pico2", "image_definition", "no image definition"),
    ],
)
def test_a_boot_rom_starts_only_what_it_should(name: str, place: int | str, message: str, tmp_path: Path) -> None:
    board = load_board(name)
    write_project(SOURCES, board, tmp_path)
    device = VirtualBoard(board, build_project(tmp_path).elf)
    device.run(0.02)
    assert device.uart_receive() == f"hello from {name}\r\n".encode()
    device.poke(place, b"\x55")
    with pytest.raises(FirmwareFaultError, match=message):
        device.reset()
