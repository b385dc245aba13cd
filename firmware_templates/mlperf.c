/* MLPerf Tiny's text protocol: see mlperf.h for the contract and docs/MLPERF.md for the rest. */
#include "mlperf.h"

#include "cycles.h"
#include "mlperf_encoding.h"
#include "mlperf_text.h"

#if TD_MLPERF

enum { MAGIC = 0xD7, PRINTED_PER_LINE = 8 };

/* Called from several places where time does not matter. */
#define SMALL __attribute__((noinline))

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
    td_say(mlperf, "m-lap-us-");
    if (mlperf->milliseconds > 0) {
        td_say_number(mlperf, mlperf->milliseconds, 1);
    }
    td_say_number(mlperf, mlperf->cycles * 1000 / khz, mlperf->milliseconds > 0 ? 3 : 1);
    td_say(mlperf, "\r\n");
}

/* ---- Commands ------------------------------------------------------------------------------ */

static void results(const td_mlperf_t *mlperf) {
    if (!mlperf->finished || mlperf->link->session != 0) {
        td_say(mlperf, "e-[No results: load an input and infer first]\r\n");
        return;
    }
    td_say(mlperf, "m-results-[");
    td_mlperf_say_values(mlperf);
    td_say(mlperf, "]\r\n");
}

/* What was loaded counts no more: it has been used up, or frames have taken the model over. */
static void forget(td_mlperf_t *mlperf) {
    mlperf->load_bytes = 0;
    mlperf->loaded_bytes = 0;
}

static void load(td_mlperf_t *mlperf, td_word_t word) {
    const uint32_t size = td_number_of(word);
    forget(mlperf);
    if (size == 0) {
        td_say(mlperf, "e-[Command 'db load' requires the # of bytes, above 0]\r\n");
    } else if (size > TD_MLPERF_INPUT_BYTES) {
        td_say_count(mlperf, "e-[The model takes ", TD_MLPERF_INPUT_BYTES, " bytes]\r\n");
    } else {
        /* From here on the frames' session, if there is one, cannot rely on the model's memory. */
        mlperf->link->session = 0;
        mlperf->load_bytes = size;
        td_say_count(mlperf, "m-[Expecting ", size, " bytes]\r\n");
    }
}

static void store(td_mlperf_t *mlperf, td_word_t digits) {
    bool bad = digits.size % 2 != 0;
    for (uint32_t i = 0; i < digits.size; i++) {
        bad |= td_digit_of(digits.text[i]) < 0;
    }
    if (bad) {
        forget(mlperf); /* so that nothing is computed from what came through in part */
        td_say(mlperf, "e-[Command 'db' requires pairs of hex digits: load again]\r\n");
        return;
    }
    if (mlperf->load_bytes == 0) {
        td_say(mlperf, "e-[Command 'db' requires 'db load' first]\r\n");
        return;
    }
    uint8_t *place = td_mlperf_place(mlperf);
    for (uint32_t i = 0; i < digits.size && mlperf->loaded_bytes < mlperf->load_bytes; i += 2) {
        const int32_t value = td_digit_of(digits.text[i]) * 16 + td_digit_of(digits.text[i + 1]);
        place[mlperf->loaded_bytes++] = (uint8_t)((uint32_t)value ^ TD_MLPERF_FLIP);
        if (mlperf->loaded_bytes == mlperf->load_bytes) {
            td_say(mlperf, "m-load-done\r\n");
        }
    }
}

static void print(td_mlperf_t *mlperf) {
    static const char hex[] = "0123456789abcdef";
    const uint8_t *place = td_mlperf_place(mlperf);
    for (uint32_t i = 0; i < mlperf->loaded_bytes; i++) {
        const uint32_t value = place[i] ^ TD_MLPERF_FLIP;
        const bool last = i % PRINTED_PER_LINE == PRINTED_PER_LINE - 1;
        td_say_word(mlperf, i % PRINTED_PER_LINE == 0 ? TD_WORD("m-buffer-") : TD_WORD("-"));
        td_say_word(mlperf, (td_word_t){(const char[]){hex[value >> 4], hex[value & 15]}, 2});
        td_say_word(mlperf, last || i + 1 == mlperf->loaded_bytes ? TD_WORD("\r\n") : TD_WORD(""));
    }
}

