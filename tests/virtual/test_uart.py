"""The UART: baud rates from the registers, interrupts, overruns, the pseudo-terminal."""

from __future__ import annotations

import threading
import time

import pytest
import serial
from virtual_programs import BOARDS, boot, output

from tinydeploy.errors import FirmwareFaultError
from tinydeploy.virtual import pty
from tinydeploy.virtual.line import EIGHT_N_ONE, Format, transfer

ECHO = """
static volatile uint8_t ring[256];
static volatile uint32_t head, tail;
void Uart_Handler(void) {
    if (ISR & 1u << 5) ring[head++ & 255] = (uint8_t)RDR;
    if (ISR & 1u << 3) { ICR = 1u << 3; ring[head++ & 255] = '!'; }
    if ((CR1 & 1u << 7) && (ISR & 1u << 7)) {
        if (tail != head) TDR = ring[tail++ & 255]; else CR1 &= ~(1u << 7);
    }
}
int main(void) {
    SETUP
    NVIC_ISER(UART_IRQ / 32) = 1u << UART_IRQ % 32;
    CR1 |= 1u << 5;
    for (;;) {
        __asm volatile("cpsid i");
        if (head == tail) __asm volatile("wfi"); else CR1 |= 1u << 7;
        __asm volatile("cpsie i");
    }
}
"""
SIMPLE = ECHO.replace("SETUP", "uart_up();")


@pytest.mark.parametrize("board", BOARDS)
def test_bytes_take_their_time_and_come_back_by_interrupts(board: str) -> None:
    running = boot(board, SIMPLE)
    running.run(0.01)
    assert running.idle
    message = bytes(range(256)) * 2
    start = running.time_s
    running.uart_send(message)
    received = b""
    while len(received) < len(message):
        running.run(1.0, until_output=True)
        received += running.uart_receive()
    assert received == message
    # 512 frames of ten bits at 115200 baud, and one more frame for the way back.
    assert running.time_s - start == pytest.approx(513 * 10 / 115200, rel=0.01)


@pytest.mark.parametrize("board", BOARDS)
def test_the_same_input_gives_the_same_run(board: str) -> None:
    counts = []
    for _ in range(2):
        running = boot(board, SIMPLE)
        running.uart_send(b"hello")
        running.run(0.02)
        counts.append((running.instructions, running.cycles, running.uart_receive()))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize(
    ("percent", "readable"), [(0, True), (2, True), (-2, True), (4, False), (-4, False), (100, False)]
)
def test_a_wrong_baud_rate_gives_garbage(board: str, percent: int, readable: bool) -> None:
    body = ECHO.replace("SETUP", "pins_up(); uart_on(UART_BRR_115200 * 100u / (100u + (uint32_t)PERCENT));")
    running = boot(board, body, f"-DPERCENT=({percent})")
    running.run(0.01)
    running.uart_send(b"Quick brown fox")
    running.run(0.05)
    assert (running.uart_receive() == b"Quick brown fox") is readable


def test_the_kernel_clock_choice_sets_the_baud_rate() -> None:
    # SYSCLK / 2 feeds APB2 from HPRE; USART1 takes HSI by RCC_DCKCFGR2 = 2, and stays right.
    body = 'int main(void) { REG(RCC_BASE + 8) = 8u << 4; CHOICE uart_up(); print("right"); return 0; }'
    assert output(boot("stm32f746", body.replace("CHOICE", ""))) != "right"
    assert output(boot("stm32f746", body.replace("CHOICE", "REG(RCC_BASE + 0x90) = 2;"))) == "right"


@pytest.mark.parametrize("board", BOARDS)
def test_a_slow_reader_sees_an_overrun(board: str) -> None:
    body = """
int main(void) {
    uart_up();
    while (!(ISR & 1u << 3)) {}
    put((char)RDR);
    ICR = 1u << 3;
    put(ISR & 1u << 3 ? 'x' : '.');
    return 0;
}
"""
    running = boot(board, body)
    running.run(0.01)
    running.uart_send(b"123")
    assert output(running) == "1."


