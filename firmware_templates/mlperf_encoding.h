/* The encodings in which MLPerf Tiny's benchmarks send inputs and take results (docs/MLPERF.md):
 * float32 features for anomaly detection, the model's own bytes (pixels with their sign turned as
 * they are stored) for all others.
 */
#ifndef TD_MLPERF_ENCODING_H
#define TD_MLPERF_ENCODING_H

#include "mlperf.h"

/* Where the TD_MLPERF_INPUT_BYTES of an input are stored as they come. */
uint8_t *td_mlperf_place(td_mlperf_t *mlperf);

/* Makes the model's input of them. */
void td_mlperf_prepare_input(const td_mlperf_t *mlperf);

/* Prints what the result of the last run is, its values separated by commas. */
void td_mlperf_say_values(const td_mlperf_t *mlperf);

#endif
