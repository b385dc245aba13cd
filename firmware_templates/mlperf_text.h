/* Words and numbers of MLPerf Tiny's text protocol: out on the link's line, and in from a command.
 *
 * None is inlined: there are many calls, and time does not matter.
 */
#ifndef TD_MLPERF_TEXT_H
#define TD_MLPERF_TEXT_H

#include "mlperf.h"

typedef struct {
    const char *text;
    uint32_t size;
} td_word_t;

/* Of a literal. */
#define TD_WORD(literal) ((td_word_t){(literal), sizeof(literal) - 1})
#define td_say(mlperf, literal) td_say_word(mlperf, TD_WORD(literal))
#define td_say_count(mlperf, prefix, value, suffix)                                                \
    td_say_number_between(mlperf, TD_WORD(prefix), value, TD_WORD(suffix))
#define td_is(word, name) td_equal(word, TD_WORD(name))

void td_say_word(const td_mlperf_t *mlperf, td_word_t word);

/* Decimal, with zeros in front up to `least` digits. */
void td_say_number(const td_mlperf_t *mlperf, uint32_t value, uint32_t least);

void td_say_number_between(const td_mlperf_t *mlperf, td_word_t before, uint32_t value,
                           td_word_t after);

/* A number of thousandths as a decimal fraction with three places. */
void td_say_thousandths(const td_mlperf_t *mlperf, uint32_t whole, uint32_t thousandths);

/* Cuts the next word off `rest`; its size is 0 when there is none. */
td_word_t td_next_word(td_word_t *rest);

bool td_equal(td_word_t word, td_word_t name);

/* A decimal number of at most six digits; UINT32_MAX for anything else. */
uint32_t td_number_of(td_word_t word);

/* The value of a hexadecimal digit, or -1. */
int32_t td_digit_of(char c);

#endif
