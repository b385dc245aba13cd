"""Whatever silicon fails at stops the run and says what, where, and what to do."""

from __future__ import annotations

import pytest
from virtual_programs import BOARDS, boot, boot_case, output

from tinydeploy.errors import FirmwareFaultError

F7, L4 = BOARDS

# Clock set-ups, right and almost right. F7: PLL from HSI, 16 / 8 * 180 / 2 = 180 MHz or * 216 / 2 = 216 MHz.
F7_CLOCK = r"""
NOINLINE static void clock(uint32_t latency, uint32_t n, uint32_t apb1, int over_drive) {
    PWR_ENR |= PWREN;
    RCC_CR &= ~(1u << 24);
    REG(RCC_BASE + 4) = 8u | n << 6 | 9u << 24;
    RCC_CR |= 1u << 24;
    if (over_drive) {
        REG(0x40007000) |= 1u << 16;
        while (!(REG(0x40007004) & 1u << 16)) {}
        REG(0x40007000) |= 1u << 17;
        while (!(REG(0x40007004) & 1u << 17)) {}
    }
    FLASH_ACR = latency;
    REG(RCC_BASE + 8) = apb1 << 10 | 4u << 13;
    while (!(RCC_CR & 1u << 25)) {}
    REG(RCC_BASE + 8) |= 2u;
    while ((REG(RCC_BASE + 8) & 0xC) != 0x8) {}
}
"""
L4_CLOCK = r"""
NOINLINE static void clock(uint32_t latency, uint32_t n, int boost, int halve) {
    PWR_ENR |= PWREN;
    RCC_CR |= 1u << 8;
    while (!(RCC_CR & 1u << 10)) {}
    REG(RCC_BASE + 0xC) = 2u | 3u << 4 | n << 8 | 1u << 24;
    RCC_CR |= 1u << 24;
    while (!(RCC_CR & 1u << 25)) {}
    if (boost) REG(0x40007080) &= ~(1u << 8);
    FLASH_ACR = latency;
    if (halve) REG(RCC_BASE + 8) = 8u << 4;
    REG(RCC_BASE + 8) |= 3u;
    while ((REG(RCC_BASE + 8) & 0xC) != 0xC) {}
    for (volatile int i = 0; i < 100; i++) {}
    REG(RCC_BASE + 8) &= ~0xF0u;
}
"""


def fails(board: str, body: str, match: str, *flags: str, seconds: float = 0.05) -> None:
    with pytest.raises(FirmwareFaultError, match=match):
        boot(board, body, *flags).run(seconds)


F7_CLOCKS = (
    ("clock(5, 180, 5, 0);", 180_000_000, ""),
    ("clock(7, 216, 5, 1);", 216_000_000, ""),
    ("clock(4, 180, 5, 0);", 0, "180 MHz with 4 flash wait states; .* at least 5"),
    ("clock(7, 216, 5, 0);", 0, "216 MHz, above the 180 MHz of regulator scale 1 without over-drive"),
    ("clock(7, 216, 0, 1);", 0, "APB1 at 216 MHz, above its 54 MHz"),
    ("clock(7, 217, 5, 1);", 0, "VCO at 434 MHz"),
    ("clock(7, 40, 5, 1);", 0, "PLLN 40"),
)
L4_CLOCKS = (
    ("clock(3, 40, 0, 0);", 80_000_000, ""),
    ("clock(5, 60, 1, 1);", 120_000_000, ""),
    ("clock(2, 40, 0, 0);", 0, "80 MHz with 2 flash wait states; .* at least 3"),
    ("clock(4, 60, 1, 1);", 0, "120 MHz with 4 flash wait states; .* at least 5 in voltage range 1 boost mode"),
    ("clock(5, 60, 0, 1);", 0, "SYSCLK at 120 MHz, above the 80 MHz of voltage range 1 normal mode"),
    ("clock(5, 60, 1, 0);", 0, "run with HPRE at 2 for 1 us first"),
    ("clock(5, 90, 1, 1);", 0, "VCO at 360 MHz"),
)


