/* Pins of the nRF52. nRF52840 Product Specification "GPIO - General purpose input/output" and
 * "UART", "Pin configuration": the port sets direction and level before the UART takes the pins.
 */
#ifndef PINS_H
#define PINS_H

#include <stdint.h>

#include "board.h"
#include "mmio.h"

#define GPIO_OUTSET(port) (0x50000508u + 0x300u * (port))
#define GPIO_PIN_CNF(port, pin) (0x50000700u + 0x300u * (port) + 4u * (pin))
#define GPIO_PIN_CNF_OUTPUT 3u /* output, its input buffer off */
#define GPIO_PIN_CNF_INPUT_PULLED                                                                  \
    0xCu /* input with pull-up, so that an open line reads as idle                                 \
          */

static inline void pins_connect_uart(void) {
    MMIO32(GPIO_OUTSET(BOARD_UART_TX_PORT)) = 1u << BOARD_UART_TX_PIN;
    MMIO32(GPIO_PIN_CNF(BOARD_UART_TX_PORT, BOARD_UART_TX_PIN)) = GPIO_PIN_CNF_OUTPUT;
    MMIO32(GPIO_PIN_CNF(BOARD_UART_RX_PORT, BOARD_UART_RX_PIN)) = GPIO_PIN_CNF_INPUT_PULLED;
}

#endif
