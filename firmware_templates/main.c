/* The firmware: a banner, then answers to the host until the power goes.
 *
 * Start-up code has set the clocks, the FPU, the caches and the painted stack before main. All
 * hardware is behind uart.h, cycles.h, stack.h and board.h; the model is behind model.h.
 */
#include "board.h"
#include "cycles.h"
#include "link.h"
#include "mlperf.h"
#include "model.h"
#include "model_debug.h"
#include "stack.h"
#include "uart.h"

_Static_assert(sizeof MODEL_NAME <= 256, "the link sends names of at most 255 bytes");

/* What the Makefile compiles the model with. */
#ifndef TD_MODEL_FLAGS
#define TD_MODEL_FLAGS ""
#endif

/* What the compiler was told that the core has, and so what the kernels use. */
#ifdef __ARM_FEATURE_MVE
#define KERNELS "mve"
#elif defined __ARM_FEATURE_DSP && defined __ARM_FP
#define KERNELS "dsp"
#else
#define KERNELS "portable"
#endif

/* For hosts that ask what makes the firmware slow: see ABOUT in docs/PROTOCOL.md. */
static const char about[] = KERNELS "\n" __VERSION__ "\n" TD_MODEL_FLAGS;
static const uintptr_t state_registers[TD_LINK_STATE_REGISTERS] = {BOARD_STATE_REGISTERS};

#if MODEL_STREAMED
/* Stands for the camera that pushes rows: the model itself never holds an input in full. */
static model_input_t streamed_input[MODEL_INPUT_ELEMENTS];
#define INPUT streamed_input
#else
#define INPUT model_input()
#endif

static uint8_t output[MODEL_OUTPUT_BYTES];
static td_link_t link_state;
#if TD_MLPERF
static td_mlperf_t mlperf_state;
#endif

static uint32_t invoke(uint32_t *stack_bytes) {
    stack_repaint();
    const uint32_t caller_bytes = stack_high_water_bytes();
    const uint32_t start = cycles_now();
    model_invoke(INPUT, model_output());
    const uint32_t cycles = cycles_now() - start;
    *stack_bytes = stack_high_water_bytes() - caller_bytes;
    return cycles;
}

static uint32_t run_step(uint32_t step) {
    const uint32_t start = cycles_now();
    model_run_step(step);
    return cycles_now() - start;
}

int main(void) {
    uart_init();
    cycles_init();
#if MODEL_STREAMED
    model_debug_input(streamed_input);
#endif
    const td_target_t target = {
        .board = TD_NAME(BOARD_NAME),
        .model = TD_NAME(MODEL_NAME),
        .model_sha256 = TD_NAME(MODEL_SHA256),
        .fingerprint = TD_NAME(MODEL_FINGERPRINT),
        .core_hz = BOARD_CORE_HZ,
        .baud = BOARD_UART_BAUD,
        .fast_baud = BOARD_UART_FAST_BAUD,
        .window_bytes = UART_RX_RING_BYTES - 1u, /* the ring's one unused byte */
        .input = (uint8_t *)INPUT,
        .input_bytes = MODEL_INPUT_BYTES,
        .model_output = (uint8_t *)model_output(),
        .output = output,
        .output_bytes = MODEL_OUTPUT_BYTES,
        .arena = model_arena(),
        .arena_bytes = MODEL_ARENA_BYTES,
        .step_count = MODEL_STEP_COUNT,
        .about = about,
        .about_bytes = sizeof about - 1,
        .state_registers = state_registers,
        .transmit = uart_write,
        .drain = uart_flush,
        .set_baud = uart_set_baud,
        .invoke = invoke,
        .run_step = run_step,
    };
    td_link_init(&link_state, &target);
#if TD_MLPERF
    td_mlperf_init(&mlperf_state, &link_state);
#endif

    /* The zero ends whatever a reset has cut off, so that the host sees the banner as text. */
    static const char banner[] =
        "\0tinydeploy: " MODEL_NAME " on " BOARD_TITLE ", build " MODEL_FINGERPRINT "\r\n";
    uart_write((const uint8_t *)banner, sizeof banner - 1);

    for (;;) {
        uint8_t received[64];
        const size_t size = uart_read(received, sizeof received);
        if (size == 0) {
            board_wait_for_event();
        } else {
            td_link_receive(&link_state, received, size);
#if TD_MLPERF
            td_mlperf_receive(&mlperf_state, received, size);
#endif
        }
    }
}
