/* What happens before every block and at every access to cached memory of the virtual board, in C.
 *
 * Unicorn calls td_block before each block that it runs, and td_access at each load and store where
 * a memory model is attached. A block costs what its edge, the pair of it and the block before,
 * says; an edge that is not known, has another size now or something to do each time is left to
 * `slow`. Cycles are counted in 1/256. Caches are looked up by line; `sector` bytes are loaded at a
 * miss, the rest of the line stays invalid.
 *
 * The structures are mirrored in tinydeploy/virtual/native.py.
 */
#include <stdint.h>

#define MEMORY_WRITE 17 /* of Unicorn's uc_mem_type */

#define MOST_BASES 8

/* Registers that must hold multiples of 4. */
typedef struct {
    uint32_t count;
    int32_t numbers[MOST_BASES];
} bases;

typedef struct {
    uint64_t key; /* node, from 1 on, << 32 | address of the block; 0: free */
    uint64_t cycles_256;
    uint64_t runs;
    uint32_t next; /* the block's own node */
    uint32_t size_bytes;
    uint32_t instructions;
    uint32_t each_time; /* `slow` is asked every time, */
    bases *aligned;     /* or only where not all of these are aligned; NULL: every time */
} edge;

typedef struct {
    uint32_t *tags;  /* sets * ways: line number + 1; 0: empty */
    uint32_t *valid; /* a bit per sector of the line */
    uint32_t *age;
    uint32_t sets;
    uint32_t ways;
    uint32_t line_shift;
    uint32_t sector_shift;
    uint32_t clock;
    uint32_t last_line;
    uint64_t hits;
    uint64_t misses;
    uint64_t sequential; /* misses of the line after the one before */
    uint32_t miss_256;   /* what a fetch that misses costs, in 1/256 cycle */
    uint32_t sequential_256;
} cache;

typedef struct {
    uint32_t low;
    uint32_t high;
    cache *data;
    uint64_t loads;
    uint64_t misses;     /* of loads: what a store misses, its buffer waits for */
    uint32_t miss_256;   /* what a load that misses costs, in 1/256 cycle */
    uint32_t access_256; /* what every load costs */
} region;

typedef int (*reg_function)(void *, int, void *);

typedef struct {
    edge *edges;
    uint64_t mask;
    uint64_t instructions;
    uint64_t cycles_256;
    int64_t deadline_256;
    uint32_t node;
    uint32_t unused;
    void (*slow)(uint32_t address, uint32_t size_bytes); /* leaves the edge in `answer`, or halts */
    edge answer;
    int (*stop)(void *uc);
    cache *fetch; /* NULL: instructions come without waiting */
    uint32_t fetch_low;
    uint32_t fetch_high;
    region *regions;
    uint64_t region_count;
    reg_function read_register;
    reg_function write_register;
    int32_t xpsr;
    uint32_t unused2;
} counter;

static int look_up(cache *c, uint32_t address) {
    const uint32_t line = address >> c->line_shift;
    const uint32_t sector = 1u << ((address & ((1u << c->line_shift) - 1u)) >> c->sector_shift);
    const uint32_t first = line % c->sets * c->ways;
    uint32_t oldest = first;
    c->clock++;
    for (uint32_t way = first; way < first + c->ways; way++) {
        if (c->tags[way] == line + 1u) {
            c->age[way] = c->clock;
            if (c->valid[way] & sector) {
                c->hits++;
                return 1;
            }
            c->valid[way] |= sector;
            c->misses++;
            return 0;
        }
        if (c->age[way] < c->age[oldest]) {
            oldest = way;
        }
    }
    c->tags[oldest] = line + 1u;
    c->valid[oldest] = sector;
    c->age[oldest] = c->clock;
    c->misses++;
    return 0;
}

static uint64_t fetch(cache *c, uint32_t address, uint32_t size_bytes) {
    uint64_t cost = 0;
    const uint32_t step = 1u << c->sector_shift;
    for (uint32_t at = address & ~(step - 1u); at < address + size_bytes; at += step) {
        const uint32_t line = at >> c->sector_shift;
        if (!look_up(c, at)) {
            if (line == c->last_line + 1u) {
                c->sequential++;
                cost += c->sequential_256;
            } else {
                cost += c->miss_256;
            }
        }
        c->last_line = line;
    }
    return cost;
}