static void db(td_mlperf_t *mlperf, td_word_t rest) {
    const td_word_t word = td_next_word(&rest);
    if (mlperf->link->session != 0) {
        forget(mlperf);
    }
    if (word.size == 0) {
        td_say(mlperf, "e-[Command 'db' requires a subcommand]\r\n");
    } else if (td_is(word, "load")) {
        load(mlperf, td_next_word(&rest));
    } else if (td_is(word, "print")) {
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
    const td_word_t first = td_next_word(&rest);
    const td_word_t second = td_next_word(&rest);
    const uint32_t runs = first.size == 0 ? 1 : td_number_of(first);
    const uint32_t warmups = second.size == 0 ? 10 : td_number_of(second);
    if (runs == 0 || runs > TD_MLPERF_MAX_RUNS) {
        td_say_count(mlperf, "e-[Inference iterations must be >0 and <=", TD_MLPERF_MAX_RUNS,
                     "]\r\n");
        return;
    }
    if (warmups > TD_MLPERF_MAX_RUNS) {
        td_say_count(mlperf, "e-[Inference warmup must be >=0 and <=", TD_MLPERF_MAX_RUNS, "]\r\n");
        return;
    }
    if (mlperf->link->session != 0) {
        forget(mlperf);
    }
    if (mlperf->loaded_bytes != TD_MLPERF_INPUT_BYTES) {
        td_say_count(mlperf, "e-[Input db has ", mlperf->loaded_bytes, " bytes, ");
        td_say_count(mlperf, "expected ", TD_MLPERF_INPUT_BYTES, "; a run uses them up]\r\n");
        return;
    }
    td_mlperf_prepare_input(mlperf);
    forget(mlperf);
    mlperf->finished = false;

    td_say_count(mlperf, "m-warmup-start-", warmups, "\r\n");
    for (uint32_t i = 0; i < warmups; i++) {
        run(mlperf);
    }
    td_say(mlperf, "m-warmup-done\r\n");
    td_say_count(mlperf, "m-infer-start-", runs, "\r\n");
    say_time(mlperf);
    /* On the wire before the clock goes on, so that no interrupt of the UART disturbs the runs and
     * the line's time is not counted as the model's. */
    mlperf->link->target->drain();
    for (uint32_t i = 0; i < runs; i++) {
        run(mlperf);
    }
    say_time(mlperf);
    mlperf->counted = cycles_now();
    td_say(mlperf, "m-infer-done\r\n");
    results(mlperf);
}

static SMALL void name(const td_mlperf_t *mlperf) {
    td_say(mlperf, "m-name-dut-[");
    const td_name_t *board = &mlperf->link->target->board;
    td_say_word(mlperf, (td_word_t){board->text, board->size});
    td_say(mlperf, "]\r\n");
}

static SMALL void profile(const td_mlperf_t *mlperf) {
    /* The version is what runners know the protocol by. */
    td_say(mlperf, "m-profile-[ULPMark for tinyML Firmware V0.0.1]\r\n"
                   "m-model-[" TD_MLPERF_MODEL "]\r\n");
}

static SMALL void ready(const td_mlperf_t *mlperf) {
    td_say(mlperf, "m-ready\r\n");
}

/* What may be noise counts only if it ends in a command that changes nothing. */
static bool greet(const td_mlperf_t *mlperf) {
    const char *end = mlperf->command + mlperf->size;
    if (mlperf->size >= 4 && td_is(((td_word_t){end - 4, 4}), "name")) {
        name(mlperf);
    } else if (mlperf->size >= 7 && td_is(((td_word_t){end - 7, 7}), "profile")) {
        profile(mlperf);
    } else {
        return false;
    }
    ready(mlperf);
    return true;
}

static void execute(td_mlperf_t *mlperf) {
    td_word_t rest = {mlperf->command, mlperf->size};
    const td_word_t word = td_next_word(&rest);
    update_clock(mlperf);
    if (mlperf->too_long || mlperf->noisy) {
        forget(mlperf);
        td_say(mlperf, "e-[Command too long, or damaged on the line: load again]\r\n");
    } else if (td_is(word, "name")) {
        name(mlperf);
    } else if (td_is(word, "profile")) {
        profile(mlperf);
    } else if (td_is(word, "timestamp")) {
        say_time(mlperf);
    } else if (td_is(word, "db")) {
        db(mlperf, rest);
    } else if (td_is(word, "infer")) {
        infer(mlperf, rest);
    } else if (td_is(word, "results")) {
        results(mlperf);
    } else if (td_is(word, "help")) {
        td_say(mlperf,
               "name% profile% timestamp% db load N% db HEX% db print% infer N W% results%\r\n");
    } else {
        td_say(mlperf, "e-[Unknown command: ");
        td_say_word(mlperf, word);
        td_say(mlperf, "]\r\n");
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
