/* What target.c gives the fuzzer's driver. */
#ifndef TARGET_H
#define TARGET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The types of frames and the codes of refusals that the device has ever sent. */
extern bool fuzz_answered[256];
extern bool fuzz_refused[256];

/* Passes `data` in after a reset; aborts when the firmware does not answer afterwards. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A whole frame with `payload`, on the wire; `frame` is valid until the next call. */
size_t fuzz_frame(uint8_t type, uint16_t session, const uint8_t *payload, uint16_t size,
                  const uint8_t **frame);

#endif
