/* The painted stack. It grows down from __stack_top to __stack_limit (link.ld). */
#include "stack.h"

#define STACK_PAINT 0x7D5AC3E1u

extern uint32_t __stack_limit[];
extern uint32_t __stack_top[];

__attribute__((noinline)) uint32_t stack_high_water_bytes(void) {
    const volatile uint32_t *word = __stack_limit;
    while (word < __stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

/* An interrupt may come in between: its frame lies below the stack pointer, but it has returned
 * by the time the loop goes on. */
__attribute__((noinline)) void stack_repaint(void) {
    uint32_t *stack_pointer;
    __asm volatile("mov %0, sp" : "=r"(stack_pointer));
    for (volatile uint32_t *word = __stack_limit; word < stack_pointer; word++) {
        *word = STACK_PAINT;
    }
}
