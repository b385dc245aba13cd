/* The benchmarks' encodings of inputs and results: see mlperf_encoding.h for the contract. */
#include "mlperf_encoding.h"

#include "mlperf_text.h"

#if TD_MLPERF

/* A float that is not negative: three places, at most about 4e9. */
static void __attribute__((unused)) say_float(const td_mlperf_t *mlperf, float value) {
    if (!(value < 4e9f)) { /* a NaN too */
        td_say(mlperf, "4000000000.000");
        return;
    }
    const uint32_t whole = (uint32_t)value;
    td_say_thousandths(mlperf, whole, (uint32_t)((value - (float)whole) * 1000.0f + 0.5f));
}

#ifdef TD_MLPERF_FEATURES

/* Rounded half away from zero, as the reference's round(). */
static model_input_t quantized(float value) {
    const float steps = value / MODEL_INPUT_SCALE;
    if (!(steps > -512.0f)) { /* a NaN too */
        return -128;
    }
    const int32_t rounded = steps >= 512.0f ? 512
                            : steps < 0     ? -(int32_t)(0.5f - steps)
                                            : (int32_t)(steps + 0.5f);
    const int32_t level = rounded + MODEL_INPUT_ZERO_POINT;
    return (model_input_t)(level < -128 ? -128 : level > 127 ? 127 : level);
}

void td_mlperf_prepare_input(const td_mlperf_t *mlperf) {
    model_input_t *input = (model_input_t *)mlperf->link->target->input;
    for (uint32_t i = 0; i < TD_MLPERF_FEATURES; i++) {
        input[i] = quantized(mlperf->features[i]);
    }
}

uint8_t *td_mlperf_place(td_mlperf_t *mlperf) {
    return (uint8_t *)mlperf->features;
}

/* The mean square of what the model did not reconstruct. */
void td_mlperf_say_values(const td_mlperf_t *mlperf) {
    const model_output_t *output = (const model_output_t *)mlperf->link->target->output;
    float sum = 0;
    for (uint32_t i = 0; i < TD_MLPERF_FEATURES; i++) {
        const float real = (float)(output[i] - MODEL_OUTPUT_ZERO_POINT) * MODEL_OUTPUT_SCALE;
        const float difference = real - mlperf->features[i];
        sum += difference * difference;
    }
    say_float(mlperf, sum / TD_MLPERF_FEATURES);
}

#else

void td_mlperf_prepare_input(const td_mlperf_t *mlperf) {
    (void)mlperf; /* it lies there already */
}

uint8_t *td_mlperf_place(td_mlperf_t *mlperf) {
    return mlperf->link->target->input;
}

void td_mlperf_say_values(const td_mlperf_t *mlperf) {
    const model_output_t *output = (const model_output_t *)mlperf->link->target->output;
    for (uint32_t i = 0; i < MODEL_OUTPUT_BYTES / sizeof(model_output_t); i++) {
        if (i > 0) {
            td_say(mlperf, ",");
        }
#ifdef MODEL_OUTPUT_SCALE
        /* In 32 bits, without a float: the scale in thousandths is `whole` and 65536ths. */
        static const uint32_t whole = (uint32_t)(MODEL_OUTPUT_SCALE * 1000.0);
        static const uint32_t fraction =
            (uint32_t)((MODEL_OUTPUT_SCALE * 1000.0 - (uint32_t)(MODEL_OUTPUT_SCALE * 1000.0)) *
                       65536.0);
        const int32_t steps = (int32_t)output[i] - MODEL_OUTPUT_ZERO_POINT;
        const uint32_t size = (uint32_t)(steps < 0 ? -steps : steps);
        if (steps < 0) {
            td_say(mlperf, "-");
        }
        td_say_thousandths(mlperf, 0, size * whole + ((size * fraction + 32768u) >> 16));
#else
        const float value = (float)output[i];
        if (value < 0) {
            td_say(mlperf, "-");
        }
        say_float(mlperf, value < 0 ? -value : value);
#endif
    }
}

#endif

#endif
