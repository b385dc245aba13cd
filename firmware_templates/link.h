/* The link to the host: frames, and the messages in them. docs/PROTOCOL.md is the specification.
 *
 * Pure: no hardware, no heap, no globals. The caller passes received bytes in and gives, in
 * td_target_t, the model and a way to transmit. Any byte sequence may be passed in; what is
 * neither a frame nor text is counted and skipped. Little endian on the wire and in the CPU.
 */
#ifndef TD_LINK_H
#define TD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_LINK_PROTOCOL 1u
#define TD_LINK_MAX_PAYLOAD 1024u /* of a request and of a response; HELLO tells the host */
#define TD_LINK_MAX_RUNS 16u      /* of one INVOKE */
#define TD_LINK_OVERHEAD 11u      /* header 7, CRC 4 */
#define TD_LINK_BODY_BYTES (TD_LINK_MAX_PAYLOAD + TD_LINK_OVERHEAD)
#define TD_LINK_RAW_BYTES (1u + TD_LINK_BODY_BYTES + (TD_LINK_BODY_BYTES + 253u) / 254u)

typedef enum {
    TD_EVENT_NONE,  /* nothing is complete yet */
    TD_EVENT_FRAME, /* decoder->frame is valid */
    TD_EVENT_TEXT,  /* decoder->raw holds decoder->size printable characters */
    TD_EVENT_TOO_LONG,
    TD_EVENT_MAGIC,
    TD_EVENT_COBS,
    TD_EVENT_SHORT,
    TD_EVENT_LENGTH,
    TD_EVENT_CRC,
} td_event_t;

typedef struct {
    uint8_t type;
    uint16_t sequence;
    uint16_t session;
    uint16_t size;          /* of the payload, in bytes, at most TD_LINK_MAX_PAYLOAD */
    const uint8_t *payload; /* inside the decoder: valid until the next byte is pushed */
    uint32_t crc;           /* of the whole frame: equal for a frame sent twice */
} td_frame_t;

/* Zero-initialised is ready to use. */
typedef struct {
    uint8_t raw[TD_LINK_RAW_BYTES];
    uint32_t count;   /* bytes of the segment in raw */
    uint32_t size;    /* of the text of TD_EVENT_TEXT */
    bool unprintable; /* the segment holds a byte that is not text */
    bool overflow;    /* the segment is longer than any frame: skip to the next zero */
    td_frame_t frame;
} td_decoder_t;

/* The next event, after one more byte. Text and frames lie in the decoder until the next push. */
td_event_t td_decoder_push(td_decoder_t *decoder, uint8_t byte);

/* CRC-32 of IEEE 802.3 over `size` more bytes; start with 0. */
uint32_t td_crc32(uint32_t crc, const uint8_t *data, size_t size);

typedef void td_transmit_t(const uint8_t *data, size_t size);

/* Streams one frame out through `transmit`, in blocks of at most 255 bytes: no frame buffer. */
typedef struct {
    td_transmit_t *transmit;
    uint32_t crc;
    uint32_t count; /* bytes of the open block */
    bool full;      /* the last block was one of 254 bytes, which implies no zero */
    uint8_t block[255];
} td_encoder_t;

/* begin, then exactly `size` payload bytes by put, then end. */
void td_encoder_begin(td_encoder_t *encoder, td_transmit_t *transmit, uint8_t type,
                      uint16_t sequence, uint16_t session, uint16_t size);
void td_encoder_put(td_encoder_t *encoder, const void *data, size_t size);
void td_encoder_end(td_encoder_t *encoder);

/* A string literal and its size without the terminator, at most 255. */
typedef struct {
    const char *text;
    uint8_t size;
} td_name_t;
#define TD_NAME(literal)                                                                           \
    { (literal), (uint8_t)(sizeof(literal) - 1) }

/* What the link serves. */
typedef struct {
    td_name_t board;
    td_name_t model;
    td_name_t model_sha256;
    td_name_t fingerprint;
    uint32_t core_hz;
    uint32_t baud;
    uint32_t window_bytes; /* bytes that the receiver keeps while the CPU computes */
    uint8_t *input;        /* may be overwritten by a run */
    uint32_t input_bytes;
    const uint8_t *model_output; /* where a run leaves its output */
    uint8_t *output;             /* a copy, which outlives further runs */
    uint32_t output_bytes;
    const uint8_t *arena;
    uint32_t arena_bytes;
    uint32_t step_count;
    td_transmit_t *transmit;                   /* returns when the data are queued */
    void (*drain)(void);                       /* returns when all is on the wire */
    uint32_t (*invoke)(uint32_t *stack_bytes); /* one run: its cycles and its stack */
    uint32_t (*run_step)(uint32_t step);       /* cycles */
} td_target_t;

typedef struct {
    const td_target_t *target;
    td_decoder_t decoder;
    td_encoder_t encoder;
    uint16_t session;   /* 0: none since reset */
    uint32_t next_step; /* that RUN_STEP may run; 0 always may */
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
