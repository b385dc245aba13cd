/* Firmware that tinydeploy did not build: everything but main's waiting happens in interrupts.
 *
 * It says "ready", echoes what it receives, and does what some letters ask for:
 *   n  nest interrupts: each puts a letter when it begins and one when it ends
 *   t  wait four ticks of SysTick and tell how often TIM2, at 8 kHz, has interrupted meanwhile
 *   u  use registers that nothing models, and a port whose clock is off
 *   f  read where nothing is; the handler tells where that was
 */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#if defined CHIP_G0B1
#define CORE_HZ 64000000
#define UART_IRQ 28
#define TIM2_IRQ 15
#define TX 2
#define RX 3
#define AF 1
#define GPIOA 0x50000000u
#define GPIOA_ENABLE REG(0x40021034) |= 1u << 0
#define UART 0x40004400u
#define UART_ENABLE REG(0x4002103C) |= 1u << 17
#define TIM2_ENABLE REG(0x4002103C) |= 1u << 0
static void clock_up(void) { /* HSI16 -> PLL / 1 * 8 / 2, two wait states, as HAL does it */
    REG(0x40022000) = (REG(0x40022000) & ~7u) | 2u;
    while ((REG(0x40022000) & 7u) != 2u) {
    }
    REG(0x4002100C) = 2u | 8u << 8 | 1u << 28 | 1u << 29;
    REG(0x40021000) |= 1u << 24;
    while ((REG(0x40021000) & 1u << 25) == 0) {
    }
    REG(0x40021008) = 2u;
    while ((REG(0x40021008) >> 3 & 7u) != 2u) {
    }
}
#else
#define CORE_HZ 16000000
#define UART_IRQ 61
#define TIM2_IRQ 45
#define TX 9
#define RX 10
#define AF 7
#define GPIOA 0x42020000u
#define GPIOA_ENABLE REG(0x46020C8C) |= 1u << 0
#define UART 0x40013800u
#define UART_ENABLE REG(0x46020CA4) |= 1u << 14
#define TIM2_ENABLE REG(0x46020C9C) |= 1u << 0
static void clock_up(void) { /* MSI -> HSI16 */
    REG(0x46020C00) |= 1u << 8;
    while ((REG(0x46020C00) & 1u << 10) == 0) {
    }
    REG(0x46020C1C) = 1u;
    while ((REG(0x46020C1C) >> 2 & 3u) != 1u) {
    }
}
#endif
#define TIM2 0x40000000u
#define NVIC_ISER(irq) REG(0xE000E100u + (irq) / 32 * 4)
#define NVIC_ISPR(irq) REG(0xE000E200u + (irq) / 32 * 4)
#define NVIC_IPR(irq) REG(0xE000E400u + (irq) / 4 * 4)
#define ICSR REG(0xE000ED04)
#define SHPR3 REG(0xE000ED20)
enum { RXNE = 1 << 5, TXE = 1 << 7 };

extern uint32_t __stack_top[];
static volatile uint32_t ticks, updates, head, tail;
static volatile uint8_t ring[256];
static volatile uint8_t asked;

static void put(char letter) {
    ring[head++ & 255u] = (uint8_t)letter;
    REG(UART) |= TXE;
}

static void put_number(uint32_t value, uint32_t base) {
    char digits[12];
    uint32_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count != 0) {
        put(digits[--count]);
    }
}

static void say(const char *text) {
    while (*text != 0) {
        put(*text++);
    }
}

static void pend(uint32_t irq) {
    NVIC_ISPR(irq) = 1u << irq % 32;
    __asm volatile("dsb\n isb");
}

void SysTick_Handler(void) {
    ticks++;
}
void PendSV_Handler(void) {
    say("p>");
}
void Low_Handler(void) {
    put('a');
    ICSR = 1u << 28;
    pend(1);
    put('A');
}
void High_Handler(void) {
    put('b');
}
void Tim2_Handler(void) {
    REG(TIM2 + 0x10) = 0;
    updates++;
}
void Uart_Handler(void) {
    if ((REG(UART + 0x1C) & RXNE) != 0) {
        const uint8_t letter = (uint8_t)REG(UART + 0x24);
        if (letter == 'n' || letter == 't' || letter == 'u' || letter == 'f') {
            asked = letter;
        } else {
            put((char)letter);
        }
    }
    if ((REG(UART) & TXE) != 0 && (REG(UART + 0x1C) & TXE) != 0) {
        if (head == tail) {
            REG(UART) &= ~(uint32_t)TXE;
        } else {
            REG(UART + 0x28) = ring[tail++ & 255u];
        }
    }
}

