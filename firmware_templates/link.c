/* The link to the host: see link.h for the contract and docs/PROTOCOL.md for the specification. */
#include "link.h"

enum {
    MAGIC = 0xD7,
    HEADER_BYTES = 7,

    HELLO = 0x01,
    WRITE_INPUT = 0x02,
    READ = 0x03,
    INVOKE = 0x04,
    RUN_STEP = 0x05,
    RESPONSE = 0x80,
    BUSY = 0xFE,
    ERROR = 0xFF,

    REGION_OUTPUT = 1,
    REGION_ARENA = 2,

    ERROR_VERSION = 1,
    ERROR_SESSION = 2,
    ERROR_TYPE = 3,
    ERROR_SIZE = 4,
    ERROR_RANGE = 5,
    ERROR_INPUT = 6,
    ERROR_ORDER = 7,
};

static uint16_t load_u16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t load_u32(const uint8_t *at) {
    return load_u16(at) | (uint32_t)load_u16(at + 2) << 16;
}

uint32_t td_crc32(uint32_t crc, const uint8_t *data, size_t size) {
    /* The CRC of each nibble: 64 bytes of flash instead of 1,024, and faster than any UART. */
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
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
    if (load_u16(body + 5) != size - TD_LINK_OVERHEAD || size > TD_LINK_BODY_BYTES) {
        return TD_EVENT_LENGTH;
    }
    const uint32_t crc = td_crc32(0, body, size - 4);
    if (crc != load_u32(body + size - 4)) {
        return TD_EVENT_CRC;
    }
    decoder->frame = (td_frame_t){
        .type = body[0],
        .sequence = load_u16(body + 1),
        .session = load_u16(body + 3),
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

/* ---- Messages ------------------------------------------------------------------------------ */

static void begin(td_link_t *link, const td_frame_t *request, uint8_t type, size_t size) {
    td_encoder_begin(&link->encoder, link->target->transmit, type, request->sequence,
                     request->session, (uint16_t)size);
}

static void respond(td_link_t *link, const td_frame_t *request, uint8_t type, const void *payload,
                    size_t size) {
    begin(link, request, type, size);
    td_encoder_put(&link->encoder, payload, size);
    td_encoder_end(&link->encoder);
}

static void refuse(td_link_t *link, const td_frame_t *request, uint8_t code, uint32_t detail) {
    begin(link, request, ERROR, 1 + sizeof detail);
    td_encoder_put(&link->encoder, &code, 1);
    td_encoder_put(&link->encoder, &detail, sizeof detail);
    td_encoder_end(&link->encoder);
}

/* Says that the request has arrived and work begins, then waits until that is on the wire, so that
 * no interrupt of the UART disturbs the measurement. */
static void announce(td_link_t *link, const td_frame_t *request, uint32_t run) {
    respond(link, request, BUSY, &run, sizeof run);
    link->target->drain();
}

static void send_answer(td_link_t *link, const td_frame_t *request) {
    respond(link, request, link->answer_type, link->answer,
            link->answer_words * sizeof link->answer[0]);
}

static void keep_answer(td_link_t *link, const td_frame_t *request, uint32_t words) {
    link->answered = true;
    link->answer_type = request->type | RESPONSE;
    link->answer_sequence = request->sequence;
    link->answer_key = request->crc;
    link->answer_words = words;
}

static void hello(td_link_t *link, const td_frame_t *request) {
    const td_target_t *target = link->target;
    if (request->size < 2 || load_u16(request->payload) != TD_LINK_PROTOCOL) {
        refuse(link, request, ERROR_VERSION, TD_LINK_PROTOCOL);
        return;
    }
    if (request->session == 0) {
        refuse(link, request, ERROR_SESSION, 0);
        return;
    }
    link->session = request->session;
    link->answered = false;
    link->next_step = 0;

    const uint32_t numbers[] = {
        TD_LINK_PROTOCOL,    TD_LINK_MAX_PAYLOAD, target->window_bytes, TD_LINK_MAX_RUNS,
        target->core_hz,     target->baud,        target->input_bytes,  target->output_bytes,
        target->arena_bytes, target->step_count,
    };
    const td_name_t names[] = {target->board, target->model, target->model_sha256,
                               target->fingerprint};
    size_t size = sizeof numbers;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size += 1u + names[i].size;
    }
    begin(link, request, HELLO | RESPONSE, size);
    td_encoder_put(&link->encoder, numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        td_encoder_put(&link->encoder, &names[i].size, 1);
        td_encoder_put(&link->encoder, names[i].text, names[i].size);
    }
    td_encoder_end(&link->encoder);
}

static void write_input(td_link_t *link, const td_frame_t *request) {
    const uint32_t limit = link->target->input_bytes;
    if (request->size < 4) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t offset = load_u32(request->payload);
    const uint32_t size = request->size - 4u;
    if (offset > limit || size > limit - offset) {
        refuse(link, request, ERROR_RANGE, limit);
        return;
    }
    __builtin_memcpy(link->target->input + offset, request->payload + 4, size);
    link->next_step = 0;
    respond(link, request, WRITE_INPUT | RESPONSE, NULL, 0);
}

static void read(td_link_t *link, const td_frame_t *request) {
    const td_target_t *target = link->target;
    if (request->size != 7) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint8_t region = request->payload[0];
    const uint32_t offset = load_u32(request->payload + 1);
    const uint32_t size = load_u16(request->payload + 5);
    const bool output = region == REGION_OUTPUT;
    const uint8_t *memory = output ? target->output : target->arena;
    const uint32_t limit = output                   ? target->output_bytes
                           : region == REGION_ARENA ? target->arena_bytes
                                                    : 0;
    if (offset > limit || size > limit - offset || size > TD_LINK_MAX_PAYLOAD) {
        refuse(link, request, ERROR_RANGE, limit);
        return;
    }
    respond(link, request, READ | RESPONSE, memory + offset, size);
}

/* Whether the input in memory is the one that the host means; answers when it is not. */
static bool input_is(td_link_t *link, const td_frame_t *request, uint32_t crc) {
    const uint32_t actual = td_crc32(0, link->target->input, link->target->input_bytes);
    if (actual != crc) {
        refuse(link, request, ERROR_INPUT, actual);
    }
    return actual == crc;
}

static void invoke(td_link_t *link, const td_frame_t *request) {
    const td_target_t *target = link->target;
    if (request->size != 6) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t runs = load_u16(request->payload + 4);
    if (runs == 0 || runs > TD_LINK_MAX_RUNS) {
        refuse(link, request, ERROR_RANGE, TD_LINK_MAX_RUNS);
        return;
    }
    if (!input_is(link, request, load_u32(request->payload))) {
        return;
    }
    uint32_t stack_bytes = 0;
    for (uint32_t run = 0; run < runs; run++) {
        uint32_t used_bytes;
        announce(link, request, run);
        link->answer[2 + run] = target->invoke(&used_bytes);
        stack_bytes = used_bytes > stack_bytes ? used_bytes : stack_bytes;
        if (run == 0) {
            /* Further runs compute on whatever the first left: only their time counts. */
            __builtin_memcpy(target->output, target->model_output, target->output_bytes);
        }
    }
    link->answer[0] = td_crc32(0, target->output, target->output_bytes);
    link->answer[1] = stack_bytes;
    link->next_step = 0;
    keep_answer(link, request, 2 + runs);
    send_answer(link, request);
}

static void run_step(td_link_t *link, const td_frame_t *request) {
    if (request->size != 8) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t step = load_u32(request->payload);
    if (step >= link->target->step_count) {
        refuse(link, request, ERROR_RANGE, link->target->step_count);
        return;
    }
    if (step != 0 && step != link->next_step) {
        refuse(link, request, ERROR_ORDER, link->next_step);
        return;
    }
    if (step == 0 && !input_is(link, request, load_u32(request->payload + 4))) {
        return;
    }
    announce(link, request, 0);
    link->answer[0] = link->target->run_step(step);
    link->next_step = step + 1;
    keep_answer(link, request, 1);
    send_answer(link, request);
}

static void dispatch(td_link_t *link, const td_frame_t *request) {
    if (request->type == HELLO) {
        hello(link, request);
        return;
    }
    if (request->session == 0 || request->session != link->session) {
        refuse(link, request, ERROR_SESSION, link->session);
        return;
    }
    if (link->answered && link->answer_sequence == request->sequence &&
        link->answer_key == request->crc) {
        send_answer(link, request); /* its answer was lost, or is under way: never run it twice */
        return;
    }
    switch (request->type) {
    case WRITE_INPUT:
        write_input(link, request);
        break;
    case READ:
        read(link, request);
        break;
    case INVOKE:
        invoke(link, request);
        break;
    case RUN_STEP:
        run_step(link, request);
        break;
    default:
        refuse(link, request, ERROR_TYPE, request->type);
        break;
    }
}

void td_link_init(td_link_t *link, const td_target_t *target) {
    *link = (td_link_t){.target = target};
}

void td_link_receive(td_link_t *link, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (td_decoder_push(&link->decoder, data[i]) == TD_EVENT_FRAME) {
            dispatch(link, &link->decoder.frame);
        }
    }
}
