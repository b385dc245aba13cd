/* MLPerf Tiny's text protocol: see mlperf.h for the contract and docs/MLPERF.md for the rest. */
#include "mlperf.h"

#include "cycles.h"

#if TD_MLPERF

enum { MAGIC = 0xD7, PRINTED_PER_LINE = 8 };

/* ---- Text out ------------------------------------------------------------------------------ */

typedef struct {
    const char *text;
    uint32_t size;
} td_word_t;

/* Not inlined, as others below: there are many calls, and time does not matter. */
#define SMALL __attribute__((noinline))

static SMALL void say_word(const td_mlperf_t *mlperf, td_word_t word) {
    mlperf->link->target->transmit((const uint8_t *)word.text, word.size);
}

/* Of a literal. */
#define WORD(literal) ((td_word_t){(literal), sizeof(literal) - 1})
#define say(mlperf, literal) say_word(mlperf, WORD(literal))
#define say_count(mlperf, prefix, value, suffix)                                                   \
    say_number_between(mlperf, WORD(prefix), value, WORD(suffix))

/* Decimal, with zeros in front up to `least` digits. */
static SMALL void say_number(const td_mlperf_t *mlperf, uint32_t value, uint32_t least) {
    char digits[10];
    uint32_t at = sizeof digits;
    while (value > 0 || at + least > sizeof digits) {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    say_word(mlperf, (td_word_t){digits + at, sizeof digits - at});
}

static SMALL void say_number_between(const td_mlperf_t *mlperf, td_word_t before, uint32_t value,
                                     td_word_t after) {
    say_word(mlperf, before);
    say_number(mlperf, value, 1);
    say_word(mlperf, after);
}

/* A number of thousandths as a decimal fraction with three places. */
static void say_thousandths(const td_mlperf_t *mlperf, uint32_t whole, uint32_t thousandths) {
    say_count(mlperf, "", whole + thousandths / 1000, ".");
    say_number(mlperf, thousandths % 1000, 3);
}

/* ---- Time ---------------------------------------------------------------------------------- */

/* Adds cycles to the clock. The core runs at whole kHz; nothing here exceeds 32 bits. */
static SMALL void advance(td_mlperf_t *mlperf, uint32_t cycles) {
    const uint32_t khz = mlperf->link->target->core_hz / 1000;
    const uint32_t rest = cycles % khz + mlperf->cycles;
    mlperf->milliseconds += cycles / khz + rest / khz;
    mlperf->cycles = rest % khz;
}

static void update_clock(td_mlperf_t *mlperf) {
    const uint32_t now = cycles_now();
    advance(mlperf, now - mlperf->counted);
    mlperf->counted = now;
}

/* Milliseconds and three digits: no wrap of 32-bit microseconds in a run of an hour. */
static void say_time(const td_mlperf_t *mlperf) {
    const uint32_t khz = mlperf->link->target->core_hz / 1000;
    say(mlperf, "m-lap-us-");
    if (mlperf->milliseconds > 0) {
        say_number(mlperf, mlperf->milliseconds, 1);
    }
    say_number(mlperf, mlperf->cycles * 1000 / khz, mlperf->milliseconds > 0 ? 3 : 1);
    say(mlperf, "\r\n");
}

/* ---- Results ------------------------------------------------------------------------------- */

/* A float that is not negative: three places, at most about 4e9. */
static void __attribute__((unused)) say_float(const td_mlperf_t *mlperf, float value) {
    if (!(value < 4e9f)) { /* a NaN too */
        say(mlperf, "4000000000.000");
        return;
    }
    const uint32_t whole = (uint32_t)value;
    say_thousandths(mlperf, whole, (uint32_t)((value - (float)whole) * 1000.0f + 0.5f));
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

static void prepare_input(const td_mlperf_t *mlperf) {
    model_input_t *input = (model_input_t *)mlperf->link->target->input;
    for (uint32_t i = 0; i < TD_MLPERF_FEATURES; i++) {
        input[i] = quantized(mlperf->features[i]);
    }
}

static uint8_t *place_of(td_mlperf_t *mlperf) {
    return (uint8_t *)mlperf->features;
}

/* The mean square of what the model did not reconstruct. */
static void say_values(const td_mlperf_t *mlperf) {
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

static void prepare_input(const td_mlperf_t *mlperf) {
    (void)mlperf; /* it lies there already */
}

static uint8_t *place_of(td_mlperf_t *mlperf) {
    return mlperf->link->target->input;
}

static void say_values(const td_mlperf_t *mlperf) {
    const model_output_t *output = (const model_output_t *)mlperf->link->target->output;
    for (uint32_t i = 0; i < MODEL_OUTPUT_BYTES / sizeof(model_output_t); i++) {
        if (i > 0) {
            say(mlperf, ",");
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
            say(mlperf, "-");
        }
        say_thousandths(mlperf, 0, size * whole + ((size * fraction + 32768u) >> 16));
#else
        const float value = (float)output[i];
        if (value < 0) {
            say(mlperf, "-");
        }
        say_float(mlperf, value < 0 ? -value : value);
#endif
    }
}

#endif

static void results(const td_mlperf_t *mlperf) {
    if (!mlperf->finished || mlperf->link->session != 0) {
        say(mlperf, "e-[No results: load an input and infer first]\r\n");
        return;
    }
    say(mlperf, "m-results-[");
    say_values(mlperf);
    say(mlperf, "]\r\n");
}

/* ---- Commands ------------------------------------------------------------------------------ */

/* Cuts the next word off `rest`; its size is 0 when there is none. */
static SMALL td_word_t next_word(td_word_t *rest) {
    while (rest->size > 0 && *rest->text == ' ') {
        rest->text++;
        rest->size--;
    }
    td_word_t word = {rest->text, 0};
    while (word.size < rest->size && word.text[word.size] != ' ') {
        word.size++;
    }
    rest->text += word.size;
    rest->size -= word.size;
    return word;
}

static SMALL bool equal(td_word_t word, td_word_t name) {
    return word.size == name.size && __builtin_memcmp(word.text, name.text, name.size) == 0;
}

#define is(word, name) equal(word, WORD(name))

/* A decimal number of at most six digits; UINT32_MAX for anything else. */
static SMALL uint32_t number_of(td_word_t word) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < word.size; i++) {
        if (word.text[i] < '0' || word.text[i] > '9' || i == 6) {
            return UINT32_MAX;
        }
        value = value * 10 + (uint32_t)(word.text[i] - '0');
    }
    return value;
}

/* The value of a hexadecimal digit, or -1. */
static SMALL int32_t digit_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What was loaded counts no more: it has been used up, or frames have taken the model over. */
static void forget(td_mlperf_t *mlperf) {
    mlperf->load_bytes = 0;
    mlperf->loaded_bytes = 0;
}

static void load(td_mlperf_t *mlperf, td_word_t word) {
    const uint32_t size = number_of(word);
    forget(mlperf);
    if (size == 0) {
        say(mlperf, "e-[Command 'db load' requires the # of bytes, above 0]\r\n");
    } else if (size > TD_MLPERF_INPUT_BYTES) {
        say_count(mlperf, "e-[The model takes ", TD_MLPERF_INPUT_BYTES, " bytes]\r\n");
    } else {
        /* From here on the frames' session, if there is one, cannot rely on the model's memory. */
        mlperf->link->session = 0;
        mlperf->load_bytes = size;
        say_count(mlperf, "m-[Expecting ", size, " bytes]\r\n");
    }
}

static void store(td_mlperf_t *mlperf, td_word_t digits) {
    bool bad = digits.size % 2 != 0;
    for (uint32_t i = 0; i < digits.size; i++) {
        bad |= digit_of(digits.text[i]) < 0;
    }
    if (bad) {
        forget(mlperf); /* so that nothing is computed from what came through in part */
        say(mlperf, "e-[Command 'db' requires pairs of hex digits: load again]\r\n");
        return;
    }
    if (mlperf->load_bytes == 0) {
        say(mlperf, "e-[Command 'db' requires 'db load' first]\r\n");
        return;
    }
    uint8_t *place = place_of(mlperf);
    for (uint32_t i = 0; i < digits.size && mlperf->loaded_bytes < mlperf->load_bytes; i += 2) {
        const int32_t value = digit_of(digits.text[i]) * 16 + digit_of(digits.text[i + 1]);
        place[mlperf->loaded_bytes++] = (uint8_t)((uint32_t)value ^ TD_MLPERF_FLIP);
        if (mlperf->loaded_bytes == mlperf->load_bytes) {
            say(mlperf, "m-load-done\r\n");
        }
    }
}

static void print(td_mlperf_t *mlperf) {
    static const char hex[] = "0123456789abcdef";
    const uint8_t *place = place_of(mlperf);
    for (uint32_t i = 0; i < mlperf->loaded_bytes; i++) {
        const uint32_t value = place[i] ^ TD_MLPERF_FLIP;
        const bool last = i % PRINTED_PER_LINE == PRINTED_PER_LINE - 1;
        say_word(mlperf, i % PRINTED_PER_LINE == 0 ? WORD("m-buffer-") : WORD("-"));
        say_word(mlperf, (td_word_t){(const char[]){hex[value >> 4], hex[value & 15]}, 2});
        say_word(mlperf, last || i + 1 == mlperf->loaded_bytes ? WORD("\r\n") : WORD(""));
    }
}

static void db(td_mlperf_t *mlperf, td_word_t rest) {
    const td_word_t word = next_word(&rest);
    if (mlperf->link->session != 0) {
        forget(mlperf);
    }
    if (word.size == 0) {
        say(mlperf, "e-[Command 'db' requires a subcommand]\r\n");
    } else if (is(word, "load")) {
        load(mlperf, next_word(&rest));
    } else if (is(word, "print")) {
        print(mlperf);
    } else {
        store(mlperf, word);
    }
}

/* One inference, its cycles added to the clock. Only the first finds its input whole: its output is
 * kept, and the others only tell the time. */
static void run(td_mlperf_t *mlperf) {
    const td_target_t *target = mlperf->link->target;
    uint32_t stack_bytes;
    advance(mlperf, target->invoke(&stack_bytes));
    if (!mlperf->finished) {
        __builtin_memcpy(target->output, target->model_output, target->output_bytes);
        mlperf->finished = true;
    }
}

static void infer(td_mlperf_t *mlperf, td_word_t rest) {
    const td_word_t first = next_word(&rest);
    const td_word_t second = next_word(&rest);
    const uint32_t runs = first.size == 0 ? 1 : number_of(first);
    const uint32_t warmups = second.size == 0 ? 10 : number_of(second);
    if (runs == 0 || runs > TD_MLPERF_MAX_RUNS) {
        say_count(mlperf, "e-[Inference iterations must be >0 and <=", TD_MLPERF_MAX_RUNS, "]\r\n");
        return;
    }
    if (warmups > TD_MLPERF_MAX_RUNS) {
        say_count(mlperf, "e-[Inference warmup must be >=0 and <=", TD_MLPERF_MAX_RUNS, "]\r\n");
        return;
    }
    if (mlperf->link->session != 0) {
        forget(mlperf);
    }
    if (mlperf->loaded_bytes != TD_MLPERF_INPUT_BYTES) {
        say_count(mlperf, "e-[Input db has ", mlperf->loaded_bytes, " bytes, ");
        say_count(mlperf, "expected ", TD_MLPERF_INPUT_BYTES, "; a run uses them up]\r\n");
        return;
    }
    prepare_input(mlperf);
    forget(mlperf);
    mlperf->finished = false;

    say_count(mlperf, "m-warmup-start-", warmups, "\r\n");
    for (uint32_t i = 0; i < warmups; i++) {
        run(mlperf);
    }
    say(mlperf, "m-warmup-done\r\n");
    say_count(mlperf, "m-infer-start-", runs, "\r\n");
    say_time(mlperf);
    /* On the wire before the clock goes on, so that no interrupt of the UART disturbs the runs and
     * the line's time is not counted as the model's. */
    mlperf->link->target->drain();
    for (uint32_t i = 0; i < runs; i++) {
        run(mlperf);
    }
    say_time(mlperf);
    mlperf->counted = cycles_now();
    say(mlperf, "m-infer-done\r\n");
    results(mlperf);
}

static SMALL void name(const td_mlperf_t *mlperf) {
    say(mlperf, "m-name-dut-[");
    const td_name_t *board = &mlperf->link->target->board;
    say_word(mlperf, (td_word_t){board->text, board->size});
    say(mlperf, "]\r\n");
}

static SMALL void profile(const td_mlperf_t *mlperf) {
    /* The version is what runners know the protocol by. */
    say(mlperf, "m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n"
                "m-model-[" TD_MLPERF_MODEL "]\r\n");
}

static SMALL void ready(const td_mlperf_t *mlperf) {
    say(mlperf, "m-ready\r\n");
}

/* What may be noise counts only if it ends in a command that changes nothing. */
static bool greet(const td_mlperf_t *mlperf) {
    const char *end = mlperf->command + mlperf->size;
    if (mlperf->size >= 4 && is(((td_word_t){end - 4, 4}), "name")) {
        name(mlperf);
    } else if (mlperf->size >= 7 && is(((td_word_t){end - 7, 7}), "profile")) {
        profile(mlperf);
    } else {
        return false;
    }
    ready(mlperf);
    return true;
}

static void execute(td_mlperf_t *mlperf) {
    td_word_t rest = {mlperf->command, mlperf->size};
    const td_word_t word = next_word(&rest);
    update_clock(mlperf);
    if (mlperf->too_long || mlperf->noisy) {
        forget(mlperf);
        say(mlperf, "e-[Command too long, or damaged on the line: load again]\r\n");
    } else if (is(word, "name")) {
        name(mlperf);
    } else if (is(word, "profile")) {
        profile(mlperf);
    } else if (is(word, "timestamp")) {
        say_time(mlperf);
    } else if (is(word, "db")) {
        db(mlperf, rest);
    } else if (is(word, "infer")) {
        infer(mlperf, rest);
    } else if (is(word, "results")) {
        results(mlperf);
    } else if (is(word, "help")) {
        say(mlperf,
            "name% profile% timestamp% db load N% db HEX% db print% infer N W% results%\r\n");
    } else {
        say(mlperf, "e-[Unknown command: ");
        say_word(mlperf, word);
        say(mlperf, "]\r\n");
    }
    ready(mlperf);
}

/* ---- Text in ------------------------------------------------------------------------------- */

static void begin_command(td_mlperf_t *mlperf, bool noisy) {
    mlperf->size = 0;
    mlperf->too_long = false;
    mlperf->noisy = noisy;
}

static void end_command(td_mlperf_t *mlperf) {
    if (mlperf->place == TD_MLPERF_FRAME) {
        /* A frame may hold such characters, and is still taken as a frame by the link; two of these
         * commands, one right after the other, come from a host that speaks after a cut-off one. */
        const bool before = mlperf->greeted && !mlperf->noisy && mlperf->size <= 7;
        mlperf->greeted = greet(mlperf);
        if (mlperf->greeted && before) {
            mlperf->place = TD_MLPERF_TALK;
        }
    } else if (mlperf->place == TD_MLPERF_TALK || !mlperf->noisy) {
        execute(mlperf);
        mlperf->place = TD_MLPERF_TALK;
    } else if (greet(mlperf)) {
        mlperf->place = TD_MLPERF_TALK;
    }
    begin_command(mlperf, false);
}

static void push(td_mlperf_t *mlperf, uint8_t byte) {
    if (byte == 0) {
        mlperf->place = TD_MLPERF_START;
        begin_command(mlperf, false);
        return;
    }
    if (mlperf->place == TD_MLPERF_START) {
        mlperf->place = byte == MAGIC ? TD_MLPERF_FRAME : TD_MLPERF_TEXT;
        mlperf->segment_bytes = 0;
        mlperf->greeted = false;
    }
    if (mlperf->place == TD_MLPERF_FRAME && ++mlperf->segment_bytes > TD_LINK_RAW_BYTES) {
        mlperf->place = TD_MLPERF_TEXT; /* longer than any frame */
        mlperf->noisy = true;
    }
    if (byte == '%') {
        end_command(mlperf);
    } else if (byte == '\r' || byte == '\n') {
        /* From a person at a terminal. */
    } else if (byte < 0x20 || byte > 0x7E) {
        begin_command(mlperf, true);
    } else if (mlperf->size < TD_MLPERF_COMMAND_BYTES) {
        mlperf->command[mlperf->size++] = (char)byte;
    } else {
        mlperf->too_long = true;
    }
}

void td_mlperf_init(td_mlperf_t *mlperf, td_link_t *link) {
    *mlperf = (td_mlperf_t){.link = link, .counted = cycles_now()};
}

void td_mlperf_receive(td_mlperf_t *mlperf, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        push(mlperf, data[i]);
    }
}

#endif
