/* Vector table and start-up: from reset to main on a core that is not yet set up.
 *
 * Order: FPU, caches, .data and .bss, stack paint, faults, clock tree, main. The FPU comes first
 * and in assembly, because a compiler may use its registers in any C function.
 */
#include "board.h"
#include "cache.h"
#include "clock.h"
#include "cycles.h"
#include "fault.h"
#include "mmio.h"
#include "stack.h"
#include "uart.h"

#define SCB_VTOR 0xE000ED08u

/* The bounds of the sections, from link.ld; all are multiples of 4. */
extern uint32_t __stack_top[];
extern uint32_t __data_start[], __data_end[];
extern const uint32_t __data_load[];
extern uint32_t __bss_start[], __bss_end[];
extern uint32_t __model_bss_start[], __model_bss_end[];
extern uint32_t __weights_start[], __weights_end[]; /* empty where they stay in flash */
extern const uint32_t __weights_load[];

volatile bool board_event;

int main(void);
void Reset_Handler(void);
__attribute__((noreturn, used)) void start(void);

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector_t;

/* Every vector that is not in use reports itself as a fault. */
__attribute__((section(".vectors"), used)) const vector_t vectors[16 + BOARD_IRQ_COUNT] = {
    [0] = {.stack = __stack_top},
    [1] = {.handler = Reset_Handler},
    [2 ... 14] = {.handler = fault_handler},
#if BOARD_COUNTS_WITH_SYSTICK
    [15] = {.handler = cycles_systick_handler},
#else
    [15] = {.handler = fault_handler},
#endif
    BOARD_INTERRUPT_VECTORS(fault_handler, uart_irq_handler)};

/* Also works when a debugger or a boot loader jumps here: it takes nothing from before. */
__attribute__((naked, noreturn)) void Reset_Handler(void) {
    __asm volatile("cpsid i\n"
                   "ldr r0, =__stack_top\n"
                   "mov sp, r0\n"
#if BOARD_HAS_STACK_LIMIT
                   "ldr r0, =__stack_limit\n"
                   "msr msplim, r0\n"
#endif
#if BOARD_HAS_FPU
                   "ldr r0, =0xE000ED88\n" /* CPACR: full access to CP10 and CP11 */
                   "ldr r1, [r0]\n"
                   "orr r1, r1, #0x00F00000\n"
                   "str r1, [r0]\n"
                   "dsb\n"
                   "isb\n"
#endif
                   "b start\n");
}

static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from) {
    while (to < end) {
        *to++ = *from++;
    }
}

static void clear(uint32_t *to, const uint32_t *end) {
    while (to < end) {
        *to++ = 0;
    }
}

void start(void) {
    MMIO32(SCB_VTOR) = (uint32_t)(uintptr_t)vectors;
    cpu_dsb();
    cache_enable();

    copy(__data_start, __data_end, __data_load);
    copy(__weights_start, __weights_end, __weights_load);
    clear(__bss_start, __bss_end);
    clear(__model_bss_start, __model_bss_end);
    stack_repaint();
    fault_init();
    clock_init();
    __asm volatile("cpsie i" ::: "memory");
    main();
    fault_main_returned();
}
