"""Exceptions: priorities, nesting, masks, stacking, the FPU's registers, SysTick, sleep."""

from __future__ import annotations

import pytest
from virtual_programs import BOARDS, boot, output

from tinydeploy.errors import FirmwareFaultError

pytestmark = pytest.mark.parametrize("board", BOARDS)

LOG = """
static volatile char log_text[64];
static volatile int log_size;
NOINLINE static void note(char c) { log_text[log_size++] = c; }
NOINLINE static void show(void) { uart_up(); for (int i = 0; i < log_size; i++) put(log_text[i]); }
"""


def test_nesting_follows_priorities(board: str) -> None:
    body = (
        LOG
        + """
void Irq0_Handler(void) { note('a'); NVIC_STIR = 1; __asm volatile("dsb\\n isb"); note('A'); }
void Irq1_Handler(void) { note('b'); NVIC_STIR = 2; __asm volatile("dsb\\n isb"); note('B'); }
void Irq2_Handler(void) { note('c'); ICSR = 1u << 28; __asm volatile("dsb\\n isb"); note('C'); }
void PendSV_Handler(void) { note('p'); }
int main(void) {
    NVIC_IPR(0) = 0x80; NVIC_IPR(1) = 0x40; NVIC_IPR(2) = 0x40; SHPR(14) = 0xF0;
    NVIC_ISER(0) = 7;
    note('<');
    NVIC_STIR = 0;
    __asm volatile("dsb\\n isb");
    note('>');
    show();
    return 0;
}
"""
    )
    # 1 preempts 0; 2 has 1's priority and waits; PendSV, the least urgent, comes last.
    assert output(boot(board, body)) == "<abBcCAp>"


def test_priority_grouping_stops_preemption(board: str) -> None:
    body = (
        LOG
        + """
void Irq0_Handler(void) { note('a'); NVIC_STIR = 1; __asm volatile("dsb\\n isb"); note('A'); }
void Irq1_Handler(void) { note('b'); }
int main(void) {
    AIRCR = 0x05FA0000u | 5u << 8;
    NVIC_IPR(0) = 0x90; NVIC_IPR(1) = 0x80;
    NVIC_ISER(0) = 3;
    NVIC_STIR = 0;
    __asm volatile("dsb\\n isb");
    show();
    return 0;
}
"""
    )
    assert output(boot(board, body)) == "aAb"


def test_primask_and_basepri_hold_interrupts_back(board: str) -> None:
    body = (
        LOG
        + """
void Irq0_Handler(void) { note('0'); }
void Irq1_Handler(void) { note('1'); }
int main(void) {
    NVIC_IPR(0) = 0x80; NVIC_IPR(1) = 0x40;
    NVIC_ISER(0) = 3;
    __asm volatile("cpsid i");
    NVIC_STIR = 0; NVIC_STIR = 1;
    __asm volatile("dsb\\n isb");
    note('i');
    __asm volatile("msr basepri, %0\\n cpsie i\\n isb" : : "r"(0x80));
    note('b');
    __asm volatile("msr basepri, %0\\n isb" : : "r"(0));
    note('e');
    show();
    return 0;
}
"""
    )
    assert output(boot(board, body)) == "i1b0e"


def test_registers_and_flags_survive_an_interrupt(board: str) -> None:
    body = """
volatile uint32_t seen;
NAKED void SysTick_Handler(void) {
    __asm volatile("mrs r0, ipsr\\n ldr r1, =seen\\n str r0, [r1]\\n movs r0, #1\\n movs r1, #2\\n movs r2, #3\\n "
                   "movs r3, #4\\n mov r12, r3\\n cmp r0, #0\\n bx lr");
}
NAKED uint32_t spin(void) {
    __asm volatile("push {r4, lr}\\n movs r4, #0\\n ldr r1, =100000\\n movs r2, #7\\n movs r3, #9\\n mov r12, #11\\n"
                   "1: subs r1, #1\\n it eq\\n moveq r4, #1\\n adds r0, r2, r3\\n add r0, r12\\n cmp r0, #27\\n "
                   "bne 2f\\n"
                   "cmp r1, #0\\n bne 1b\\n mov r0, r4\\n pop {r4, pc}\\n 2: movs r0, #99\\n pop {r4, pc}");
}
int main(void) {
    SYST_RVR = 777; SYST_CVR = 0; SYST_CSR = 7;
    uint32_t result = spin();
    SYST_CSR = 0;
    uart_up();
    print_hex(result); print_hex(seen);
    return 0;
}
"""
    assert output(boot(board, body), 1.0) == "00000001 0000000f "


