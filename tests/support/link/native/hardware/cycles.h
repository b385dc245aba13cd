/* cycles.h on the host: a counter that adds 1,000 at each reading, so that tests know what to expect. */
#ifndef CYCLES_H
#define CYCLES_H
#include <stdint.h>
void cycles_init(void);
uint32_t cycles_now(void);
#endif
