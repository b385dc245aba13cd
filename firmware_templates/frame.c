/* Frames: see frame.h for the contract and docs/PROTOCOL.md for the specification. */
#include "frame.h"

enum { MAGIC = 0xD7, HEADER_BYTES = 7 };

/* One more `size` bytes of a reflected CRC, a nibble at a time: 64 bytes of table instead of 1,024,
 * and faster than any UART. */
static uint32_t crc_more(const uint32_t table[16], uint32_t crc, const uint8_t *data, size_t size) {
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

uint32_t td_crc32(uint32_t crc, const uint8_t *data, size_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    return crc_more(table, crc, data, size);
}

uint32_t td_crc32c(const uint8_t *data, size_t size) {
    static const uint32_t table[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
        0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9,
        0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    return crc_more(table, 0, data, size);
}

/* ---- Decoder ------------------------------------------------------------------------------- */

static bool is_text(uint8_t byte) {
    return (byte >= 0x20 && byte < 0x7F) || byte == '\n' || byte == '\r' || byte == '\t';
}

/* Undoes byte stuffing in place. Returns the size, or -1 when a count points past the end. */
static int32_t unstuff(uint8_t *raw, uint32_t count) {
    uint32_t in = 0;
    uint32_t out = 0;
    while (in < count) {
        const uint32_t code = raw[in];
        if (in + code > count) {
            return -1;
        }
        /* out <= in, since each block loses its count byte before it may gain a zero. */
        __builtin_memmove(raw + out, raw + in + 1, code - 1);
        out += code - 1;
        in += code;
        if (code != 0xFF && in < count) {
            raw[out++] = 0;
        }
    }
    return (int32_t)out;
}

static td_event_t decode_segment(td_decoder_t *decoder, uint32_t count) {
    if (decoder->raw[0] != MAGIC) {
        return TD_EVENT_MAGIC;
    }
    uint8_t *body = decoder->raw + 1;
    const int32_t unstuffed = unstuff(body, count - 1);
    if (unstuffed < 0) {
        return TD_EVENT_COBS;
    }
    const uint32_t size = (uint32_t)unstuffed;
    if (size < TD_LINK_OVERHEAD) {
        return TD_EVENT_SHORT;
    }
    if (td_load_u16(body + 5) != size - TD_LINK_OVERHEAD || size > TD_LINK_BODY_BYTES) {
        return TD_EVENT_LENGTH;
    }
    const uint32_t crc = td_crc32(0, body, size - 4);
    if (crc != td_load_u32(body + size - 4)) {
        return TD_EVENT_CRC;
    }
    decoder->frame = (td_frame_t){
        .type = body[0],
        .sequence = td_load_u16(body + 1),
        .session = td_load_u16(body + 3),
        .size = (uint16_t)(size - TD_LINK_OVERHEAD),
        .payload = body + HEADER_BYTES,
        .crc = crc,
    };
    return TD_EVENT_FRAME;
}

td_event_t td_decoder_push(td_decoder_t *decoder, uint8_t byte) {
    const uint32_t count = decoder->count;
    if (byte == 0) {
        const bool overflow = decoder->overflow;
        const bool text = !decoder->unprintable;
        decoder->count = 0;
        decoder->overflow = false;
        decoder->unprintable = false;
        if (overflow) {
            return TD_EVENT_TOO_LONG;
        }
        if (count == 0) {
            return TD_EVENT_NONE;
        }
        if (text) {
            decoder->size = count;
            return TD_EVENT_TEXT;
        }
        return decode_segment(decoder, count);
    }
    if (count == TD_LINK_RAW_BYTES) {
        decoder->overflow = true;
        return TD_EVENT_NONE;
    }
    decoder->raw[count] = byte;
    decoder->count = count + 1;
    decoder->unprintable |= !is_text(byte);
    if (!decoder->unprintable && (byte == '\n' || count + 1 == TD_LINK_RAW_BYTES)) {
        decoder->size = count + 1;
        decoder->count = 0;
        return TD_EVENT_TEXT;
    }
    return TD_EVENT_NONE;
}

/* ---- Encoder ------------------------------------------------------------------------------- */

static void close_block(td_encoder_t *encoder) {
    encoder->block[0] = (uint8_t)(encoder->count + 1);
    encoder->transmit(encoder->block, encoder->count + 1);
    encoder->full = encoder->count == 254;
    encoder->count = 0;
}

/* Stuffs without touching the CRC. */
static void stuff(td_encoder_t *encoder, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] == 0) {
            close_block(encoder);
            encoder->full = false;
        } else {
            encoder->block[++encoder->count] = data[i];
            if (encoder->count == 254) {
                close_block(encoder);
            }
        }
    }
}

void td_encoder_begin(td_encoder_t *encoder, td_transmit_t *transmit, uint8_t type,
                      uint16_t sequence, uint16_t session, uint16_t size) {
    const uint8_t header[HEADER_BYTES] = {
        type,
        (uint8_t)sequence,
        (uint8_t)(sequence >> 8),
        (uint8_t)session,
        (uint8_t)(session >> 8),
        (uint8_t)size,
        (uint8_t)(size >> 8),
    };
    encoder->transmit = transmit;
    encoder->crc = 0;
    encoder->count = 0;
    encoder->full = false;
    transmit((const uint8_t[]){0, MAGIC}, 2);
    td_encoder_put(encoder, header, sizeof header);
}

void td_encoder_put(td_encoder_t *encoder, const void *data, size_t size) {
    encoder->crc = td_crc32(encoder->crc, data, size);
    stuff(encoder, data, size);
}

void td_encoder_end(td_encoder_t *encoder) {
    const uint32_t crc = encoder->crc;
    stuff(encoder,
          (const uint8_t[]){(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
                            (uint8_t)(crc >> 24)},
          4);
    if (encoder->count > 0 || !encoder->full) {
        close_block(encoder);
    }
    encoder->transmit((const uint8_t[]){0}, 1);
}