def test_fpu_registers_survive_a_handler_that_uses_the_fpu(board: str) -> None:
    body = """
volatile float sink = 3.0f;
volatile uint32_t control_in_handler, ticks, exc_return;
__attribute__((used)) void work(void) { ticks++; sink = sink * 1.0001f + 0.5f; }
NAKED void SysTick_Handler(void) {
    __asm volatile("mrs r0, control\\n ldr r1, =control_in_handler\\n str r0, [r1]\\n ldr r1, =exc_return\\n "
                   "str lr, [r1]\\n"
                   "push {r4, lr}\\n bl work\\n vmov.f32 s0, #2.0\\n vmov.f32 s1, #2.0\\n vmov.f32 s15, #2.0\\n"
                   "vcmp.f32 s0, s1\\n vmrs APSR_nzcv, fpscr\\n pop {r4, pc}");
}
NOINLINE static uint32_t churn(void) {
    float a = 1.0f, b = 0.0f, c = 5.0f;
    for (int i = 0; i < 20000; i++) {
        __asm volatile("" : "+t"(a), "+t"(b), "+t"(c));
        b += a; c -= 0.25f; c += 0.25f;
        if (c != 5.0f) return 1;
    }
    return b == 20000.0f ? 0 : 2;
}
int main(void) {
    CPACR |= 0xFu << 20;
    __asm volatile("dsb\\n isb");
    SYST_RVR = 500; SYST_CVR = 0; SYST_CSR = 7;
    uint32_t result = churn();
    uint32_t control;
    SYST_CSR = 0;
    __asm volatile("mrs %0, control" : "=r"(control));
    uart_up();
    print_hex(result); print_hex(control); print_hex(control_in_handler); print_hex(exc_return); print_hex(ticks > 10);
    return 0;
}
"""
    # CONTROL.FPCA is set in the thread and clear at the handler's start; EXC_RETURN says extended frame.
    assert output(boot(board, body), 1.0) == "00000000 00000004 00000000 ffffffe9 00000001 "


def test_process_stack_and_svc(board: str) -> None:
    body = """
uint32_t process_stack[64] __attribute__((aligned(8)));
volatile uint32_t exc_return, argument;
__attribute__((used)) void service(uint32_t *frame) { argument = ((uint8_t *)frame[6])[-2]; frame[0] = 0x1234; }
NAKED void SVC_Handler(void) {
    __asm volatile("ldr r1, =exc_return\\n "
                   "str lr, [r1]\\n tst lr, #4\\n ite eq\\n mrseq r0, msp\\n mrsne r0, psp\\n b service");
}
NAKED uint32_t call(void) { __asm volatile("svc #42\\n bx lr"); }
int main(void) {
    __asm volatile("msr psp, %0\\n movs r0, #2\\n msr control, r0\\n isb" : : "r"(process_stack + 64) : "r0");
    uint32_t result = call();
    __asm volatile("movs r0, #0\\n msr control, r0\\n isb" : : : "r0");
    uart_up();
    print_hex(result); print_hex(argument); print_hex(exc_return);
    return 0;
}
"""
    assert output(boot(board, body)) == "00001234 0000002a fffffffd "


def test_systick_keeps_time_through_sleep(board: str) -> None:
    body = """
volatile uint32_t ticks;
void SysTick_Handler(void) { ticks++; }
int main(void) {
    SYST_RVR = HZ / 1000 - 1; SYST_CVR = 0; SYST_CSR = 7;
    while (ticks < 250) __asm volatile("wfi");
    uart_up();
    put('.');
    return 0;
}
"""
    hz = {"stm32f746": 16_000_000, "nucleo_l4r5zi": 4_000_000}[board]
    running = boot(board, body, f"-DHZ={hz}")
    running.run(10.0, until_output=True)
    assert running.uart_receive() == b"."
    assert running.time_s == pytest.approx(0.250, abs=0.001)
    assert running.instructions < 20_000  # the time between ticks was slept through
    running.run(1.0)
    assert not running.idle  # SysTick still ticks


def test_wfi_wakes_with_primask_set_and_wfe_by_sev(board: str) -> None:
    body = """
volatile uint32_t ticks;
void SysTick_Handler(void) { ticks++; }
int main(void) {
    uart_up();
    __asm volatile("cpsid i");
    SYST_RVR = 9999; SYST_CVR = 0; SYST_CSR = 7;
    __asm volatile("wfi");
    print_hex(ticks);
    SYST_CSR = 0;
    __asm volatile("cpsie i\\n isb");
    print_hex(ticks);
    __asm volatile("sev\\n wfe");
    put('!');
    return 0;
}
"""
    assert output(boot(board, body), 0.5) == "00000000 00000001 !"


