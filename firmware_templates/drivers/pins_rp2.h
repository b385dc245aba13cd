/* Pins of the RP2040 and RP2350: the pad, then the function. RP2040 data sheet "GPIO" ("Pads", "IO
 * Bank 0"); the RP2350 adds a latch that isolates the pad until ISO (bit 8) is cleared.
 */
#ifndef PINS_H
#define PINS_H

#include <stdint.h>

#include "board.h"
#include "mmio.h"

#define PADS_BANK0_GPIO(pin) (BOARD_RP2_PADS_BANK0 + 4u + 4u * (pin))
/* Input on, output on, 4 mA, pull-up so that an open line reads as idle, Schmitt trigger, not
 * isolated. */
#define PAD_CONNECTED ((1u << 6) | (1u << 4) | (1u << 3) | (1u << 1))
#define IO_BANK0_GPIO_CTRL(pin) (BOARD_RP2_IO_BANK0 + 4u + 8u * (pin))
#define RESETS_RESET (BOARD_RP2_RESETS + 0x0u)
#define RESETS_RESET_DONE (BOARD_RP2_RESETS + 0x8u)

static inline void pins_connect_uart(void) {
    const uint32_t blocks = BOARD_RP2_RESET_IO_BANK0 | BOARD_RP2_RESET_PADS_BANK0;
    mmio_clear(RESETS_RESET, blocks);
    mmio_wait(RESETS_RESET_DONE, blocks, blocks);
    MMIO32(IO_BANK0_GPIO_CTRL(BOARD_UART_TX_PIN)) = BOARD_UART_TX_FUNCTION;
    MMIO32(PADS_BANK0_GPIO(BOARD_UART_TX_PIN)) = PAD_CONNECTED;
    MMIO32(IO_BANK0_GPIO_CTRL(BOARD_UART_RX_PIN)) = BOARD_UART_RX_FUNCTION;
    MMIO32(PADS_BANK0_GPIO(BOARD_UART_RX_PIN)) = PAD_CONNECTED;
}

#endif
