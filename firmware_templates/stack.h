/* The painted stack: how deep it has been. Start-up paints it once. */
#ifndef STACK_H
#define STACK_H

#include <stdint.h>

/* Bytes of stack in use at the deepest point since it was painted, interrupts included. Words that
 * happen to hold the paint value may hide up to a few bytes. */
uint32_t stack_high_water_bytes(void);

/* Paints everything below the caller's stack pointer again, so that the next reading tells the
 * depth of what ran since. */
void stack_repaint(void);

#endif
