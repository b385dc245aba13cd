/* UART driver for the USART of the STM32F0/F3/F7/L4/L4+ and later, and for LPUART, whose registers
 * and bits lie in the same places; only BRR counts differently, and board.h has its value. The
 * FIFO that some parts have stays off.
 *
 * RM0385 "Universal synchronous asynchronous receiver transmitter (USART)", RM0432 the same and
 * "Low-power universal asynchronous receiver transmitter (LPUART)", and "General-purpose I/Os".
 */
#include "uart.h"

#include "board.h"
#include "mmio.h"

#define USART_CR1 (BOARD_UART_BASE + 0x00u)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART_CR1_TXEIE (1u << 7)
#define USART_CR2 (BOARD_UART_BASE + 0x04u)
#define USART_CR3 (BOARD_UART_BASE + 0x08u)
#define USART_BRR (BOARD_UART_BASE + 0x0Cu)
#define USART_ISR (BOARD_UART_BASE + 0x1Cu)
#define USART_ISR_ERRORS 0xFu /* PE, FE, NF, ORE: the same bits clear them in ICR */
#define USART_ISR_ORE (1u << 3)
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TC (1u << 6)
#define USART_ISR_TXE (1u << 7)
#define USART_ICR (BOARD_UART_BASE + 0x20u)
#define USART_RDR (BOARD_UART_BASE + 0x24u)
#define USART_TDR (BOARD_UART_BASE + 0x28u)

#define GPIO_MODER 0x00u
#define GPIO_OTYPER 0x04u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR 0x0Cu
#define GPIO_AFRL 0x20u

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

/* Connects a pin to the alternate function `af`: fast push-pull, pulled up so that an open line
 * reads as idle. The function is chosen before the mode, so that no other drives the pin. */
static void connect_pin(uint32_t gpio, uint32_t enable_bit, uint32_t pin, uint32_t af) {
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

static void set_up_hardware(void) {
    mmio_set(BOARD_UART_ENABLE_REGISTER, 1u << BOARD_UART_ENABLE_BIT);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    (void)MMIO32(BOARD_UART_ENABLE_REGISTER);
    MMIO32(USART_CR1) = 0; /* BRR and the frame format may be written only with UE clear */
    MMIO32(USART_CR2) = 0;
    MMIO32(USART_CR3) = 0;
    MMIO32(USART_BRR) = BOARD_UART_BRR;
    /* The transmitter drives its line high before the pin is connected to it. */
    MMIO32(USART_CR1) = USART_CR1_UE;
    mmio_set(USART_CR1, USART_CR1_TE);
    connect_pin(BOARD_UART_TX_GPIO, BOARD_UART_TX_GPIO_ENABLE_BIT, BOARD_UART_TX_PIN,
                BOARD_UART_TX_AF);
    connect_pin(BOARD_UART_RX_GPIO, BOARD_UART_RX_GPIO_ENABLE_BIT, BOARD_UART_RX_PIN,
                BOARD_UART_RX_AF);
    mmio_set(USART_CR1, USART_CR1_RE);
    ready = true;
}

void uart_init(void) {
    set_up_hardware();
    mmio_set(USART_CR1, USART_CR1_RXNEIE);
    MMIO32(NVIC_ISER(BOARD_UART_IRQ)) = 1u << (BOARD_UART_IRQ % 32u);
    cpu_dsb();
    cpu_isb();
}

static void receive_byte(void) {
    const uint8_t byte = (uint8_t)MMIO32(USART_RDR);
    const uint32_t next = (rx_head + 1u) & RX_MASK;
    if (next == rx_tail) {
        rx_lost = true;
        return;
    }
    rx_ring[rx_head] = byte;
    rx_head = next;
}

static void transmit_byte(void) {
    if (tx_tail == tx_head) {
        mmio_clear(USART_CR1, USART_CR1_TXEIE);
        return;
    }
    MMIO32(USART_TDR) = tx_ring[tx_tail];
    tx_tail = (tx_tail + 1u) & TX_MASK;
}

void uart_irq_handler(void) {
    const uint32_t status = MMIO32(USART_ISR);
    if ((status & USART_ISR_ERRORS) != 0) {
        /* A byte with a framing or noise error is kept: the link's checksum judges it. */
        MMIO32(USART_ICR) = status & USART_ISR_ERRORS;
        if ((status & USART_ISR_ORE) != 0) {
            rx_lost = true;
        }
    }
    if ((status & USART_ISR_RXNE) != 0) {
        receive_byte();
    }
    if ((status & USART_ISR_TXE) != 0 && (MMIO32(USART_CR1) & USART_CR1_TXEIE) != 0) {
        transmit_byte();
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
            mmio_set(USART_CR1, USART_CR1_TXEIE);
            while (next == tx_tail) {
                board_wait_for_event();
            }
        }
        tx_ring[tx_head] = data[i];
        tx_head = next;
    }
    if (size != 0) {
        /* The handler may clear the bit between this read and write: set again, it finds the
         * ring empty at its next turn and clears it. */
        mmio_set(USART_CR1, USART_CR1_TXEIE);
    }
}

/* Looks once in a microsecond or so: a byte takes 87 at 115,200 baud, and each look costs the bus,
 * and an emulator much more. */
static void wait_for_status(uint32_t bit) {
    while ((MMIO32(USART_ISR) & bit) == 0) {
        for (uint32_t turn = 0; turn < 64; turn++) {
            __asm volatile("nop");
        }
    }
}

void uart_flush(void) {
    while (tx_tail != tx_head) {
        board_wait_for_event();
    }
    wait_for_status(USART_ISR_TC);
}

bool uart_overrun(void) {
    const bool lost = rx_lost;
    if (lost) {
        rx_lost = false;
    }
    return lost;
}

static void send_polled(uint8_t byte) {
    wait_for_status(USART_ISR_TXE);
    MMIO32(USART_TDR) = byte;
}

void uart_write_polled(const uint8_t *data, size_t size) {
    if (!ready) {
        set_up_hardware();
    }
    /* The interrupt goes for good: pending while masked it would keep the core from sleeping. */
    mmio_clear(USART_CR1, USART_CR1_TXEIE | USART_CR1_RXNEIE);
    MMIO32(NVIC_ICER(BOARD_UART_IRQ)) = 1u << (BOARD_UART_IRQ % 32u);
    MMIO32(NVIC_ICPR(BOARD_UART_IRQ)) = 1u << (BOARD_UART_IRQ % 32u);
    while (tx_tail != tx_head) {
        send_polled(tx_ring[tx_tail]);
        tx_tail = (tx_tail + 1u) & TX_MASK;
    }
    for (size_t i = 0; i < size; i++) {
        send_polled(data[i]);
    }
    wait_for_status(USART_ISR_TC);
}
