"""The facts of every board against modm-devices, which has them from the vendors' own databases.

Where modm-devices is wrong, KNOWN_WRONG says so with the manual that is right; an entry that is no longer needed fails.
"""

from __future__ import annotations

import pytest

from tinydeploy.boards import Board, list_boards
from tinydeploy.modm import ModmDevice, find_device

# (board, fact) -> what modm-devices says, and who says otherwise.
KNOWN_WRONG = {
    ("nucleo_l4r5zi", "clock"): "80 MHz; RM0432 and DS12023: 120 MHz in range 1 boost mode",
    ("nucleo_l4r5zi", "wait states"): "4 at 120 MHz, from 80 MHz on; RM0432 Read access latency: a step every 20 MHz",
    ("nucleo_l4r5zi", "ram"): "SRAM2 missing at 0x20030000; RM0432 Embedded SRAM: 64 KiB, also at 0x10000000",
    ("pico2", "ram"): "256 KiB; RP2350 data sheet SRAM: 520 KiB",
    **{
        (board, "wait states"): "6 at 216 MHz; RM0385 and RM0410 Read access latency: 7 above 210 MHz"
        for board in ("stm32f746", "nucleo_f746zg", "nucleo_f767zi")
    },
}
CORES = {"cortex-m0+": "m0plus", "cortex-m0plus": "m0plus", "cortex-m4": "m4", "cortex-m7": "m7", "cortex-m33": "m33"}
BOARDS = [board for board in list_boards() if board.family != "mps"]


def merged(device: ModmDevice) -> list[tuple[int, int]]:
    """First address and end of each run of memories that lie one after the other."""
    runs: list[tuple[int, int]] = []
    for start, size in sorted(device.memories.values()):
        if runs and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + size)
        else:
            runs.append((start, start + size))
    return runs


def disagreements(board: Board, device: ModmDevice) -> set[str]:
    """The facts in which the two differ."""
    wrong: set[str] = set()
    if CORES[device.core] != board.core.name:
        wrong.add("core")
    runs = merged(device)
    for memory in board.memories:
        # The flash of a Pico is a chip of its own, which modm-devices does not list.
        if board.family.startswith("rp") and memory.name == "flash":
            continue
        starts = {start for start, _ in device.memories.values()}
        ends = {start + size for start, size in device.memories.values()}
        within = any(start <= memory.origin and memory.end <= end for start, end in runs)
        if not within or memory.origin not in starts or memory.end not in ends:
            wrong.add(memory.name)
    position = next((irq for name, irq in device.irqs.items() if board.uart.instance in name.split("_")), None)
    if position != board.uart.irq:
        wrong.add("irq")
    if max(device.irqs.values()) > board.irq_count:
        wrong.add("irq count")
    if device.max_hz is not None and device.max_hz != board.clock.sysclk_hz:
        wrong.add("clock")
    if device.latency:
        bus_hz = board.clock.hclk_hz // int(board.clock.settings.get("ahb_prescaler", 1))
        if sum(bus_hz > top for top in device.latency) != board.clock.flash_wait_states:
            wrong.add("wait states")
    known = {(pin.port.replace("BANK0", "GP"), pin.number, pin.uart, pin.signal, pin.af) for pin in device.pins}
    if known and board.uart.tx is not None and board.uart.rx is not None:
        for signal, pin in (("tx", board.uart.tx), ("rx", board.uart.rx)):
            if (pin.port, pin.number, board.uart.instance, signal, pin.function) not in known:
                wrong.add(f"{signal} pin")
    return wrong


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_board_agrees_with_modm_devices(board: Board) -> None:
    expected = {fact for name, fact in KNOWN_WRONG if name == board.name}
    assert disagreements(board, find_device(board.part)) == expected


@pytest.mark.parametrize("family", ["stm32", "nrf", "rp"])
def test_the_check_sees_something_of_every_vendor(family: str) -> None:
    devices = [find_device(board.part) for board in BOARDS if board.part.lower().startswith(family)]
    assert devices
    assert all(device.memories and device.irqs for device in devices)
    if family == "stm32":
        assert all(device.latency and device.pins and device.max_hz for device in devices)
