/* memcpy, memmove, memset, memcmp and strlen, and the names of the Arm run-time ABI for them: what
 * a compiler may call by itself, so that either links the same and neither needs a C library.
 *
 * The empty assembly in each loop keeps the compiler from seeing a memcpy or memset in it and
 * calling itself.
 */
#include <stddef.h>
#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word_t;
typedef uint32_t __attribute__((may_alias, aligned(1))) any_word_t;

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#define KEEP_LOOP() __asm volatile("")

/* Upwards, each byte read before it or one above it is written: right also when `to` lies below
 * an overlapping `from`. */
static inline void copy_up(uint8_t *out, const uint8_t *in, size_t size) {
    if ((((uintptr_t)out ^ (uintptr_t)in) & 3u) == 0) {
        for (; ((uintptr_t)out & 3u) != 0 && size != 0; size--) {
            *out++ = *in++;
            KEEP_LOOP();
        }
        for (; size >= 16; size -= 16, out += 16, in += 16) {
            const word_t *source = (const word_t *)(const void *)in;
            word_t *target = (word_t *)(void *)out;
            const uint32_t a = source[0], b = source[1], c = source[2], d = source[3];
            target[0] = a;
            target[1] = b;
            target[2] = c;
            target[3] = d;
            KEEP_LOOP();
        }
        for (; size >= 4; size -= 4, out += 4, in += 4) {
            *(word_t *)(void *)out = *(const word_t *)(const void *)in;
            KEEP_LOOP();
        }
    }
#if defined(__ARM_FEATURE_UNALIGNED)
    for (; size >= 4; size -= 4, out += 4, in += 4) {
        *(any_word_t *)(void *)out = *(const any_word_t *)(const void *)in;
        KEEP_LOOP();
    }
#endif
    for (; size != 0; size--) {
        *out++ = *in++;
        KEEP_LOOP();
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    copy_up(to, from, size);
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    if ((uintptr_t)to - (uintptr_t)from >= size) {
        copy_up(to, from, size);
        return to;
    }
    uint8_t *out = to;
    const uint8_t *in = from;
    while (size != 0) {
        size--;
        out[size] = in[size];
        KEEP_LOOP();
    }
    return to;
}

void *memset(void *to, int value, size_t size) {
    uint8_t *out = to;
    const uint32_t word = (uint8_t)value * 0x01010101u;
    for (; ((uintptr_t)out & 3u) != 0 && size != 0; size--) {
        *out++ = (uint8_t)value;
        KEEP_LOOP();
    }
    for (; size >= 16; size -= 16, out += 16) {
        word_t *target = (word_t *)(void *)out;
        target[0] = word;
        target[1] = word;
        target[2] = word;
        target[3] = word;
        KEEP_LOOP();
    }
    for (; size != 0; size--) {
        *out++ = (uint8_t)value;
        KEEP_LOOP();
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const uint8_t *left = a;
    const uint8_t *right = b;
    for (; size != 0; size--, left++, right++) {
        if (*left != *right) {
            return *left - *right;
        }
        KEEP_LOOP();
    }
    return 0;
}

size_t strlen(const char *text) {
    size_t size = 0;
    while (text[size] != 0) {
        size++;
        KEEP_LOOP();
    }
    return size;
}

/* Run-time ABI for the Arm architecture, 4.3.4: no result, memset's last arguments swapped; the
 * suffixes 4 and 8 promise an alignment that the functions above look for themselves. */
#define ABI_COPY(name, function)                                                                   \
    void name(void *to, const void *from, size_t size);                                            \
    void name(void *to, const void *from, size_t size) {                                           \
        function(to, from, size);                                                                  \
    }
#define ABI_SET(name)                                                                              \
    void name(void *to, size_t size, int value);                                                   \
    void name(void *to, size_t size, int value) {                                                  \
        memset(to, value, size);                                                                   \
    }
#define ABI_CLEAR(name)                                                                            \
    void name(void *to, size_t size);                                                              \
    void name(void *to, size_t size) {                                                             \
        memset(to, 0, size);                                                                       \
    }

ABI_COPY(__aeabi_memcpy, memcpy)
ABI_COPY(__aeabi_memcpy4, memcpy)
ABI_COPY(__aeabi_memcpy8, memcpy)
ABI_COPY(__aeabi_memmove, memmove)
ABI_COPY(__aeabi_memmove4, memmove)
ABI_COPY(__aeabi_memmove8, memmove)
ABI_SET(__aeabi_memset)
ABI_SET(__aeabi_memset4)
ABI_SET(__aeabi_memset8)
ABI_CLEAR(__aeabi_memclr)
ABI_CLEAR(__aeabi_memclr4)
ABI_CLEAR(__aeabi_memclr8)
