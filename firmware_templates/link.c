/* The link to the host: see link.h for the contract and docs/PROTOCOL.md for the specification. */
#include "link.h"

enum {
    HELLO = 0x01,
    WRITE_INPUT = 0x02,
    READ = 0x03,
    INVOKE = 0x04,
    RUN_STEP = 0x05,
    DIGEST = 0x06,
    SET_BAUD = 0x07,
    ABOUT = 0x08,
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
    if (request->size < 2 || td_load_u16(request->payload) != TD_LINK_PROTOCOL) {
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
    size += sizeof target->fast_baud;
    begin(link, request, HELLO | RESPONSE, size);
    td_encoder_put(&link->encoder, numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        td_encoder_put(&link->encoder, &names[i].size, 1);
        td_encoder_put(&link->encoder, names[i].text, names[i].size);
    }
    td_encoder_put(&link->encoder, &target->fast_baud, sizeof target->fast_baud);
    td_encoder_end(&link->encoder);
}

static void write_input(td_link_t *link, const td_frame_t *request) {
    const uint32_t limit = link->target->input_bytes;
    if (request->size < 4) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t offset = td_load_u32(request->payload);
    const uint32_t size = request->size - 4u;
    if (offset > limit || size > limit - offset) {
        refuse(link, request, ERROR_RANGE, limit);
        return;
    }
    __builtin_memcpy(link->target->input + offset, request->payload + 4, size);
    link->next_step = 0;
    respond(link, request, WRITE_INPUT | RESPONSE, NULL, 0);
}

/* The memory that READ or DIGEST asks for: a region, `size` bytes from `offset`. NULL, and the
 * request refused, when it is not all there or more than `most`. */
static const uint8_t *memory_at(td_link_t *link, const td_frame_t *request, uint32_t size,
                                uint32_t most) {
    const td_target_t *target = link->target;
    const uint8_t region = request->payload[0];
    const uint32_t offset = td_load_u32(request->payload + 1);
    const uint8_t *memory = region == REGION_OUTPUT ? target->output : target->arena;
    const uint32_t limit = region == REGION_OUTPUT  ? target->output_bytes
                           : region == REGION_ARENA ? target->arena_bytes
                                                    : 0;
    if (offset > limit || size > limit - offset || size > most) {
        refuse(link, request, ERROR_RANGE, limit);
        return NULL;
    }
    return memory + offset;
}

static void read(td_link_t *link, const td_frame_t *request) {
    if (request->size != 7) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t size = td_load_u16(request->payload + 5);
    const uint8_t *memory = memory_at(link, request, size, TD_LINK_MAX_PAYLOAD);
    if (memory != NULL) {
        respond(link, request, READ | RESPONSE, memory, size);
    }
}

static void digest(td_link_t *link, const td_frame_t *request) {
    if (request->size != 9) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t size = td_load_u32(request->payload + 5);
    const uint8_t *memory = memory_at(link, request, size, UINT32_MAX);
    if (memory != NULL) {
        const uint32_t crcs[2] = {td_crc32(0, memory, size), td_crc32c(memory, size)};
        respond(link, request, DIGEST | RESPONSE, crcs, sizeof crcs);
    }
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
    const uint32_t runs = td_load_u16(request->payload + 4);
    if (runs == 0 || runs > TD_LINK_MAX_RUNS) {
        refuse(link, request, ERROR_RANGE, TD_LINK_MAX_RUNS);
        return;
    }
    if (!input_is(link, request, td_load_u32(request->payload))) {
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
    const uint32_t step = td_load_u32(request->payload);
    if (step >= link->target->step_count) {
        refuse(link, request, ERROR_RANGE, link->target->step_count);
        return;
    }
    if (step != 0 && step != link->next_step) {
        refuse(link, request, ERROR_ORDER, link->next_step);
        return;
    }
    if (step == 0 && !input_is(link, request, td_load_u32(request->payload + 4))) {
        return;
    }
    announce(link, request, 0);
    link->answer[0] = link->target->run_step(step);
    link->next_step = step + 1;
    keep_answer(link, request, 1);
    send_answer(link, request);
}

/* Goes on at another rate when all that was queued is on the wire. */
static void change_baud(td_link_t *link, uint32_t baud) {
    link->baud = baud;
    link->stray_bytes = 0;
    link->target->set_baud(baud);
}

/* Answers at the rate of the request, and goes on at the one it names. */
static void set_baud(td_link_t *link, const td_frame_t *request) {
    const td_target_t *target = link->target;
    if (request->size != 4) {
        refuse(link, request, ERROR_SIZE, request->size);
        return;
    }
    const uint32_t baud = td_load_u32(request->payload);
    if (baud != target->baud && baud != target->fast_baud) {
        refuse(link, request, ERROR_RANGE, target->fast_baud);
        return;
    }
    respond(link, request, SET_BAUD | RESPONSE, NULL, 0);
    change_baud(link, baud);
}

/* How the core runs now, and how it was compiled. */
static void about(td_link_t *link, const td_frame_t *request) {
    const td_target_t *target = link->target;
    uint32_t registers[TD_LINK_STATE_REGISTERS] = {0};
    for (size_t i = 0; target->state_registers != NULL && i < TD_LINK_STATE_REGISTERS; i++) {
        const uintptr_t address = target->state_registers[i];
        if (address != 0) {
            registers[i] = *(const volatile uint32_t *)address;
        }
    }
    begin(link, request, ABOUT | RESPONSE, sizeof registers + target->about_bytes);
    td_encoder_put(&link->encoder, registers, sizeof registers);
    td_encoder_put(&link->encoder, target->about, target->about_bytes);
    td_encoder_end(&link->encoder);
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
    case DIGEST:
        digest(link, request);
        break;
    case ABOUT:
        about(link, request);
        break;
    case SET_BAUD:
        set_baud(link, request);
        break;
    default:
        refuse(link, request, ERROR_TYPE, request->type);
        break;
    }
}

void td_link_init(td_link_t *link, const td_target_t *target) {
    *link = (td_link_t){.target = target, .baud = target->baud};
}

void td_link_receive(td_link_t *link, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (td_decoder_push(&link->decoder, data[i]) == TD_EVENT_FRAME) {
            link->stray_bytes = 0;
            dispatch(link, &link->decoder.frame);
        } else if (link->baud != link->target->baud && ++link->stray_bytes > TD_LINK_STRAY_BYTES) {
            change_baud(link, link->target->baud); /* whoever speaks, speaks at that rate */
        }
    }
}
