/* The link to the host: the messages in frames. docs/PROTOCOL.md is the specification.
 *
 * Pure: no hardware, no heap, no globals. The caller passes received bytes in and gives, in
 * td_target_t, the model and a way to transmit. Any byte sequence may be passed in; what is
 * neither a frame nor text is skipped. Little endian on the wire and in the CPU.
 */
#ifndef TD_LINK_H
#define TD_LINK_H

#include "frame.h"

#define TD_LINK_PROTOCOL 1u
#define TD_LINK_MAX_RUNS 16u /* of one INVOKE */
#define TD_LINK_STATE_REGISTERS 5u
/* So many bytes without a frame end a rate that was set: several of the longest frames, lost one
 * after the other, or a host that speaks at the board's own rate. */
#define TD_LINK_STRAY_BYTES 4096u

/* A string literal and its size without the terminator, at most 255. */
typedef struct {
    const char *text;
    uint8_t size;
} td_name_t;
#define TD_NAME(literal) {(literal), (uint8_t)(sizeof(literal) - 1)}

/* What the link serves. */
typedef struct {
    td_name_t board;
    td_name_t model;
    td_name_t model_sha256;
    td_name_t fingerprint;
    uint32_t core_hz;
    uint32_t baud;         /* after a reset */
    uint32_t fast_baud;    /* the highest that the port takes; `baud` where there is only one */
    uint32_t window_bytes; /* bytes that the receiver keeps while the CPU computes */
    uint8_t *input;        /* may be overwritten by a run */
    uint32_t input_bytes;
    const uint8_t *model_output; /* where a run leaves its output */
    uint8_t *output;             /* a copy, which outlives further runs */
    uint32_t output_bytes;
    const uint8_t *arena;
    uint32_t arena_bytes;
    uint32_t step_count;
    const uintptr_t *state_registers; /* addresses that ABOUT reads, 0 for none; NULL: no list */
    const char *about;                /* lines that follow in its answer */
    uint16_t about_bytes;
    td_transmit_t *transmit;                   /* returns when the data are queued */
    void (*drain)(void);                       /* returns when all is on the wire */
    void (*set_baud)(uint32_t baud);           /* one of the two; when all is on the wire */
    uint32_t (*invoke)(uint32_t *stack_bytes); /* one run: its cycles and its stack */
    uint32_t (*run_step)(uint32_t step);       /* cycles */
} td_target_t;

typedef struct {
    const td_target_t *target;
    td_decoder_t decoder;
    td_encoder_t encoder;
    uint16_t session;   /* 0: none since reset */
    uint32_t next_step; /* that RUN_STEP may run; 0 always may */
    uint32_t baud;
    uint32_t stray_bytes; /* at a rate that was set: since the last frame */
    /* The answer to the last INVOKE or RUN_STEP, sent again when its request comes again. */
    bool answered;
    uint8_t answer_type;
    uint16_t answer_sequence;
    uint32_t answer_key;
    uint32_t answer_words;
    uint32_t answer[2 + TD_LINK_MAX_RUNS];
} td_link_t;

/* `link` is zero-initialised by this. */
void td_link_init(td_link_t *link, const td_target_t *target);

/* Takes received bytes and answers what they complete. */
void td_link_receive(td_link_t *link, const uint8_t *data, size_t size);

#endif