edge *td_find(counter *c, uint32_t node, uint32_t address) {
    const uint64_t key = (uint64_t)node << 32 | address;
    uint64_t at = (key * 0x9E3779B97F4A7C15u) >> 20 & c->mask;
    while (c->edges[at].key != key && c->edges[at].key != 0) {
        at = (at + 1u) & c->mask;
    }
    return &c->edges[at];
}

/* Move every edge to a larger table. */
void td_rehash(counter *c, edge *larger, uint64_t mask) {
    edge *old = c->edges;
    const uint64_t count = c->mask + 1u;
    c->edges = larger;
    c->mask = mask;
    for (uint64_t index = 0; index < count; index++) {
        if (old[index].key != 0) {
            *td_find(c, (uint32_t)(old[index].key >> 32), (uint32_t)old[index].key) = old[index];
        }
    }
}

static int all_aligned(void *uc, reg_function read_register, const bases *b) {
    uint32_t low_bits = 0;
    for (uint32_t index = 0; index < b->count; index++) {
        uint32_t value = 0;
        read_register(uc, b->numbers[index], &value);
        low_bits |= value & 3u;
    }
    return low_bits == 0;
}

static int needs_look(void *uc, const counter *c, const edge *e) {
    return e->each_time && !(e->aligned && all_aligned(uc, c->read_register, e->aligned));
}

void td_block(void *uc, uint64_t address, uint32_t size_bytes, counter *c) {
    if ((int64_t)c->cycles_256 >= c->deadline_256) {
        c->stop(uc);
        return;
    }
    const edge *e = td_find(c, c->node, (uint32_t)address);
    if (e->key == 0 || e->size_bytes != size_bytes || needs_look(uc, c, e)) {
        c->slow((uint32_t)address, size_bytes);
        if ((int64_t)c->cycles_256 >= c->deadline_256) { /* a reason to stop was found */
            c->stop(uc);
            return;
        }
        e = &c->answer;
    } else {
        c->edges[e - c->edges].runs++;
    }
    c->node = e->next;
    c->instructions += e->instructions;
    c->cycles_256 += e->cycles_256;
    if (c->fetch && address >= c->fetch_low && address < c->fetch_high) {
        c->cycles_256 += fetch(c->fetch, (uint32_t)address, size_bytes);
    }
}

/* Unicorn leaves ITSTATE set after a hook on an access inside an IT block, and the branch after it
 * would be taken for an undefined instruction: translated code does not need it in the register. */
static void leave_it_block(void *uc, counter *c) {
    uint32_t xpsr = 0;
    c->read_register(uc, c->xpsr, &xpsr);
    if (xpsr & 0x0600FC00u) {
        xpsr &= ~0x0600FC00u;
        c->write_register(uc, c->xpsr, &xpsr);
    }
}

void td_access(void *uc, int kind, uint64_t address, int size_bytes, int64_t value, counter *c) {
    (void)size_bytes;
    (void)value;
    for (uint64_t index = 0; index < c->region_count; index++) {
        region *r = &c->regions[index];
        if (address < r->low || address >= r->high) {
            continue;
        }
        const int hit = look_up(r->data, (uint32_t)address);
        if (kind != MEMORY_WRITE) {
            r->loads++;
            r->misses += !hit;
            c->cycles_256 += r->access_256 + (hit ? 0 : r->miss_256);
        }
        break;
    }
    leave_it_block(uc, c);
}

typedef struct {
    bases aligned;
    reg_function read_register;
    void (*unaligned)(void);
} base_watch;

/* Before one instruction, whose base must be aligned. */
void td_base(void *uc, uint64_t address, uint32_t size_bytes, base_watch *w) {
    (void)address;
    (void)size_bytes;
    if (!all_aligned(uc, w->read_register, &w->aligned)) {
        w->unaligned();
    }
}