__attribute__((used)) void report(const uint32_t *frame) {
    const char *text = "fault ";
    for (uint32_t index = 0; text[index] != 0; index++) {
        while ((REG(UART + 0x1C) & TXE) == 0) {
        }
        REG(UART + 0x28) = (uint8_t)text[index];
    }
    for (int32_t shift = 28; shift >= 0; shift -= 4) {
        while ((REG(UART + 0x1C) & TXE) == 0) {
        }
        REG(UART + 0x28) = (uint8_t) "0123456789abcdef"[frame[6] >> shift & 15u];
    }
    for (;;) {
    }
}
__attribute__((naked)) void HardFault_Handler(void) {
    __asm volatile("mov r0, sp\n bl report");
}

__attribute__((noinline)) void read_nothing(void) {
    (void)REG(0x70000000);
}

static void irq_on(uint32_t irq, uint32_t priority) {
    NVIC_IPR(irq) = (NVIC_IPR(irq) & ~(0xFFu << irq % 4 * 8)) | priority << irq % 4 * 8;
    NVIC_ISER(irq) = 1u << irq % 32;
}

static void pin(uint32_t number) {
    REG(GPIOA) = (REG(GPIOA) & ~(3u << 2 * number)) | 2u << 2 * number;
    REG(GPIOA + 0x20 + number / 8 * 4) |= (uint32_t)AF << number % 8 * 4;
}

int main(void) {
    clock_up();
    GPIOA_ENABLE;
    UART_ENABLE;
    TIM2_ENABLE;
    pin(TX);
    pin(RX);
    REG(UART + 0x0C) = (CORE_HZ + 57600) / 115200;
    REG(UART) = 1u | 1u << 2 | 1u << 3 | RXNE;
    REG(TIM2 + 0x28) = CORE_HZ / 80000 - 1;
    REG(TIM2 + 0x2C) = 10 - 1;
    REG(TIM2 + 0x14) = 1;
    REG(TIM2 + 0x10) = 0;
    REG(TIM2 + 0x0C) = 1;
    REG(TIM2) = 1;
    SHPR3 = 0xC0u << 16 | 0x40u << 24;
    irq_on(0, 0x80);
    irq_on(1, 0x40);
    irq_on(UART_IRQ, 0x80);
    irq_on(TIM2_IRQ, 0);
    REG(0xE000E014) = CORE_HZ / 1000 - 1;
    REG(0xE000E018) = 0;
    REG(0xE000E010) = 7;
    say("ready\n");
    for (;;) {
        __asm volatile("wfi");
        const uint8_t now = asked;
        asked = 0;
        if (now == 'n') {
            put('<');
            pend(0);
        } else if (now == 't') {
            const uint32_t from = ticks, before = updates;
            while (ticks - from < 4) {
                __asm volatile("wfi");
            }
            put_number(updates - before, 10);
            put('\n');
        } else if (now == 'u') {
            REG(0x4000FC04) = 0x1234;
            put_number(REG(0x4000FC04), 16);
            REG(GPIOA + 0x400 + 0x14) = 1;
            put('\n');
        } else if (now == 'f') {
            read_nothing();
        }
    }
}

void Reset_Handler(void) {
    extern uint32_t __bss_start[], __bss_end[];
    for (volatile uint32_t *word = __bss_start; word < __bss_end; word++) {
        *word = 0;
    }
    main();
}

void Unused_Handler(void) {
    for (;;) {
    }
}

#define U (uint32_t *)Unused_Handler
__attribute__((section(".vectors"), used)) uint32_t *const vectors[16 + 64] = {
    [0] = __stack_top,
    [1] = (uint32_t *)Reset_Handler,
    [2] = U,
    [3] = (uint32_t *)HardFault_Handler,
    [4 ... 13] = U,
    [14] = (uint32_t *)PendSV_Handler,
    [15] = (uint32_t *)SysTick_Handler,
    [16] = (uint32_t *)Low_Handler,
    [17] = (uint32_t *)High_Handler,
    [16 + TIM2_IRQ] = (uint32_t *)Tim2_Handler,
    [16 + UART_IRQ] = (uint32_t *)Uart_Handler,
};
