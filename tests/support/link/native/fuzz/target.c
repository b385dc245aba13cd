/* What is fuzzed: any bytes into both protocols of the firmware, as main.c passes them on, and then
 * a greeting, which must be answered. The entry is libFuzzer's, so that clang -fsanitize=fuzzer can
 * link it instead of driver.c.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "link.h"
#include "mlperf.h"
#include "model.h"
#include "model_debug.h"
#include "target.h"

enum { PIECE_BYTES = 64, SEQUENCE = 77, SESSION = 5 };

bool fuzz_answered[256];
bool fuzz_refused[256];

static td_link_t link_state;
static td_mlperf_t mlperf_state;
static td_decoder_t host;
static uint8_t output[MODEL_OUTPUT_BYTES];
static bool greeted;

/* What the host hears: every frame of the device's must be whole. */
static void transmit(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        const td_event_t event = td_decoder_push(&host, data[i]);
        if (event == TD_EVENT_FRAME) {
            const td_frame_t *frame = &host.frame;
            fuzz_answered[frame->type] = true;
            if (frame->type == 0xFF) {
                fuzz_refused[frame->payload[0]] = true;
            }
            greeted =
                frame->type == 0x81 && frame->sequence == SEQUENCE && frame->session == SESSION;
        } else if (event != TD_EVENT_NONE && event != TD_EVENT_TEXT) {
            fprintf(stderr, "the device has sent a broken frame\n");
            abort();
        }
    }
}

static void drain(void) {
}

static void set_baud(uint32_t baud) {
    (void)baud;
}

static uint32_t invoke(uint32_t *stack_bytes) {
    model_output()[0]++;
    *stack_bytes = 96;
    return 1000;
}

static uint32_t run_step(uint32_t step) {
    return step;
}

static const td_target_t target = {
    .board = TD_NAME(BOARD_NAME),
    .model = TD_NAME(MODEL_NAME),
    .model_sha256 = TD_NAME(MODEL_SHA256),
    .fingerprint = TD_NAME(MODEL_FINGERPRINT),
    .core_hz = BOARD_CORE_HZ,
    .baud = BOARD_UART_BAUD,
    .fast_baud = BOARD_UART_FAST_BAUD,
    .window_bytes = 1024,
    .input_bytes = MODEL_INPUT_BYTES,
    .output = output,
    .output_bytes = MODEL_OUTPUT_BYTES,
    .arena_bytes = MODEL_ARENA_BYTES,
    .step_count = MODEL_STEP_COUNT,
    .about = "about",
    .about_bytes = 5,
    .transmit = transmit,
    .drain = drain,
    .set_baud = set_baud,
    .invoke = invoke,
    .run_step = run_step,
};

static void receive(const uint8_t *data, size_t size) {
    for (size_t at = 0; at < size; at += PIECE_BYTES) {
        const size_t piece = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        td_link_receive(&link_state, data + at, piece);
        td_mlperf_receive(&mlperf_state, data + at, piece);
    }
}

static uint8_t wire[2 * TD_LINK_RAW_BYTES];
static size_t wire_bytes;

static void collect(const uint8_t *data, size_t size) {
    memcpy(wire + wire_bytes, data, size);
    wire_bytes += size;
}

size_t fuzz_frame(uint8_t type, uint16_t session, const uint8_t *payload, uint16_t size,
                  const uint8_t **frame) {
    td_encoder_t encoder;
    wire_bytes = 0;
    td_encoder_begin(&encoder, collect, type, SEQUENCE, session, size);
    td_encoder_put(&encoder, payload, size);
    td_encoder_end(&encoder);
    *frame = wire;
    return wire_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static td_target_t now;
    now = target;
    now.input = (uint8_t *)model_input();
    now.model_output = (uint8_t *)model_output();
    now.arena = model_arena();
    memset(model_arena(), 0, MODEL_ARENA_BYTES);
    memset(&host, 0, sizeof host);
    td_link_init(&link_state, &now);
    td_mlperf_init(&mlperf_state, &link_state);
    receive(data, size);
    greeted = false;
    const uint8_t *greeting;
    const size_t greeting_bytes = fuzz_frame(0x01, SESSION, (const uint8_t[]){1, 0}, 2, &greeting);
    receive(greeting, greeting_bytes);
    if (!greeted) {
        fprintf(stderr, "a greeting is not answered any more\n");
        abort();
    }
    return 0;
}
