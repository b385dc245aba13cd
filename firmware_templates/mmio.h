/* Access to memory-mapped registers by address, and the core's barriers. */
#ifndef MMIO_H
#define MMIO_H

#include <stdint.h>

#define MMIO32(address) (*(volatile uint32_t *)(uintptr_t)(address))

static inline void mmio_set(uint32_t address, uint32_t bits) {
    MMIO32(address) |= bits;
}

static inline void mmio_clear(uint32_t address, uint32_t bits) {
    MMIO32(address) &= ~bits;
}

static inline void mmio_field(uint32_t address, uint32_t mask, uint32_t value) {
    MMIO32(address) = (MMIO32(address) & ~mask) | value;
}

/* Returns when the masked bits equal `value`. */
static inline void mmio_wait(uint32_t address, uint32_t mask, uint32_t value) {
    while ((MMIO32(address) & mask) != value) {
    }
}

static inline void cpu_dsb(void) {
    __asm volatile("dsb" ::: "memory");
}

static inline void cpu_isb(void) {
    __asm volatile("isb" ::: "memory");
}

#endif
