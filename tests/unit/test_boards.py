"""Boards are read strictly: the shipped ones hold, and every mistake is named with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.boards import Board, board_names, list_boards, load_board, parse_board
from tinydeploy.errors import BoardError
from tinydeploy.resources import resource_dir
from tinydeploy.stricttoml import read_toml

BOARDS = resource_dir("boards")
F746 = (BOARDS / "stm32f746.toml").read_text(encoding="utf-8")
L4R5 = (BOARDS / "nucleo_l4r5zi.toml").read_text(encoding="utf-8")


def message_of(text: str, folder: Path) -> str:
    """The error that the board description `text` raises, as file x.toml."""
    path = folder / "x.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BoardError) as caught:
        parse_board(read_toml(path, "boards/x.toml"), "x")
    return str(caught.value)


def edited(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return changed


@pytest.mark.parametrize("name", board_names())
def test_every_shipped_board_loads_under_its_file_name(name: str) -> None:
    board = load_board(name)
    assert board.name == name
    assert board.flash.kind == "flash"
    assert board.ram.kind == "ram"
    assert board in list_boards()


# ST's manuals have numbers; the others are named in the head of the file, by an abbreviation.
CITED = r"#.*\b(?:(?:RM|UM|DS|PM)\d{4}|(?:PS|UG|AD|DS|PDS|AN\d{3}|SSE) \")"


@pytest.mark.parametrize("name", board_names())
def test_every_fact_of_a_shipped_board_cites_its_source(name: str) -> None:
    text = (BOARDS / f"{name}.toml").read_text(encoding="utf-8")
    assert len(re.findall(CITED, text)) >= 12
    memories = [section for section in re.split(r"^(?=\[)", text, flags=re.MULTILINE) if "\norigin = " in section]
    assert len(memories) >= 2
    for section in memories:
        assert re.search(rf"^size = .*{CITED}", section, flags=re.MULTILINE), section


def test_stm32f746_runs_at_its_full_speed_from_the_crystal() -> None:
    board = load_board("stm32f746")
    assert board.clock.sysclk_hz == board.clock.hclk_hz == 216_000_000
    assert board.clock.bus_hz == {"apb1": 54_000_000, "apb2": 108_000_000}
    assert board.clock.flash_wait_states == 7
    assert (board.core.name, board.flash.size_bytes, board.ram.size_bytes) == ("m7", 1 << 20, 256 << 10)
    assert (board.stack.name, board.stack.origin) == ("dtcm", 0x2000_0000)
    assert (board.uart.instance, board.uart.clock_hz, board.uart.divider) == ("USART1", 108_000_000, 938)


def test_nucleo_l4r5zi_runs_at_its_full_speed_and_its_uart_is_lpuart1() -> None:
    board = load_board("nucleo_l4r5zi")
    assert board.clock.sysclk_hz == 120_000_000
    assert board.clock.flash_wait_states == 5
    assert (board.core.name, board.flash.size_bytes, board.ram.size_bytes) == ("m4", 2 << 20, 640 << 10)
    assert (board.uart.instance, board.uart.driver, board.uart.divider) == ("LPUART1", "stm32_lpuart", 266_667)
    assert board.clock.settings["vddio2"] is True


def test_unknown_board_is_answered_with_the_closest_or_with_the_known_ones() -> None:
    with pytest.raises(BoardError) as caught:
        load_board("stm32f764")
    assert str(caught.value) == "unknown board 'stm32f764'; did you mean 'stm32f746'?"
    with pytest.raises(BoardError) as caught:
        load_board("teapot")
    assert str(caught.value) == f"unknown board 'teapot'; the boards are {', '.join(board_names())}"


def test_a_board_can_be_given_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(F746, encoding="utf-8")
    assert load_board(str(path)).name == "mine"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"none\.toml: cannot be read"):
        load_board(str(tmp_path / "none.toml"))


# (text, what to replace, by what, the message)
MISTAKES = [
    (F746, r'^size = "256 KiB"', 'szie = "256 KiB"', "boards/x.toml: [ram]: unknown key 'szie'; did you mean 'size'?"),
    (F746, r"^pll_m = 25", "plm = 25", "boards/x.toml: [clock]: unknown key 'plm'; did you mean 'pll_m'?"),
    (F746, r"^\[uart\]", "[urat]", "boards/x.toml: unknown table 'urat'; did you mean 'uart'?"),
    (F746, r"^core =.*", "", "boards/x.toml: missing key 'core'"),
    (F746, r"^hse_hz =.*", "", "boards/x.toml: [clock]: missing key 'hse_hz', which source = \"hse\" needs"),
    (F746, r"^title =", "title", "boards/x.toml: not valid TOML: "),
    (F746, r'^core = "m7"', 'core = "m8"', "boards/x.toml: unknown core 'm8'; known: m0plus, m4, m7"),
    (F746, r'^family = "stm32f7"', 'family = "stm32f8"', "unknown family 'stm32f8'; did you mean 'stm32f7'?"),
    (F746, r'"256 KiB"', "262144", '[ram]: size must be a size such as "240 KiB" or "1 MiB", not 262144'),
    (F746, r'"256 KiB"', '"0 KiB"', "[ram]: size is 0 B; it must be a multiple of 8 above zero"),
    (
        F746,
        r"0x20010000",
        "0x2000F000",
        "[dtcm]: 0x20000000 to 0x20010000 overlaps [ram], 0x2000f000 to 0x2004f000",
    ),
    (F746, r"0x20010000", "0xFFFF0000", "[ram]: ends at 0x100030000, past the 32-bit address space"),
    (F746, r"0x20010000", "0x20010004", "[ram]: origin is 0x20010004; it must be a multiple of 8"),
    (F746, r'memory = "dtcm"', 'memory = "ram"', "[stack]: [dtcm] lies right below [ram], so an overflow would not"),
    (F746, r'memory = "dtcm"', 'memory = "flash"', "[stack]: unknown memory 'flash'; known: ram, dtcm"),
    (F746, r'size = "8 KiB"', 'size = "60 KiB"', "[stack]: size is 61,440 B; it must be 1 KiB to half of [dtcm]"),
    (F746, r"^pll_n = 432", "pll_n = 433", "[clock]: pll_n is 433; it must be 50 to 432"),
    (F746, r"^pll_n = 432", "pll_n = 60", "[clock]: PLL VCO (input * pll_n) is 60 MHz; it must be 100 to 432 MHz"),
    (F746, r"^pll_n = 432", "pll_n = 400", "sysclk_hz is 216,000,000, but source and PLL settings make 200,000,000"),
    (F746, r"^pll_m = 25", "pll_m = 50", "[clock]: PLL input (source / pll_m) is 0.5 MHz; it must be 1 to 2 MHz"),
    (F746, r"^pll_m = 25", "pll_m = 23", "PLL input (source / pll_m) is 1,086,956.522 Hz, not a whole number"),
    (
        F746,
        r"^pll_m = 25\b.*\npll_n = 432",
        "pll_m = 15\npll_n = 260",
        "PLL input (source / pll_m) is 1,666,666.667 Hz, not a whole number",
    ),
    (
        F746,
        r"^pll_m = 25\b.*\npll_n = 432",
        "pll_m = 20\npll_n = 345",
        "[clock]: PLL input (hse_hz / pll_m) is 1,250,000 Hz, which HSI's 16 MHz cannot make when HSE fails; "
        "choose a pll_m that gives a divisor of 16 MHz",
    ),
    (F746, r"^pll_p = 2", "pll_p = 3", "[clock]: pll_p is 3; it must be one of 2, 4, 6, 8"),
    (F746, r"^pll_q = 9", "pll_q = 8", "[clock]: PLL48CLK (VCO / pll_q) is 54 MHz; it must be 0 to 48 MHz"),
    (F746, r"^over_drive = true", "over_drive = false", "sysclk_hz is 216 MHz; it must be 1 to 180 MHz"),
    (F746, r"^over_drive = true", "over_drive = 1", "[clock]: over_drive must be true or false, not 1"),
    (F746, r"^apb1_prescaler = 4", "apb1_prescaler = 2", "[clock]: APB1 is 108 MHz; it must be 0 to 54 MHz"),
    (F746, r"^apb2_prescaler = 2", "apb2_prescaler = 1", "[clock]: APB2 is 216 MHz; it must be 0 to 108 MHz"),
    (F746, r"^flash_wait_states = 7", "flash_wait_states = 6", "flash_wait_states is 6; HCLK 216 MHz needs 7"),
    (F746, r"^hse_hz = 25_000_000", "hse_hz = 27_000_000", "hse_hz is 27,000,000; it must be 4,000,000 to 26,000,000"),
    (L4R5, r"^pll_r = 2", "pll_r = 2\nhse_hz = 8_000_000", 'belong to source = "hse", and source is "hsi"'),
    (L4R5, r"^boost = true", "boost = false", "sysclk_hz is 120 MHz; it must be 1 to 80 MHz"),
    (L4R5, r"^flash_wait_states = 5", "flash_wait_states = 4", "HCLK 120 MHz needs 5 (RM0432"),
    (L4R5, r"^pll_n = 60", "pll_n = 90", "PLL VCO (input * pll_n) is 360 MHz; it must be 64 to 344 MHz"),
    (L4R5, r"^vddio2 = true", "vddio2 = false", "[uart.tx]: PG7 is supplied by VDDIO2: set vddio2 = true in [clock]"),
    (
        F746,
        r'port = "A", pin = 9',
        'port = "L", pin = 9',
        "[uart.tx]: port is 'L'; STM32F72x / F74x / F76x has ports A to K",
    ),
    (F746, r"pin = 9, af = 7", "pin = 16, af = 7", "[uart.tx]: pin is 16; it must be 0 to 15"),
    (F746, r"pin = 9, af = 7", "pin = 9, af = 16", "[uart.tx]: af is 16; it must be 0 to 15"),
    (F746, r'port = "B", pin = 7', 'port = "A", pin = 9', "[uart]: tx and rx are the same pin, PA9"),
    (F746, r"^baud = 115_200", "baud = 1_200", "baud 1,200 needs BRR 0x15f90 at 108,000,000 Hz"),
    (L4R5, r'^driver = "stm32_lpuart"', 'driver = "stm32_lpuat"', "did you mean 'stm32_lpuart'?"),
    (F746, r"^baud = 115_200", "baud = 6_600_000", "[uart]: baud 6,600,000 would be off by 2.3% at 108,000,000 Hz"),
    (
        F746,
        r"^part = .*",
        'part = "STM32F103C8"',
        "part 'STM32F103C8' is not one of family 'stm32f7', which has STM32F722",
    ),
    (
        F746,
        r'^arena = \["dtcm", "ram"\]',
        'arena = ["flash", "ram"]',
        "[placement]: arena cannot lie in 'flash'; it may",
    ),
    (F746, r'^arena = \["dtcm", "ram"\]', 'arena = ["dtcm"]', "the preferred first, and end with 'ram'"),
    (F746, r'^weights = \["flash"\]', "weights = []", "the preferred first, and end with 'flash'"),
    (F746, r"^irq = 37", "irq = 98", "[uart]: irq is 98; it must be 0 to 97"),
    (F746, r'^bus = "apb2"', 'bus = "apb3"', "[uart]: unknown bus 'apb3'"),
    (F746, r'"APB2ENR"', '"APB3ENR"', "[uart]: unknown enable_register 'APB3ENR'"),
    (F746, r"^openocd =", "opencd =", "[flash_tools]: unknown key 'opencd'; did you mean 'openocd'?"),
    (F746, r"^usb_ids = \[.*?\]", "usb_ids = [1]", "boards/x.toml: usb_ids must be a list of strings, not [1]"),
]


@pytest.mark.parametrize(("text", "pattern", "replacement", "message"), MISTAKES, ids=[m[3][-40:] for m in MISTAKES])
def test_each_mistake_is_named(text: str, pattern: str, replacement: str, message: str, tmp_path: Path) -> None:
    assert message in message_of(edited(text, pattern, replacement), tmp_path)


@given(place=st.integers(0, len(F746) - 1), character=st.characters(codec="utf-8"))
@settings(max_examples=300, deadline=None)
def test_a_changed_character_makes_a_board_or_a_board_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, character: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.toml"
    path.write_text(F746[:place] + character + F746[place + 1 :], encoding="utf-8", errors="surrogatepass")
    message = ""
    try:
        assert isinstance(load_board(str(path)), Board)
    except BoardError as error:
        message = str(error)
    assert message == "" or message.startswith(str(path))
