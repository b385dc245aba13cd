/* Frames on a UART: bytes in, frames and text out, and back. docs/PROTOCOL.md is the specification.
 *
 * Pure: no hardware, no heap, no globals. Any byte sequence may be decoded; what is neither a frame
 * nor text is an event too. Little endian on the wire and in the CPU.
 */
#ifndef TD_FRAME_H
#define TD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TD_LINK_MAX_PAYLOAD 1024u /* of a request and of a response; HELLO tells the host */
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

/* CRC-32C (Castagnoli). */
uint32_t td_crc32c(const uint8_t *data, size_t size);

static inline uint16_t td_load_u16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t td_load_u32(const uint8_t *at) {
    return td_load_u16(at) | (uint32_t)td_load_u16(at + 2) << 16;
}

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

#endif
