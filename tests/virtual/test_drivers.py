"""Start-up, clock and UART drivers, stack paint and fault reports, run as firmware on the strict virtual board."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from support.firmware_project import SOURCES
from support.qemu import qemu

from tinydeploy.boards import Board, board_names, load_board
from tinydeploy.firmware import write_project
from tinydeploy.image import Image
from tinydeploy.resources import resource_dir
from tinydeploy.toolchain import build_project
from tinydeploy.virtual import VirtualBoard

# main() runs BODY once after the UART is up; HELPERS come before it.
MAIN_C = """\
#include "board.h"
#include "clock.h"
#include "cycles.h"
#include "model.h"
#include "stack.h"
#include "uart.h"

%s

static void say(const char *text) {
    size_t size = 0;
    while (text[size] != 0) {
        size++;
    }
    uart_write((const uint8_t *)text, size);
}

static void say_number(uint32_t value) {
    char digits[12] = {' '};
    char *first = &digits[11];
    do {
        *--first = (char)('0' + value %% 10u);
        value /= 10u;
    } while (value != 0);
    say(first);
    say(" ");
}

int main(void) {
    uart_init();
    cycles_init();
    say("start\\r\\n");
    %s
    for (;;) {
        uint8_t data[16];
        const size_t size = uart_read(data, sizeof data);
        if (size == 0) {
            board_wait_for_event();
        }
        uart_write(data, size);
    }
}
"""


def build(folder: Path, board: Board, body: str = "(void)say_number;", helpers: str = "") -> Image:
    write_project({**SOURCES, "firmware/main.c": MAIN_C % (helpers, body)}, board, folder)
    return build_project(folder, "zig")


def variant(folder: Path, name: str, changes: dict[str, str | None]) -> Board:
    """The board `name` with lines of its TOML changed or (None) removed."""
    text = (resource_dir("boards") / f"{name}.toml").read_text(encoding="utf-8")
    for key, value in changes.items():
        text = re.sub(rf"^{key} =.*$", f"{key} = {value}" if value else "", text, flags=re.MULTILINE)
    path = folder / "variant.toml"
    path.write_text(text, encoding="utf-8")
    return load_board(str(path))


F7_FROM_HSI: dict[str, str | None] = {"source": '"hsi"', "hse_hz": None, "hse_bypass": None, "pll_m": "16"}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("stm32f746", {}),
        ("stm32f746", F7_FROM_HSI),
        ("stm32f746", {"hse_hz": "8_000_000", "hse_bypass": "true", "pll_m": "8"}),
        ("stm32f746", {"over_drive": "false", "sysclk_hz": "180_000_000", "pll_n": "360", "flash_wait_states": "5"}),
        ("nucleo_l4r5zi", {}),
        ("nucleo_l4r5zi", {"source": '"msi"', "pll_m": "1"}),
        ("nucleo_l4r5zi", {"source": '"hse"\nhse_hz = 8_000_000\nhse_bypass = true', "pll_m": "2"}),
        ("nucleo_l4r5zi", {"boost": "false", "sysclk_hz": "80_000_000", "pll_n": "40", "flash_wait_states": "3"}),
    ],
)
def test_the_core_reaches_its_speed_and_the_uart_its_baud_rate(
    name: str, changes: dict[str, str | None], tmp_path: Path
) -> None:
    """A wrong clock or divider garbles the bytes; a wrong sequence stops the run."""
    board = variant(tmp_path, name, changes)
    device = VirtualBoard(board, build(tmp_path / "project", board).elf)
    device.uart_send(b"e")  # before there is a UART
    device.run(0.02)
    assert device.uart_receive() == b"start\r\n"
    assert device.core_hz == board.clock.sysclk_hz
    device.uart_send(bytes(range(256)))
    device.run(0.1)
    assert device.uart_receive() == bytes(range(256))
    assert device.notes == []


def test_a_crystal_that_does_not_start_is_replaced_by_hsi_at_the_same_speed(tmp_path: Path) -> None:
    board = variant(tmp_path, "stm32f746", {})
    without_crystal = variant(tmp_path, "stm32f746", F7_FROM_HSI)
    image = build(tmp_path / "project", board, 'say(clock_on_fallback() ? "hsi" : "hse"); (void)say_number;')
    for wired, said in [(board, b"hse"), (without_crystal, b"hsi")]:
        device = VirtualBoard(wired, image.elf)
        device.run(1.0)
        assert device.uart_receive() == b"start\r\n" + said
        assert device.core_hz == 216_000_000


FAULTS = [
    ("volatile int zero = 0; volatile int y = 5 / zero; (void)y;", "UsageFault", "division by zero"),
    ("*(volatile uint32_t *)0x60000000u = 1;", "BusFault", "data access to an address where nothing answers"),
    ('__asm volatile("udf #0");', "UsageFault", "undefined instruction"),
    ('__asm volatile("ldr r0, =0x08000100\\n bx r0");', "UsageFault", "jump to an address without the Thumb bit"),
    ('__asm volatile("svc #0");', "unexpected exception 11", ""),
    (
        '*(volatile uint32_t *)0xE000E100u = 2; *(volatile uint32_t *)0xE000E200u = 2; __asm volatile("dsb\\n isb");',
        "unexpected interrupt 1",
        "",
    ),
]


@pytest.mark.parametrize(
    ("name", "body", "fault", "cause"),
    [("stm32f746", *fault) for fault in FAULTS] + [("nucleo_l4r5zi", *FAULTS[0])],
)
def test_a_fault_is_reported_with_its_cause_and_where_it_was(
    name: str, body: str, fault: str, cause: str, tmp_path: Path
) -> None:
    board = load_board(name)
    image = build(tmp_path, board, f"{body} (void)say_number;")
    device = VirtualBoard(board, image.elf, on_fault="vector")
    device.run(0.3)
    report = device.uart_receive().decode()
    assert report.startswith(f"start\r\n\0\r\ntinydeploy fault: {fault}\r\n  {cause}")
    assert report.endswith("stopped; reset the board to start again\r\n")
    registers = dict(re.findall(r"(r0|r1|r2|r3|r12|lr|pc|xpsr|sp|CFSR|HFSR) 0x([0-9a-f]{8})", report))
    assert len(registers) == 11
    main = image.symbol("main")
    assert main is not None
    pc = int(registers["pc"], 16)
    assert main.address <= pc < main.address + main.size_bytes or pc == 0x0800_0100


def test_main_that_returns_is_reported(tmp_path: Path) -> None:
    board = load_board("stm32f746")
    image = build(tmp_path, board, "(void)say_number; if (stack_high_water_bytes() != 0) return 0;")
    device = VirtualBoard(board, image.elf)
    device.run(0.3)
    assert b"\0\r\ntinydeploy fault: main returned\r\n  stopped" in device.uart_receive()


def test_output_longer_than_the_ring_arrives_in_order(tmp_path: Path) -> None:
    board = load_board("stm32f746")
    body = "for (uint32_t i = 0; i < 500; i++) say_number(i); uart_flush();"
    device = VirtualBoard(board, build(tmp_path, board, body).elf)
    device.run(0.5)
    assert device.uart_receive() == b"start\r\n" + b"".join(b"%d " % i for i in range(500))


@pytest.mark.parametrize(("sent", "kept", "lost"), [(2047, 2047, 0), (2100, 2047, 1)])
def test_bytes_are_kept_while_the_cpu_computes_and_a_loss_is_told_once(
    sent: int, kept: int, lost: int, tmp_path: Path
) -> None:
    board = load_board("nucleo_l4r5zi")
    body = """
    for (uint32_t turn = 0; turn < 8000000u; turn++) { /* at least 200 ms */
        __asm volatile("nop");
    }
    static uint8_t received[3000];
    say_number(uart_read(received, sizeof received));
    say_number(uart_overrun());
    say_number(uart_overrun());"""
    device = VirtualBoard(board, build(tmp_path, board, body).elf)
    device.run(0.01)
    assert device.uart_receive() == b"start\r\n"
    device.uart_send(bytes(sent))
    device.run(0.4)
    assert device.uart_receive() == b"%d %d 0 " % (kept, lost)


def said_on_qemu(name: str, elf: Path, words: int) -> list[bytes]:
    """The first `words` words that the firmware prints, spaces after each."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    output = b""
    with qemu(name, elf, "stdio") as process:
        assert process.stdout is not None
        while len((output + b".").split()) <= words:
            byte = process.stdout.read(1)
            assert byte, output
            output += byte
    return output.split()


@pytest.mark.parametrize("name", board_names())
def test_stack_paint_tells_the_depth_of_one_call(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    helpers = """
__attribute__((noinline)) static void use(uint32_t *big) {
    __asm volatile("" ::"r"(big) : "memory");
}
__attribute__((noinline)) static void deep(void) {
    uint32_t big[500];
    for (uint32_t i = 0; i < 500; i++) {
        big[i] = i;
    }
    use(big);
}"""
    body = """
    uart_flush();
    stack_repaint();
    const uint32_t before = stack_high_water_bytes();
    deep();
    const uint32_t after = stack_high_water_bytes();
    stack_repaint();
    say_number(after - before);
    say_number(stack_high_water_bytes() < after);"""
    elf = build(tmp_path, board, body, helpers).elf
    if board.core.name == "m55":  # Unicorn has none
        said = said_on_qemu(name, elf, words=3)[1:]
    else:
        device = VirtualBoard(board, elf)
        device.run(0.1)
        said = device.uart_receive().removeprefix(b"start\r\n").split()
    assert 2000 - 32 <= int(said[0]) <= 2000 + 64
    assert said[1] == b"1"
