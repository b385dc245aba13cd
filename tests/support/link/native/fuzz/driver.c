/* A coverage-guided fuzzer: driver EXECUTIONS SEED CORPUS_OUT SEED_FILE...
 *
 * Mutates inputs that are known to reach something new, with bytes and with whole frames, whose
 * checksums no flipped bit would get right. The compiler calls __sanitizer_cov_trace_pc at every
 * block of the code under test (gcc and clang: -fsanitize-coverage=trace-pc). The same arguments
 * give the same run. At its end the corpus lies in CORPUS_OUT, each input behind its size as a
 * uint32_t; what was reached is printed. A finding aborts, with the input in hexadecimal.
 */
#include <sanitizer/common_interface_defs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

enum { MOST_BYTES = 4096, MOST_INPUTS = 8192, EDGES = 1 << 16 };

typedef struct {
    uint8_t *data;
    size_t size;
} input_t;

static input_t corpus[MOST_INPUTS];
static size_t corpus_size;
static uint8_t hits[EDGES];
static uint8_t known[EDGES];
static uintptr_t last_block;
static uint8_t current[MOST_BYTES];
static size_t current_size;

void __sanitizer_cov_trace_pc(void) {
    const uintptr_t block = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&fuzz_frame;
    uint8_t *hit = &hits[(block ^ last_block) % EDGES];
    *hit += *hit < 255;
    last_block = block >> 1;
}

static void tell_input(void) {
    fprintf(stderr, "input: ");
    for (size_t i = 0; i < current_size; i++) {
        fprintf(stderr, "%02x", current[i]);
    }
    fprintf(stderr, "\n");
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators". */
static uint64_t chance = 1;

static uint32_t random_below(uint32_t limit) {
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (uint32_t)((chance * 0x2545F4914F6CDD1Du) >> 32) % limit;
}

/* Hit counts in powers of two: once, twice, up to four times, ... */
static uint8_t bucket(uint8_t count) {
    uint8_t bit = 0;
    for (uint8_t rest = count; rest > 1; rest >>= 1) {
        bit++;
    }
    return (uint8_t)(1u << bit);
}

/* Runs the current input; true when it reached something new. */
static bool run(void) {
    memset(hits, 0, sizeof hits);
    last_block = 0;
    LLVMFuzzerTestOneInput(current, current_size);
    bool found = false;
    for (size_t i = 0; i < EDGES; i++) {
        if (hits[i] != 0 && (known[i] & bucket(hits[i])) == 0) {
            known[i] |= bucket(hits[i]);
            found = true;
        }
    }
    return found;
}

static void keep(void) {
    if (corpus_size < MOST_INPUTS) {
        uint8_t *data = malloc(current_size + 1);
        memcpy(data, current, current_size);
        corpus[corpus_size++] = (input_t){data, current_size};
    }
}

/* Replaces `cut` bytes at `at` by `data`. */
static void splice(size_t at, size_t cut, const uint8_t *data, size_t size) {
    if (current_size - cut + size > MOST_BYTES) {
        return;
    }
    memmove(current + at + size, current + at + cut, current_size - at - cut);
    memcpy(current + at, data, size);
    current_size += size - cut;
}

static size_t length_from(size_t at) {
    const size_t rest = current_size - at;
    const size_t most = random_below(8) == 0 ? 1024 : 8;
    return random_below((uint32_t)(rest < most ? rest : most) + 1);
}

/* A request as a host might send it, with plausible numbers. */
static void insert_frame(size_t at) {
    static const uint32_t numbers[] = {0,    1,    2,    4,      16,     17,
                                       1024, 3000, 6000, 115200, 921600, UINT32_MAX};
    uint8_t payload[1024];
    const size_t size = random_below(4) == 0 ? random_below(sizeof payload + 1) : random_below(16);
    for (size_t i = 0; i < size; i++) {
        payload[i] = (uint8_t)random_below(256);
    }
    for (size_t i = random_below(4); i + 4 <= size && i < 12; i += 4) {
        memcpy(payload + i, &numbers[random_below(sizeof numbers / sizeof numbers[0])], 4);
    }
    const uint8_t type = (uint8_t)(random_below(16) == 0 ? random_below(256) : 1 + random_below(8));
    const uint8_t *frame;
    const size_t frame_size =
        fuzz_frame(type, (uint16_t)random_below(3), payload, (uint16_t)size, &frame);
    splice(at, 0, frame, frame_size);
}

static void mutate(void) {
    const size_t at = random_below((uint32_t)current_size + 1);
    const uint8_t byte = (uint8_t)random_below(256);
    const input_t other = corpus[random_below((uint32_t)corpus_size)];
    switch (random_below(8)) {
    case 0:
        if (at < current_size) {
            current[at] ^= (uint8_t)(1u << random_below(8));
        }
        break;
    case 1:
        if (at < current_size) {
            current[at] = byte;
        }
        break;
    case 2:
        splice(at, 0, &byte, 1);
        break;
    case 3:
        splice(at, length_from(at), &byte, 0);
        break;
    case 4: {
        uint8_t again[1024];
        const size_t size = length_from(at);
        memcpy(again, current + at, size);
        splice(at, 0, again, size);
        break;
    }
    case 5:
        splice(at, 0, other.data, other.size);
        break;
    case 6:
        splice(at, 0, (const uint8_t[]){0}, 1);
        break;
    default:
        insert_frame(at);
        break;
    }
}

static void read_seed(const char *path) {
    FILE *file = fopen(path, "rb");
    current_size = fread(current, 1, sizeof current, file);
    fclose(file);
    if (run()) {
        keep();
    }
}

static void write_corpus(const char *path) {
    FILE *file = fopen(path, "wb");
    for (size_t i = 0; i < corpus_size; i++) {
        const uint32_t size = (uint32_t)corpus[i].size;
        fwrite(&size, sizeof size, 1, file);
        fwrite(corpus[i].data, 1, size, file);
    }
    fclose(file);
}

static void tell(const char *what, const bool reached[256]) {
    printf("%s", what);
    for (int i = 0; i < 256; i++) {
        if (reached[i]) {
            printf(" %02x", i);
        }
    }
    printf("\n");
}

int main(int count, char **words) {
    const unsigned long executions = strtoul(words[1], NULL, 10);
    __sanitizer_set_death_callback(tell_input);
    chance += strtoul(words[2], NULL, 10) << 8;
    keep(); /* the empty input */
    for (int i = 4; i < count; i++) {
        read_seed(words[i]);
    }
    for (unsigned long done = 0; done < executions; done++) {
        const input_t from = corpus[random_below((uint32_t)corpus_size)];
        memcpy(current, from.data, from.size);
        current_size = from.size;
        for (uint32_t turns = 1 + random_below(4); turns > 0; turns--) {
            mutate();
        }
        if (run()) {
            keep();
        }
    }
    write_corpus(words[3]);
    size_t edges = 0;
    for (size_t i = 0; i < EDGES; i++) {
        edges += known[i] != 0;
    }
    printf("executions %lu\nedges %zu\ncorpus %zu\n", executions, edges, corpus_size);
    tell("answered", fuzz_answered);
    tell("refused", fuzz_refused);
    return 0;
}