@pytest.mark.parametrize(
    ("board", "index"),
    [(F7, index) for index in range(len(F7_CLOCKS))] + [(L4, index) for index in range(len(L4_CLOCKS))],
)
def test_clock_set_up_runs_or_names_the_rule_and_the_line(board: str, index: int) -> None:
    function, clocks = (F7_CLOCK, F7_CLOCKS) if board == F7 else (L4_CLOCK, L4_CLOCKS)
    running = boot_case(board, tuple(call for call, _, _ in clocks), index, before=function)
    _, hz, message = clocks[index]
    if message:
        with pytest.raises(FirmwareFaultError, match=rf"before\.c:\d+, clock .*{message}"):
            running.run(0.05)
    else:
        running.run(0.05)
        assert running.core_hz == hz


@pytest.mark.parametrize("board", BOARDS)
def test_fp_with_the_fpu_off_names_the_instruction(board: str) -> None:
    body = """
volatile float x = 2.0f;
NOINLINE float square(void) { return x * x; }
int main(void) {
    ENABLE
    return square() > 0.0f;
}
"""
    fails(board, body.replace("ENABLE", ""), r"body\.c:3, square .*while the FPU is off; enable it in CPACR")
    boot(board, body.replace("ENABLE", 'CPACR |= 0xFu << 20; __asm volatile("dsb\\n isb");')).run(0.01)


@pytest.mark.parametrize("board", BOARDS)
def test_unaligned_ldrd_and_ldm_fault(board: str) -> None:
    body = """
uint8_t bytes[16] __attribute__((aligned(8)));
NAKED uint32_t load(uint8_t *at) { __asm volatile("LOAD\\n bx lr"); }
int main(void) { load(bytes + 4); return (int)load(bytes + 2); }
"""
    for load in ("ldrd r2, r3, [r0]", "ldm r0, {r2, r3}"):
        fails(board, body.replace("LOAD", load), r"body\.c:3, load .*not a multiple of 4")


CORE_FAULTS = (
    ("*(volatile int *)&vectors = 2;", "writes 4 bytes at 0x0800[0-9a-f]+, which is flash"),
    ("(void)*(volatile int *)0x30000000;", "reads 4 bytes at 0x30000000, where nothing is mapped"),
    ("*(volatile char *)0x20100000 = 1;", "writes 1 bytes at 0x20100000, where nothing is mapped"),
    ("((void (*)(void))0x30000001)();", "jumps to 0x30000000, where no memory is"),
    ("((void (*)(void))0x40000001)();", "jumps to 0x40000000, from which nothing can be executed"),
    ('__asm volatile("udf #7");', "executes an undefined instruction"),
    ("((void (*)(void))((uint32_t)&case0 & ~1u))();", "bit 0 clear"),
    ('__asm volatile("bkpt #0");', "BKPT"),
    ("CCR |= 16; volatile int a = 3, b = 0; a = a / b;", "divides by zero"),
    (
        '__asm volatile("movs r0, #0\\n msr primask, r0\\n ldr r0, =0xfffffff9\\n bx r0");',
        "no exception is active|nothing can be",
    ),
    ('__asm volatile("cpsid i\\n svc #0");', "SVC where its priority does not allow it"),
    ('REG(0xE000ED10) = 4; __asm volatile("wfi");', "deep sleep"),
)
PERIPHERAL_FAULTS = (
    ("BRR = 1;", r"writes (US|LPU)ART1 while its clock is off; set RCC_APB\w+ bit \d first"),
    ("(void)REG(TX_GPIO);", "reads GPIO[AG] while its clock is off"),
    ("uart_on(UART_BRR_115200); TDR = 'x';", r"no pin carries \w+_TX"),
    (
        "GPIO_ENR |= 1u << TX_BIT; POWER; pin(TX_GPIO, TX_PIN, AF - 1); uart_on(100000); TDR = 'x';",
        "is in mode alternate function",
    ),
    ("pins_up(); uart_on(0); TDR = 'x';", "BRR"),
    ("pins_up(); uart_on(UART_BRR_115200); CR1 = 1; TDR = 'x';", "transmitter is off"),
    ("uart_up(); TDR = 1; TDR = 2; TDR = 3;", "ISR.TXE is clear"),
    ("uart_up(); BRR = 1000;", "hardware ignores"),
    ("uart_up(); CR3 = 1u << 7;", "transmit DMA"),
)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("index", range(len(CORE_FAULTS)), ids=[message for _, message in CORE_FAULTS])
def test_core_faults_name_cause_and_line(board: str, index: int) -> None:
    running = boot_case(board, tuple(statement for statement, _ in CORE_FAULTS), index)
    with pytest.raises(FirmwareFaultError, match=CORE_FAULTS[index][1]) as caught:
        running.run(0.05)
    assert (
        "jumps" in str(caught.value)
        or "Arm state" in str(caught.value)
        or f"body.c:{index + 1}, case{index} " in str(caught.value)
    )


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("index", range(len(PERIPHERAL_FAULTS)), ids=[message for _, message in PERIPHERAL_FAULTS])
def test_peripheral_mistakes_are_named(board: str, index: int) -> None:
    power = "(void)0" if board == F7 else "PWR_ENR |= PWREN; REG(0x40007004) |= 1u << 9"
    cases = tuple(statement.replace("POWER", power) for statement, _ in PERIPHERAL_FAULTS)
    running = boot_case(board, cases, index)
    with pytest.raises(FirmwareFaultError, match=PERIPHERAL_FAULTS[index][1]):
        running.run(0.05)


