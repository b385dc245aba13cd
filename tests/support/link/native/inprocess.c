/* The link as a shared library: a test pushes bytes in and takes the answers out, deterministically. */
#include "link.h"
#include "model.h"
#include "model_debug.h"

static td_link_t link_state;
static td_target_t target;
static uint8_t output[MODEL_OUTPUT_BYTES];
static void (*sink)(const uint8_t *data, uint32_t size);
static uint32_t runs;

static void transmit(const uint8_t *data, size_t size) {
    sink(data, (uint32_t)size);
}

static void drain(void) {}

static uint32_t baud;

static void set_baud(uint32_t value) {
    baud = value;
}

static uint32_t invoke(uint32_t *stack_bytes) {
    model_invoke(model_input(), model_output());
    *stack_bytes = 96;
    return ++runs;
}

static uint32_t run_step(uint32_t step) {
    model_run_step(step);
    return ++runs;
}

void device_reset(void (*to_host)(const uint8_t *data, uint32_t size)) {
    sink = to_host;
    target = (td_target_t){
        .board = TD_NAME("library"),
        .model = TD_NAME(MODEL_NAME),
        .model_sha256 = TD_NAME(MODEL_SHA256),
        .fingerprint = TD_NAME(MODEL_FINGERPRINT),
        .core_hz = 100000000,
        .baud = 115200,
        .fast_baud = 921600,
        .window_bytes = 1024,
        .input = (uint8_t *)model_input(),
        .input_bytes = MODEL_INPUT_BYTES,
        .model_output = (uint8_t *)model_output(),
        .output = output,
        .output_bytes = MODEL_OUTPUT_BYTES,
        .arena = model_arena(),
        .arena_bytes = MODEL_ARENA_BYTES,
        .step_count = MODEL_STEP_COUNT,
        .transmit = transmit,
        .drain = drain,
        .set_baud = set_baud,
        .invoke = invoke,
        .run_step = run_step,
    };
    for (uint32_t i = 0; i < MODEL_ARENA_BYTES; i++) {
        model_arena()[i] = 0;
    }
    baud = target.baud;
    td_link_init(&link_state, &target);
}

/* The rate that the UART would have. */
uint32_t device_baud(void) {
    return baud;
}

void device_receive(const uint8_t *data, uint32_t size) {
    td_link_receive(&link_state, data, size);
}

/* How often the model or a step of it has run since the program began. */
uint32_t device_runs(void) {
    return runs;
}
