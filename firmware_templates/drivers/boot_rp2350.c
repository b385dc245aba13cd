/* The image definition that the RP2350's boot ROM looks for in the first 4 KiB of the flash: an
 * executable for its Arm cores, secure. The vector table at the start of the flash is used, which
 * is the default. RP2350 data sheet "Bootrom", "Blocks and block loops" and "Minimum viable image
 * metadata".
 */
#include <stdint.h>

__attribute__((section(".image_definition"), used)) const uint32_t image_definition[5] = {
    0xFFFFDED3u, /* start marker */
    0x10210142u, /* IMAGE_TYPE, one word: executable, secure, Arm, RP2350 */
    0x000001FFu, /* LAST, one word before it */
    0x00000000u, /* the next block, relative: this is the only one */
    0xAB123579u, /* end marker */
};
