/* cycles.h on the host: a counter that adds HOST_CYCLES at each reading, so that tests know what to
 * expect. */
#ifndef CYCLES_H
#define CYCLES_H
#include <stdint.h>
#ifndef HOST_CYCLES
#define HOST_CYCLES 1000u
#endif
void cycles_init(void);
uint32_t cycles_now(void);
#endif
