/* MLPerf Tiny's text protocol, beside the binary frames on the same UART. docs/MLPERF.md is the
 * specification.
 *
 * A host sends commands that end in '%' (name, profile, timestamp, db, infer, results, help); each
 * is answered by lines of text of which the last is "m-ready". Frames are told from commands by
 * their zeros and their magic byte (docs/PROTOCOL.md): what lies between is never taken for a
 * command that changes anything. Any byte sequence may be passed in.
 *
 * No heap, no globals, no hardware but the cycle counter. The model is model.h, fixed when this is
 * compiled: an input of one of the benchmarks' sizes comes in that benchmark's encoding, any other
 * as the bytes that it has in memory. It is written straight into the model's input, so there is no
 * second copy of it, and a run uses it up.
 */
#ifndef TD_MLPERF_H
#define TD_MLPERF_H

#include "link.h"
#include "model.h"

/* 0 leaves the text protocol out: make FIRMWARE_DEFINES=-DTD_MLPERF=0. */
#ifndef TD_MLPERF
#define TD_MLPERF 1
#endif

/* The benchmarks' models, by their sizes (mlcommons/tiny, benchmark/evaluation/datasets). `FLIP` is
 * what turns an unsigned pixel into a signed one. */
#if MODEL_INPUT_BYTES == 96 * 96 * 3 && MODEL_OUTPUT_BYTES == 2
#define TD_MLPERF_MODEL "vww01"
#define TD_MLPERF_FLIP (((model_input_t) - 1 < 0) ? 0x80u : 0u)
#elif MODEL_INPUT_BYTES == 32 * 32 * 3 && MODEL_OUTPUT_BYTES == 10
#define TD_MLPERF_MODEL "ic01"
#define TD_MLPERF_FLIP (((model_input_t) - 1 < 0) ? 0x80u : 0u)
#elif MODEL_INPUT_BYTES == 49 * 10 && MODEL_OUTPUT_BYTES == 12
#define TD_MLPERF_MODEL "kws01"
#define TD_MLPERF_FLIP 0u
#elif MODEL_INPUT_BYTES == 5 * 128 && MODEL_OUTPUT_BYTES == 5 * 128 && defined MODEL_INPUT_SCALE
#define TD_MLPERF_MODEL "ad01"
#define TD_MLPERF_FLIP 0u
/* float32; the result is the error of their reconstruction. */
#define TD_MLPERF_FEATURES (5 * 128)
#else
#define TD_MLPERF_MODEL MODEL_NAME
#define TD_MLPERF_FLIP 0u
#endif

#ifdef TD_MLPERF_FEATURES
#define TD_MLPERF_INPUT_BYTES (4u * TD_MLPERF_FEATURES)
#else
#define TD_MLPERF_INPUT_BYTES ((uint32_t)(MODEL_INPUT_BYTES))
#endif

#define TD_MLPERF_COMMAND_BYTES 80u /* the longest command, as in the reference */
#define TD_MLPERF_MAX_RUNS 100000u  /* of one `infer`, and as many to warm up */

typedef enum {
    TD_MLPERF_START, /* after a zero: a frame or text may begin */
    TD_MLPERF_FRAME, /* in what began as a frame does */
    TD_MLPERF_TEXT,  /* in something else, which may be noise */
    TD_MLPERF_TALK,  /* in text that held a command */
} td_mlperf_place_t;

typedef struct {
    /* Shares the model with the frames: a session of theirs ends when a load begins here, and what
     * was loaded here is forgotten when a session begins there. */
    td_link_t *link;
    td_mlperf_place_t place;
    uint32_t segment_bytes; /* since the last zero, in a frame */
    uint32_t size;          /* of `command` */
    bool too_long;          /* the command has more characters than fit */
    bool noisy;             /* bytes that are no text came before it */
    bool greeted;           /* the last thing in a frame's place was a command */
    bool finished;          /* `link->target->output` is of an inference of this protocol */
    uint32_t load_bytes;    /* that `db load` has announced; 0: none */
    uint32_t loaded_bytes;
    uint32_t milliseconds; /* that the core has been awake, and the cycles beyond them */
    uint32_t cycles;
    uint32_t counted; /* the cycle counter when they were brought up to date */
    char command[TD_MLPERF_COMMAND_BYTES];
#ifdef TD_MLPERF_FEATURES
    float features[TD_MLPERF_FEATURES];
#endif
} td_mlperf_t;

/* `link` is initialised and outlives `mlperf`, which this initialises. */
void td_mlperf_init(td_mlperf_t *mlperf, td_link_t *link);

/* Takes received bytes, the same that the link gets, and answers the commands in them. */
void td_mlperf_receive(td_mlperf_t *mlperf, const uint8_t *data, size_t size);

#endif