def test_cycle_counter_counts_what_runs_and_not_sleep(board: str) -> None:
    body = """
void SysTick_Handler(void) { SYST_CSR = 0; }
NAKED uint32_t sixteen(void) {
    __asm volatile("ldr r1, =0xE0001004\\n nop\\n ldr r0, [r1]\\n" NOPS "ldr r2, [r1]\\n subs r0, r2, r0\\n bx lr");
}
int main(void) {
    DEMCR |= 1u << 24;
    DWT_CTRL |= 1;
    uint32_t locked = DWT_CYCCNT;
    DWT_LAR = 0xC5ACCE55u;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1;
    uint32_t first = sixteen();
    SYST_RVR = 100000; SYST_CVR = 0; SYST_CSR = 7;
    uint32_t before = DWT_CYCCNT;
    __asm volatile("wfi");
    uint32_t slept = DWT_CYCCNT - before;
    uart_up();
    print_hex(locked == DWT_CYCCNT); print_hex(first); print_hex(slept < 200);
    return 0;
}
"""
    body = body.replace("NOPS", '"' + "nop\\n" * 16 + '"')
    text = output(boot(board, body), 0.2)
    elapsed = {"nucleo_l4r5zi": 18, "stm32f746": 9}[board]  # sixteen NOPs and a load: one a cycle, or two
    assert text.split()[0] == "00000000"
    assert abs(int(text.split()[1], 16) - elapsed) <= 1
    assert text.split()[2] == "00000001"


def test_system_reset_request_starts_over(board: str) -> None:
    body = """
extern uint32_t __bss_end[];
int main(void) {
    volatile uint32_t *boots = __bss_end + 4;
    if (*boots > 3) *boots = 0;
    ++*boots;
    uart_up();
    put((char)('0' + *boots));
    while (!(ISR & 1u << 6)) {}
    if (*boots < 3) { AIRCR = 0x05FA0004u; for (;;) {} }
    return 0;
}
"""
    assert output(boot(board, body)) == "123"


def test_missing_vector_is_named(board: str) -> None:
    body = "int main(void) { NVIC_ISER(0) = 8; NVIC_STIR = 3; for (;;) {} }"
    with pytest.raises(FirmwareFaultError, match="vector of exception 19 is 0x00000000"):
        boot(board, body).run(0.01)


FAULT_REPORT = """
volatile uint32_t *frame_at;
__attribute__((used)) void report(uint32_t *frame, uint32_t number) {
    frame_at = frame;
    uart_up();
    print_hex(number); print_hex(CFSR); print_hex(HFSR); print_hex(CFSR & 1u << 15 ? BFAR : 0);
    print_hex(frame[0]); print_hex(*(uint16_t *)frame[6]);
    idle_forever();
}
#define FAULT(name) NAKED void name(void) { __asm volatile("mov r0, sp\\n mrs r1, ipsr\\n bl report"); }
FAULT(HardFault_Handler) FAULT(BusFault_Handler) FAULT(UsageFault_Handler) FAULT(MemManage_Handler)
NAKED void trigger(void) {
    __asm volatile("movs r0, #5\\n movs r1, #0\\n ldr r2, =0x30000000\\n nop\\n adds r0, #2\\n "
                   "INSTRUCTION\\n adds r0, #1\\n bx lr");
}
int main(void) { SETUP; trigger(); return 0; }
"""


@pytest.mark.parametrize(
    ("instruction", "setup", "expected"),
    [
        ("ldr r3, [r2, #4]", "", "00000003 00008200 40000000 30000004 00000007 00006853 "),
        ("ldr r3, [r2, #4]", "SHCSR = 7u << 16", "00000005 00008200 00000000 30000004 00000007 00006853 "),
        ("udf #1", "SHCSR = 7u << 16", "00000006 00010000 00000000 00000000 00000007 0000de01 "),
        ("ldmia.w r0, {r1, r3}", "SHCSR = 7u << 16", "00000006 01000000 00000000 00000000 00000007 0000e890 "),
        ("udiv r3, r0, r1", "CCR |= 16", "00000003 02000000 40000000 00000000 00000007 0000fbb0 "),
        ("vmov.f32 s0, #1.0", "SHCSR = 7u << 16", "00000006 00080000 00000000 00000000 00000007 0000eeb7 "),
        ("bkpt #3", "", "00000003 00000000 80000000 00000000 00000007 0000be03 "),
    ],
)
def test_faults_reach_the_firmware_handlers(board: str, instruction: str, setup: str, expected: str) -> None:
    body = FAULT_REPORT.replace("INSTRUCTION", instruction).replace("SETUP", setup)
    # Exception, CFSR, HFSR, BFAR; then r0 of the frame, and the instruction that its PC points at.
    assert output(boot(board, body, on_fault="vector")) == expected


def test_fault_in_the_fault_handler_locks_up(board: str) -> None:
    body = """
void HardFault_Handler(void) { *(volatile int *)0x30000000 = 1; }
int main(void) { *(volatile int *)0x30000000 = 1; return 0; }
"""
    with pytest.raises(FirmwareFaultError, match=r"body\.c:2, HardFault_Handler .*inside HardFault: the core locks up"):
        boot(board, body, on_fault="vector").run(0.01)
