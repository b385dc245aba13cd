/* Pins of the STM32 (F4, F7, H7, L4, L4+, U5; not F1): mode, alternate function, speed and pull lie
 * in the same places. RM0385 "General-purpose I/Os (GPIO)".
 */
#ifndef PINS_H
#define PINS_H

#include <stdint.h>

#include "board.h"
#include "mmio.h"

#define GPIO_MODER 0x00u
#define GPIO_OTYPER 0x04u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR 0x0Cu
#define GPIO_AFRL 0x20u

/* Connects a pin to the alternate function `af`: fast push-pull, pulled up so that an open line
 * reads as idle. The function is chosen before the mode, so that no other drives the pin. */
static inline void pins_connect(uint32_t gpio, uint32_t enable_bit, uint32_t pin, uint32_t af) {
    mmio_set(BOARD_GPIO_ENABLE_REGISTER, 1u << enable_bit);
    /* The clock arrives two cycles after the write; reading back waits for the write. */
    (void)MMIO32(BOARD_GPIO_ENABLE_REGISTER);
    (void)MMIO32(BOARD_GPIO_ENABLE_REGISTER);
    const uint32_t shift2 = 2u * pin;
    const uint32_t shift4 = 4u * (pin % 8u);
    mmio_field(gpio + GPIO_AFRL + 4u * (pin / 8u), 0xFu << shift4, af << shift4);
    mmio_clear(gpio + GPIO_OTYPER, 1u << pin);
    mmio_field(gpio + GPIO_OSPEEDR, 3u << shift2, 2u << shift2);
    mmio_field(gpio + GPIO_PUPDR, 3u << shift2, 1u << shift2);
    mmio_field(gpio + GPIO_MODER, 3u << shift2, 2u << shift2);
}

static inline void pins_connect_uart(void) {
    pins_connect(BOARD_UART_TX_GPIO, BOARD_UART_TX_GPIO_ENABLE_BIT, BOARD_UART_TX_PIN,
                 BOARD_UART_TX_FUNCTION);
    pins_connect(BOARD_UART_RX_GPIO, BOARD_UART_RX_GPIO_ENABLE_BIT, BOARD_UART_RX_PIN,
                 BOARD_UART_RX_FUNCTION);
}

#endif
