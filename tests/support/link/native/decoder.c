/* Standard input through the device's decoder, one line per event: what the Python decoder must say too.
 *
 * frame TYPE SEQUENCE SESSION PAYLOAD_HEX | text HEX | garbage REASON
 */
#include <stdio.h>

#include "frame.h"

static void print_hex(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        printf("%02x", data[i]);
    }
    putchar('\n');
}

int main(void) {
    static const char *const reasons[] = {
        [TD_EVENT_TOO_LONG] = "too long",
        [TD_EVENT_COBS] = "bad byte stuffing",
        [TD_EVENT_SHORT] = "too short",
        [TD_EVENT_MAGIC] = "not a frame",
        [TD_EVENT_LENGTH] = "wrong length",
        [TD_EVENT_CRC] = "wrong checksum",
    };
    static td_decoder_t decoder;
    int byte;
    while ((byte = getchar()) != EOF) {
        const td_event_t event = td_decoder_push(&decoder, (uint8_t)byte);
        if (event == TD_EVENT_FRAME) {
            const td_frame_t *frame = &decoder.frame;
            printf("frame %u %u %u ", frame->type, frame->sequence, frame->session);
            print_hex(frame->payload, frame->size);
        } else if (event == TD_EVENT_TEXT) {
            printf("text ");
            print_hex(decoder.raw, decoder.size);
        } else if (event != TD_EVENT_NONE) {
            printf("garbage %s\n", reasons[event]);
        }
    }
    return 0;
}