def test_the_l4_fifo_holds_eight_bytes() -> None:
    body = """
int main(void) {
    pins_up();
    UART_ENR |= 1u << UART_BIT;
    BRR = UART_BRR_115200;
    CR1 = 1u << 29;
    CR1 = 1u << 29 | 1u | 1u << 2 | 1u << 3;
    while (!(ISR & 1u << 3)) {}
    while (ISR & 1u << 5) put((char)RDR);
    return 0;
}
"""
    running = boot("nucleo_l4r5zi", body)
    running.run(0.01)
    running.uart_send(b"123456789abc")
    assert output(running) == "12345678"


@pytest.mark.parametrize("board", BOARDS)
def test_reset_in_the_middle_starts_over(board: str) -> None:
    body = 'int main(void) { uart_up(); print("boot "); idle_forever(); return 0; }'
    running = boot(board, body)
    assert output(running) == "boot "
    running.uart_send(b"lost")
    running.reset()
    assert output(running) == "boot "


def test_every_byte_survives_a_matching_line_and_none_a_wrong_one() -> None:
    for value in range(256):
        for good in (115200 * 0.976, 115200, 115200 * 1.024):
            assert [item.byte for item in transfer(value, EIGHT_N_ONE, good, EIGHT_N_ONE, 115200)] == [value]
        for bad in (0.5, 0.9, 0.96, 1.04, 1.1, 2.0, 12.0):
            assert [item.byte for item in transfer(value, EIGHT_N_ONE, 115200 * bad, EIGHT_N_ONE, 115200)] != [value]


def test_a_parity_bit_is_garbage_to_a_receiver_without() -> None:
    even = Format(data_bits=9, parity="even")
    assert [item.byte for item in transfer(0x5A, even, 115200, even, 115200)] != []
    assert transfer(0x01, even, 115200, Format(), 115200) != transfer(0x01, Format(), 115200, Format(), 115200)


class Served:
    """A board on a pseudo-terminal in a thread."""

    def __init__(self, board: str, body: str) -> None:
        self.board = boot(board, body)
        self.port = ""
        self.error: BaseException | None = None
        self._ready, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        def announce(port: str) -> None:
            self.port = port
            self._ready.set()

        try:
            pty.serve(self.board, announce, self._stop.is_set)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_pyserial_talks_to_the_pseudo_terminal() -> None:
    with Served("nucleo_l4r5zi", SIMPLE) as served:
        with serial.Serial(served.port, 115200, timeout=10) as port:
            for message in (b"hello", bytes(range(256)), b"\x00\n\r\x03\x04\xff" * 20):
                port.write(message)
                assert port.read(len(message)) == message
        with serial.Serial(served.port, 115200, timeout=10) as port:  # and again, after a disconnect
            port.write(b"again")
            assert port.read(5) == b"again"
        with serial.Serial(served.port, 57600, timeout=0.5) as port:
            port.write(b"wrong speed")
            assert port.read(11) != b"wrong speed"
    assert served.error is None


def test_an_idle_board_costs_no_cpu_time() -> None:
    with Served("nucleo_l4r5zi", SIMPLE) as served:
        time.sleep(0.2)
        before = time.thread_time(), time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before[1] < 0.25
    assert served.error is None


def test_a_fault_while_served_is_raised() -> None:
    body = SIMPLE.replace("ring[head++ & 255] = (uint8_t)RDR;", "*(volatile int *)0x30000000 = (int)RDR;")
    with Served("stm32f746", body) as served, serial.Serial(served.port, 115200, timeout=5) as port:
        port.write(b"x")
        deadline = time.monotonic() + 10
        while served.error is None and time.monotonic() < deadline:
            time.sleep(0.05)
    assert isinstance(served.error, FirmwareFaultError)
    assert "Uart_Handler" in str(served.error)