@pytest.mark.parametrize("board", BOARDS)
def test_division_by_zero_gives_zero_unless_trapped(board: str) -> None:
    body = "int main(void) { volatile int a = 3, b = 0; uart_up(); print_hex(1 + a / b); return 0; }"
    assert output(boot(board, body)) == "00000001 "


@pytest.mark.parametrize("board", BOARDS)
def test_a_stack_overflow_is_seen_when_it_happens(board: str) -> None:
    body = """
NOINLINE int recurse(int n) { volatile char room[100]; room[n % 100] = 1; return recurse(n + 1) + room[0]; }
int main(void) { return recurse(0); }
"""
    fails(board, body, r"recurse .*stack has overflowed: SP goes to 0x\w+, below __stack_limit 0x\w+")


def test_l4_port_g_needs_vddio2() -> None:
    body = "int main(void) { pins_up(); REG(0x40007004) = 0; uart_on(UART_BRR_115200); TDR = 'x'; return 0; }"
    fails(L4, body, r"PG7: VDDIO2 is off; set PWR_CR2\.IOSV")


@pytest.mark.parametrize("board", BOARDS)
def test_a_byte_for_an_unconnected_receiver_is_named(board: str) -> None:
    running = boot(board, "int main(void) { uart_up(); pin(RX_GPIO, RX_PIN, 0); return 0; }")
    running.run(0.01)
    running.uart_send(b"x")
    with pytest.raises(FirmwareFaultError, match=r"no pin carries \w+_RX"):
        running.run(0.01)


@pytest.mark.parametrize("board", BOARDS)
def test_unmodelled_registers_are_noted_and_keep_their_value(board: str) -> None:
    body = """
int main(void) {
    PWR_ENR |= 1 << 4;
    REG(0x40001028) = 1234;
    uart_up();
    print_hex(REG(0x40001028));
    return 0;
}
"""
    running = boot(board, body)
    assert output(running) == "000004d2 "
    assert running.notes == ["TIM6+0x028 is not modelled: it keeps what is written to it"]


@pytest.mark.parametrize("board", BOARDS)
def test_ram_is_not_zero_after_power_on(board: str) -> None:
    body = "extern uint32_t __bss_end[]; int main(void) { uart_up(); print_hex(__bss_end[8]); return 0; }"
    assert output(boot(board, body)) != "00000000 "
