/* Faults: reported over the UART in words, with the registers; then the core stops.
 *
 * The handler runs on a stack of its own, since a full stack is one of the causes, and sends in
 * polled mode with interrupts masked. The report begins with a zero byte, which ends any frame
 * that was under way, so that the host takes it as text. Bits: Armv7-M Architecture Reference
 * Manual, B3.2.15 CFSR and B3.2.16 HFSR.
 */
#include "fault.h"

#include <stddef.h>
#include <stdint.h>

#include "board.h"
#include "mmio.h"
#include "uart.h"

#define SCB_CCR 0xE000ED14u
#define SCB_CCR_DIV_0_TRP (1u << 4)
#define SCB_SHCSR 0xE000ED24u
#define SCB_SHCSR_FAULTS_ENABLE (7u << 16)
#define SCB_CFSR 0xE000ED28u
#define SCB_HFSR 0xE000ED2Cu
#define SCB_MMFAR 0xE000ED34u
#define SCB_BFAR 0xE000ED38u

#define CFSR_MSTKERR (1u << 4)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_STKERR (1u << 12)
#define CFSR_BFARVALID (1u << 15)

#define FAULT_STACK_WORDS 96u

extern uint32_t __stack_limit[];
extern uint32_t __stack_top[];

/* Not static: the assembly below names it. */
__attribute__((aligned(8), used)) uint32_t fault_stack[FAULT_STACK_WORDS];

__attribute__((noreturn, used)) void fault_report(uint32_t exc_return, const uint32_t *msp,
                                                  const uint32_t *psp);

void fault_init(void) {
#if BOARD_HAS_FAULT_STATUS
    mmio_set(SCB_SHCSR, SCB_SHCSR_FAULTS_ENABLE);
    mmio_set(SCB_CCR, SCB_CCR_DIV_0_TRP);
    cpu_dsb();
    cpu_isb();
#endif
}

__attribute__((naked)) void fault_handler(void) {
    __asm volatile("cpsid i\n"
                   "mov r0, lr\n"
                   "mrs r1, msp\n"
                   "mrs r2, psp\n"
                   "ldr r3, =fault_stack + %c0\n"
                   "mov sp, r3\n"
                   "b fault_report\n" ::"i"(FAULT_STACK_WORDS * 4u));
}

static void put(const char *text) {
    size_t size = 0;
    while (text[size] != 0) {
        size++;
    }
    uart_write_polled((const uint8_t *)text, size);
}

