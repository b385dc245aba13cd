/* Faults: reported over the UART in words, with the registers; then the core stops. */
#ifndef FAULT_H
#define FAULT_H

/* Turns on the separate MemManage, BusFault and UsageFault handlers and the trap on division by
 * zero, where the core has them. */
void fault_init(void);

/* The handler of every exception and interrupt that has no other. */
void fault_handler(void);

/* Where start-up goes if main returns. */
__attribute__((noreturn)) void fault_main_returned(void);

#endif
