/* Words and numbers of MLPerf Tiny's text protocol: see mlperf_text.h for the contract. */
#include "mlperf_text.h"

#if TD_MLPERF

void td_say_word(const td_mlperf_t *mlperf, td_word_t word) {
    mlperf->link->target->transmit((const uint8_t *)word.text, word.size);
}

void td_say_number(const td_mlperf_t *mlperf, uint32_t value, uint32_t least) {
    char digits[10];
    uint32_t at = sizeof digits;
    while (value > 0 || at + least > sizeof digits) {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    td_say_word(mlperf, (td_word_t){digits + at, sizeof digits - at});
}

void td_say_number_between(const td_mlperf_t *mlperf, td_word_t before, uint32_t value,
                           td_word_t after) {
    td_say_word(mlperf, before);
    td_say_number(mlperf, value, 1);
    td_say_word(mlperf, after);
}

void td_say_thousandths(const td_mlperf_t *mlperf, uint32_t whole, uint32_t thousandths) {
    td_say_count(mlperf, "", whole + thousandths / 1000, ".");
    td_say_number(mlperf, thousandths % 1000, 3);
}

td_word_t td_next_word(td_word_t *rest) {
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

bool td_equal(td_word_t word, td_word_t name) {
    return word.size == name.size && __builtin_memcmp(word.text, name.text, name.size) == 0;
}

uint32_t td_number_of(td_word_t word) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < word.size; i++) {
        if (word.text[i] < '0' || word.text[i] > '9' || i == 6) {
            return UINT32_MAX;
        }
        value = value * 10 + (uint32_t)(word.text[i] - '0');
    }
    return value;
}

int32_t td_digit_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

#endif
