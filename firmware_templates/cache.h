/* The L1 caches of the Cortex-M7. */
#ifndef CACHE_H
#define CACHE_H

/* Invalidates and turns on both caches; call once after reset, with both off. On cores without
 * caches it does nothing. */
void cache_enable(void);

#endif
