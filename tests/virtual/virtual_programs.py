"""Small bare-metal programs for the virtual board: compiled by the compiler that pip installs, run until they speak."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from tinydeploy.boards import load_board
from tinydeploy.cores import CORES
from tinydeploy.virtual import VirtualBoard
from tinydeploy.virtual.core import OnFault
from tinydeploy.virtual.models.silicon import Silicon

BOARDS = ("stm32f746", "nucleo_l4r5zi")
_RAM = {"stm32f746": "0x20010000", "nucleo_l4r5zi": "0x20000000"}

LINKER_SCRIPT = """
ENTRY(Reset_Handler)
MEMORY
{
  FLASH (rx) : ORIGIN = %s, LENGTH = 512K
  RAM (rwx) : ORIGIN = %s, LENGTH = 64K
}
SECTIONS
{
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .data : { __data_start = .; *(.data*) . = ALIGN(4); __data_end = .; } > RAM AT > FLASH
  __data_load = LOADADDR(.data);
  .bss (NOLOAD) : ALIGN(4) { __bss_start = .; *(.bss*) *(COMMON) . = ALIGN(4); __bss_end = .; } > RAM
  /DISCARD/ : { *(.ARM.exidx*) *(.ARM.extab*) }
}
__stack_limit = ORIGIN(RAM) + LENGTH(RAM);
__stack_top = __stack_limit + 4096;
"""

# Registers by their names in the manuals. UART_BRR_115200 suits the clock after reset.
PRELUDE = r"""
#include <stdint.h>
#include <stddef.h>
#define REG(address) (*(volatile uint32_t *)(address))
#if defined BOARD_STM32F746
#define RCC_BASE 0x40023800u
#define GPIO_ENR REG(0x40023830)
#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define TX_GPIO GPIOA
#define TX_PIN 9u
#define TX_BIT 0u
#define RX_GPIO GPIOB
#define RX_PIN 7u
#define RX_BIT 1u
#define AF 7u
#define UART 0x40011000u
#define UART_IRQ 37
#define UART_ENR REG(0x40023844)
#define UART_BIT 4u
#define UART_BRR_115200 139u
#define PWR_ENR REG(0x40023840)
#define FLASH_ACR REG(0x40023C00)
#define IRQS 98
#else
#define RCC_BASE 0x40021000u
#define GPIO_ENR REG(0x4002104C)
#define GPIOG 0x48001800u
#define TX_GPIO GPIOG
#define TX_PIN 7u
#define TX_BIT 6u
#define RX_GPIO GPIOG
#define RX_PIN 8u
#define RX_BIT 6u
#define AF 8u
#define UART 0x40008000u
#define UART_IRQ 70
#define UART_ENR REG(0x4002105C)
#define UART_BIT 0u
#define UART_BRR_115200 8889u
#define PWR_ENR REG(0x40021058)
#define FLASH_ACR REG(0x40022000)
#define IRQS 95
#endif
#define PWREN (1u << 28)
#define RCC_CR REG(RCC_BASE)
#define CR1 REG(UART + 0x00)
#define CR2 REG(UART + 0x04)
#define CR3 REG(UART + 0x08)
#define BRR REG(UART + 0x0C)
#define ISR REG(UART + 0x1C)
#define ICR REG(UART + 0x20)
#define RDR REG(UART + 0x24)
#define TDR REG(UART + 0x28)
#define NVIC_ISER(n) REG(0xE000E100u + 4u * (n))
#define NVIC_IPR(n) (*(volatile uint8_t *)(0xE000E400u + (n)))
#define NVIC_STIR REG(0xE000EF00)
#define ICSR REG(0xE000ED04)
#define AIRCR REG(0xE000ED0C)
#define SHPR(n) (*(volatile uint8_t *)(0xE000ED14u + (n)))
#define SHCSR REG(0xE000ED24)
#define CFSR REG(0xE000ED28)
#define HFSR REG(0xE000ED2C)
#define BFAR REG(0xE000ED38)
#define CCR REG(0xE000ED14)
#define CPACR REG(0xE000ED88)
#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define DEMCR REG(0xE000EDFC)
#define DWT_CTRL REG(0xE0001000)
#define DWT_CYCCNT REG(0xE0001004)
#define DWT_LAR REG(0xE0001FB0)
#define NAKED __attribute__((naked, noinline))
#define NOINLINE __attribute__((noinline))
#define UNUSED_FUNCTION __attribute__((unused)) static

