/* stack.h on the host: a fixed use of 96 bytes by whatever ran between repainting and reading. */
#ifndef STACK_H
#define STACK_H
#include <stdint.h>
void stack_repaint(void);
uint32_t stack_high_water_bytes(void);
#endif
