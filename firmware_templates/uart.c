/* The UART of uart.h: rings and interrupt handler, over the few operations that each kind of UART
 * gives in uart_hw.h.
 *
 * What uart_hw.h promises:
 *   uart_hw_set_up             clock, baud rate, pins; both directions on, no interrupt yet
 *   uart_hw_listen             received bytes interrupt from now on
 *   uart_hw_request_transmit   the handler runs soon, and again whenever a byte can be sent
 *   uart_hw_end_transmit       no longer for that
 *   uart_hw_silence            no interrupts any more
 *   uart_hw_set_divider        another baud rate, while nothing is being sent
 *   uart_hw_begin_interrupt    first in the handler: clears what is latched; true when bytes were
 *                              lost
 *   uart_hw_receive            takes one received byte, if there is one
 *   uart_hw_can_send, uart_hw_send, uart_hw_all_sent
 */
#include "uart.h"

#include "board.h"
#include "mmio.h"
#include "uart_hw.h"

#define NVIC_ISER(irq) (0xE000E100u + 4u * ((irq) / 32u))
#define NVIC_ICER(irq) (0xE000E180u + 4u * ((irq) / 32u))
#define NVIC_ICPR(irq) (0xE000E280u + 4u * ((irq) / 32u))

#define RX_MASK (UART_RX_RING_BYTES - 1u)
#define TX_MASK (UART_TX_RING_BYTES - 1u)
_Static_assert((UART_RX_RING_BYTES & RX_MASK) == 0, "the ring's size must be a power of two");
_Static_assert((UART_TX_RING_BYTES & TX_MASK) == 0, "the ring's size must be a power of two");

/* Each index is written by one side only: heads by who puts in, tails by who takes out. */
static uint8_t rx_ring[UART_RX_RING_BYTES];
static uint8_t tx_ring[UART_TX_RING_BYTES];
static volatile uint32_t rx_head, rx_tail;
static volatile uint32_t tx_head, tx_tail;
static volatile bool rx_lost;
static volatile bool ready;

static void enable_interrupt(uint32_t irq) {
    MMIO32(NVIC_ISER(irq)) = 1u << (irq % 32u);
}

static void disable_interrupt(uint32_t irq) {
    MMIO32(NVIC_ICER(irq)) = 1u << (irq % 32u);
    MMIO32(NVIC_ICPR(irq)) = 1u << (irq % 32u);
}

void uart_init(void) {
    uart_hw_set_up();
    ready = true;
    uart_hw_listen();
    enable_interrupt(BOARD_UART_IRQ);
    enable_interrupt(BOARD_UART_TX_IRQ);
    cpu_dsb();
    cpu_isb();
}

static void put_received(uint8_t byte) {
    const uint32_t next = (rx_head + 1u) & RX_MASK;
    if (next == rx_tail) {
        rx_lost = true;
        return;
    }
    rx_ring[rx_head] = byte;
    rx_head = next;
}

void uart_irq_handler(void) {
    if (uart_hw_begin_interrupt()) {
        rx_lost = true;
    }
    uint8_t byte;
    while (uart_hw_receive(&byte)) {
        put_received(byte);
    }
    if (tx_tail == tx_head) {
        uart_hw_end_transmit();
    }
    while (tx_tail != tx_head && uart_hw_can_send()) {
        uart_hw_send(tx_ring[tx_tail]);
        tx_tail = (tx_tail + 1u) & TX_MASK;
    }
    board_event = true;
    /* The writes above must reach the UART before the return, or the interrupt comes again. */
    cpu_dsb();
}

size_t uart_read(uint8_t *out, size_t max) {
    size_t size = 0;
    uint32_t tail = rx_tail;
    while (size < max && tail != rx_head) {
        out[size++] = rx_ring[tail];
        tail = (tail + 1u) & RX_MASK;
    }
    rx_tail = tail;
    return size;
}

void uart_write(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        const uint32_t next = (tx_head + 1u) & TX_MASK;
        if (next == tx_tail) {
            uart_hw_request_transmit();
            while (next == tx_tail) {
                board_wait_for_event();
            }
        }
        tx_ring[tx_head] = data[i];
        tx_head = next;
    }
    if (size != 0) {
        /* The handler may end the transmission meanwhile: asked again, it finds the ring empty at
         * its next turn and ends it. */
        uart_hw_request_transmit();
    }
}

/* Looks once in a microsecond or so: a byte takes 87 at 115,200 baud, and each look costs the bus,
 * and an emulator much more. */
static void wait_for(bool (*condition)(void)) {
    while (!condition()) {
        for (uint32_t turn = 0; turn < 64; turn++) {
            __asm volatile("nop");
        }
    }
}

void uart_flush(void) {
    while (tx_tail != tx_head) {
        board_wait_for_event();
    }
    wait_for(uart_hw_all_sent);
}

void uart_set_baud(uint32_t baud) {
    uart_flush();
    uart_hw_set_divider(baud == BOARD_UART_FAST_BAUD ? BOARD_UART_FAST_DIVIDER
                                                     : BOARD_UART_DIVIDER);
}

bool uart_overrun(void) {
    const bool lost = rx_lost;
    if (lost) {
        rx_lost = false;
    }
    return lost;
}

static void send_polled(uint8_t byte) {
    wait_for(uart_hw_can_send);
    uart_hw_send(byte);
}

void uart_write_polled(const uint8_t *data, size_t size) {
    if (!ready) {
        uart_hw_set_up();
        ready = true;
    }
    /* The interrupt goes for good: pending while masked it would keep the core from sleeping. */
    uart_hw_silence();
    disable_interrupt(BOARD_UART_IRQ);
    disable_interrupt(BOARD_UART_TX_IRQ);
    while (tx_tail != tx_head) {
        send_polled(tx_ring[tx_tail]);
        tx_tail = (tx_tail + 1u) & TX_MASK;
    }
    for (size_t i = 0; i < size; i++) {
        send_polled(data[i]);
    }
    wait_for(uart_hw_all_sent);
}