void *memset(void *out, int value, size_t n) {
    for (size_t i = 0; i < n; i++) ((volatile char *)out)[i] = (char)value;
    return out;
}
NOINLINE int main(void);
void idle_forever(void) { for (;;) __asm volatile("wfi"); }
extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[], __stack_top[];
__attribute__((noreturn)) void Reset_Handler(void) {
    REG(0xE000ED08) = 0x08000000u;
    for (uint32_t *to = __data_start, *from = __data_load; to < __data_end;) *to++ = *from++;
    for (volatile uint32_t *to = __bss_start; to < (volatile uint32_t *)__bss_end;) *to++ = 0;
    main();
    idle_forever();
    __builtin_unreachable();
}
#define HANDLER(name) __attribute__((weak)) void name(void);
HANDLER(NMI_Handler) HANDLER(HardFault_Handler) HANDLER(MemManage_Handler) HANDLER(BusFault_Handler)
HANDLER(UsageFault_Handler) HANDLER(SVC_Handler) HANDLER(PendSV_Handler) HANDLER(SysTick_Handler)
HANDLER(Uart_Handler) HANDLER(Irq0_Handler) HANDLER(Irq1_Handler) HANDLER(Irq2_Handler)
__attribute__((section(".vectors"), used)) void *const vectors[16 + IRQS] = {
    __stack_top, Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler, UsageFault_Handler,
    0, 0, 0, 0, SVC_Handler, 0, 0, PendSV_Handler, SysTick_Handler, Irq0_Handler, Irq1_Handler, Irq2_Handler,
    [16 + UART_IRQ] = Uart_Handler,
};

UNUSED_FUNCTION void pin(uint32_t gpio, uint32_t number, uint32_t af) {
    REG(gpio + 0x20 + 4 * (number / 8)) = (REG(gpio + 0x20 + 4 * (number / 8)) & ~(0xFu << 4 * (number % 8)))
        | af << 4 * (number % 8);
    REG(gpio) = (REG(gpio) & ~(3u << 2 * number)) | 2u << 2 * number;
}
UNUSED_FUNCTION void pins_up(void) {
    GPIO_ENR |= 1u << TX_BIT | 1u << RX_BIT;
#if !defined BOARD_STM32F746
    PWR_ENR |= PWREN;
    REG(0x40007004) |= 1u << 9;
#endif
    pin(TX_GPIO, TX_PIN, AF);
    pin(RX_GPIO, RX_PIN, AF);
}
UNUSED_FUNCTION void uart_on(uint32_t brr) {
    UART_ENR |= 1u << UART_BIT;
    BRR = brr;
    CR1 = 1u | 1u << 2 | 1u << 3;
}
UNUSED_FUNCTION void uart_up(void) {
    pins_up();
    uart_on(UART_BRR_115200);
}
UNUSED_FUNCTION void put(char c) {
    while (!(ISR & 1u << 7)) {}
    TDR = (uint32_t)c;
}
UNUSED_FUNCTION void print(const char *text) { while (*text) put(*text++); }
UNUSED_FUNCTION void print_hex(uint32_t value) {
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
    put(' ');
}
"""


@cache
def _folder() -> Path:
    return Path(mkdtemp(prefix="virtual"))


@cache
def compile_program(
    board: str, body: str, flags: tuple[str, ...] = (), flash: str = "0x08000000", prelude: str = PRELUDE
) -> Path:
    """The ELF of PRELUDE + `body` for a board; lines of `body` count from 1 as file body.c."""
    core = CORES[load_board(board).core.name]
    folder = Path(mkdtemp(dir=_folder()))
    source = folder / "body.c"
    (folder / "prelude.h").write_text(prelude)
    source.write_text(f'#include "prelude.h"\n#line 1 "body.c"\n{body}')
    script = folder / "program.ld"
    script.write_text(LINKER_SCRIPT % (flash, _RAM[board]))
    elf = folder / "program.elf"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", core.zig_target, f"-mcpu={core.zig_cpu}"]
    command += ["-O1", "-g", "-ffreestanding", "-fno-sanitize=all", "-fomit-frame-pointer", f"-DBOARD_{board.upper()}"]
    command += [*flags, "-Wl,-e,Reset_Handler", "-T", str(script), str(source), "-o", str(elf)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return elf


def boot(
    board: str,
    body: str,
    *flags: str,
    on_fault: OnFault = "stop",
    cycles: Silicon | Literal["shipped", "rules"] = "shipped",
) -> VirtualBoard:
    """A virtual board with the program in flash, in reset."""
    return VirtualBoard(load_board(board), compile_program(board, body, flags), on_fault=on_fault, cycles=cycles)


def boot_case(
    board: str, cases: tuple[str, ...], which: int, *, before: str = "", on_fault: OnFault = "stop"
) -> VirtualBoard:
    """A board that runs one of several statements, each on a line of its own in a function ``case<n>``.

    `before` is C that they share, called before.c. One program holds them all, and the choice is patched into flash:
    compiling takes longer than running.
    """
    lines = [f"NOINLINE void case{index}(void) {{ {statement} }}" for index, statement in enumerate(cases)]
    names = ", ".join(f"case{index}" for index in range(len(cases)))
    lines.append("const volatile uint32_t selected = 0;")
    lines.append(f"static void (*const table[])(void) = {{ {names} }};")
    lines.append("int main(void) { table[selected](); return 0; }")
    if before:
        lines = ['#line 1 "before.c"', before, '#line 1 "body.c"', *lines]
    running = boot(board, "\n".join(lines), on_fault=on_fault)
    running.poke("selected", which.to_bytes(4, "little"))
    return running


def output(board: VirtualBoard, seconds: float = 0.1) -> str:
    """What the program prints in that time."""
    board.run(seconds)
    return board.uart_receive().decode("latin-1")