static void put_hex(const char *name, uint32_t value) {
    char digits[11] = "0x";
    for (uint32_t i = 0; i < 8; i++) {
        digits[2 + i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    }
    put(name);
    put(digits);
}

static void put_decimal(uint32_t value) {
    char digits[11];
    char *first = &digits[10];
    *first = 0;
    do {
        *--first = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    put(first);
}

#if BOARD_HAS_FAULT_STATUS
typedef struct {
    uint32_t bit;
    const char *words;
} cause_t;

static void put_causes(uint32_t cfsr, uint32_t hfsr) {
    static const cause_t causes[] = {
        {1u << 0, "instruction fetch from a forbidden address (IACCVIOL)"},
        {1u << 1, "data access to a forbidden address (DACCVIOL)"},
        {1u << 3, "memory protection while leaving an exception (MUNSTKERR)"},
        {CFSR_MSTKERR, "memory protection while entering an exception: stack overflow? (MSTKERR)"},
        {1u << 5, "memory protection while saving the FPU state (MLSPERR)"},
        {1u << 8, "instruction fetch from an address where nothing answers (IBUSERR)"},
        {1u << 9, "data access to an address where nothing answers (PRECISERR)"},
        {1u << 10, "write to an address where nothing answers, some time ago (IMPRECISERR)"},
        {1u << 11, "bus error while leaving an exception (UNSTKERR)"},
        {CFSR_STKERR, "bus error while entering an exception: stack overflow (STKERR)"},
        {1u << 13, "bus error while saving the FPU state (LSPERR)"},
        {1u << 16, "undefined instruction (UNDEFINSTR)"},
        {1u << 17, "jump to an address without the Thumb bit, or bad EPSR (INVSTATE)"},
        {1u << 18, "bad exception return (INVPC)"},
        {1u << 19, "floating point or coprocessor instruction with the unit off (NOCP)"},
        {1u << 20, "stack overflow (STKOF)"},
        {1u << 24, "unaligned access (UNALIGNED)"},
        {1u << 25, "division by zero (DIVBYZERO)"},
    };
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if ((cfsr & causes[i].bit) != 0) {
            put("\r\n  ");
            put(causes[i].words);
        }
    }
    if ((hfsr & (1u << 1)) != 0) {
        put("\r\n  bus error on reading the vector table (VECTTBL)");
    }
}
#endif

static void put_exception(uint32_t number) {
    static const char *const names[] = {
        "main returned", "reset", "NMI", "HardFault", "MemManage fault", "BusFault", "UsageFault",
    };
    if (number < sizeof names / sizeof names[0]) {
        put(names[number]);
    } else if (number < 16) {
        put("unexpected exception ");
        put_decimal(number);
    } else {
        put("unexpected interrupt ");
        put_decimal(number - 16);
    }
}

static void begin_report(void) {
    uart_write_polled((const uint8_t *)"", 1); /* the zero that ends a frame */
    put("\r\ntinydeploy fault: ");
}

__attribute__((noreturn)) static void stop(void) {
    put("\r\n  stopped; reset the board to start again\r\n");
    for (;;) {
        __asm volatile("wfi");
    }
}

static void put_registers(const uint32_t *frame) {
    static const char *const names[8] = {"\r\n  r0 ",  "  r1 ", "  r2 ", "  r3 ",
                                         "\r\n  r12 ", "  lr ", "  pc ", "  xpsr "};
    for (size_t i = 0; i < 8; i++) {
        put_hex(names[i], frame[i]);
    }
}

void fault_report(uint32_t exc_return, const uint32_t *msp, const uint32_t *psp) {
    const uint32_t *frame = (exc_return & 4u) != 0 ? psp : msp;
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    begin_report();
    put_exception(number);
#if BOARD_HAS_FAULT_STATUS
    const uint32_t cfsr = MMIO32(SCB_CFSR);
    const uint32_t hfsr = MMIO32(SCB_HFSR);
    put_causes(cfsr, hfsr);
    const bool frame_lost = (cfsr & (CFSR_MSTKERR | CFSR_STKERR)) != 0;
#else
    const bool frame_lost = false;
#endif
    /* Eight words of the stack, or the registers were never saved. */
    if (frame_lost || frame < __stack_limit || frame + 8 > __stack_top) {
        put("\r\n  the registers were not saved: the stack is full or broken");
        put_hex("\r\n  sp ", (uint32_t)(uintptr_t)frame);
        put_hex("  stack ", (uint32_t)(uintptr_t)__stack_limit);
        put_hex(" to ", (uint32_t)(uintptr_t)__stack_top);
    } else {
        put_registers(frame);
        put_hex("\r\n  sp ", (uint32_t)(uintptr_t)frame);
    }
#if BOARD_HAS_FAULT_STATUS
    put_hex("\r\n  CFSR ", cfsr);
    put_hex("  HFSR ", hfsr);
    if ((cfsr & CFSR_MMARVALID) != 0) {
        put_hex("  MMFAR ", MMIO32(SCB_MMFAR));
    }
    if ((cfsr & CFSR_BFARVALID) != 0) {
        put_hex("  BFAR ", MMIO32(SCB_BFAR));
    }
#endif
    stop();
}

void fault_main_returned(void) {
    __asm volatile("cpsid i" ::: "memory");
    begin_report();
    put("main returned");
    stop();
}
