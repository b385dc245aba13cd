/* board.h for main.c on the host: the link's tests run the firmware's main as a native program. */
#ifndef BOARD_H
#define BOARD_H
#define BOARD_NAME "host"
#define BOARD_TITLE "a native process"
#define BOARD_CORE_HZ 100000000u
#define BOARD_UART_BAUD 115200u
#define BOARD_STATE_REGISTERS 0u
#define BOARD_UART_FAST_BAUD 921600u
void board_wait_for_event(void);
#endif
