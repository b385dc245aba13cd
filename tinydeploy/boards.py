"""boards/*.toml -> Board: strict keys, every rule checked once. Nothing downstream checks again.

A board is one TOML file; its name is the file's. What the rules are is told by their messages below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from tinydeploy.cores import CORES, Core
from tinydeploy.errors import BoardError, did_you_mean
from tinydeploy.families import FAMILIES, Family, Setting
from tinydeploy.resources import resource_dir
from tinydeploy.stricttoml import Table, read_toml

MemoryKind = Literal["flash", "ram", "dtcm", "itcm"]

# The tables that describe memories, and the kind of each. "flash" is what boots, "ram" holds data and arena.
_MEMORIES: dict[str, MemoryKind] = {
    "flash": "flash",
    "ram": "ram",
    "ram2": "ram",
    "ram3": "ram",
    "ram4": "ram",
    "dtcm": "dtcm",
    "itcm": "itcm",
}
# UART driver -> lowest and highest value of BRR, and the fixed point that BRR counts in.
# RM0385 USART_BRR: at least 16, 16 bits (oversampling by 16). RM0432 LPUART_BRR: 256 * clock / baud, 0x300 to 0xFFFFF.
_UART_BRR: dict[str, tuple[int, int, int]] = {
    "stm32_usart_v2": (16, 0xFFFF, 1),
    "stm32_lpuart": (0x300, 0xFFFFF, 256),
}
_MAX_BAUD_ERROR = 0.01
_FLASH_TOOLS = ("openocd", "pyocd", "st_flash")


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory of the chip: ``size_bytes`` bytes from address ``origin``."""

    name: str
    origin: int
    size_bytes: int
    kind: MemoryKind

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.origin + self.size_bytes


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock tree that firmware sets up: the family's settings as the TOML has them, and what follows."""

    family: str
    sysclk_hz: int
    hclk_hz: int
    apb_hz: Mapping[str, int]
    flash_wait_states: int
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Pin:
    """A GPIO pin and the alternate function that connects it."""

    port: str
    number: int
    af: int


@dataclass(frozen=True, slots=True)
class Uart:
    """The UART of the board's virtual COM port; ``clock_hz`` is its kernel clock, ``brr`` the divider for ``baud``.

    ``enable_register`` (absolute address) and ``enable_bit`` clock the peripheral.
    """

    driver: str
    instance: str
    base: int
    irq: int
    bus: str
    clock_hz: int
    enable_register: int
    enable_bit: int
    tx: Pin
    rx: Pin
    baud: int
    brr: int


@dataclass(frozen=True, slots=True)
class Board:
    """One board. ``stack`` is the memory whose lowest ``stack_bytes`` are the stack, so that an overflow faults."""

    name: str
    title: str
    part: str
    family: str
    core: Core
    memories: tuple[Memory, ...]
    stack: Memory
    stack_bytes: int
    irq_count: int
    clock: Clock
    uart: Uart
    flash_tools: Mapping[str, str]
    usb_ids: tuple[str, ...]

    @property
    def flash(self) -> Memory:
        """The flash that boots."""
        return self.memory("flash")

    @property
    def ram(self) -> Memory:
        """The main RAM: .data, .bss and the arena."""
        return self.memory("ram")

    def memory(self, name: str) -> Memory:
        """The memory called `name`, which must exist."""
        return next(memory for memory in self.memories if memory.name == name)


def _read_memories(top: Table) -> tuple[Memory, ...]:
    memories: list[Memory] = []
    for name, kind in _MEMORIES.items():
        if name not in top.values:
            continue
        table = top.table(name)
        table.expect_keys(("origin", "size"))
        origin = table.integer("origin", 0, 0xFFFF_FFFF)
        memory = Memory(name, origin, table.size_bytes("size"), kind)
        if origin % 8:
            raise table.error(f"origin is {origin:#010x}; it must be a multiple of 8")
        if memory.end > 1 << 32:
            raise table.error(f"ends at {memory.end:#x}, past the 32-bit address space")
        for other in memories:
            if memory.origin < other.end and other.origin < memory.end:
                raise table.error(
                    f"{memory.origin:#010x} to {memory.end:#010x} overlaps [{other.name}], "
                    f"{other.origin:#010x} to {other.end:#010x}"
                )
        memories.append(memory)
    return tuple(memories)


def _read_stack(top: Table, memories: tuple[Memory, ...]) -> tuple[Memory, int]:
    table = top.table("stack")
    table.expect_keys(("memory", "size"))
    usable = {memory.name: memory for memory in memories if memory.kind in ("ram", "dtcm")}
    memory = usable[table.choice("memory", usable)]
    size = table.size_bytes("size")
    if not 1024 <= size <= memory.size_bytes // 2:
        raise table.error(f"size is {size:,} B; it must be 1 KiB to half of [{memory.name}]")
    # The stack grows down from the memory's start + size; what is below must be nothing, or an overflow is silent.
    for other in memories:
        if other.end == memory.origin:
            raise table.error(
                f"[{other.name}] lies right below [{memory.name}], so an overflow would not fault; "
                f"put the stack in a memory with nothing below it"
            )
    return memory, size


def _read_pin(uart: Table, key: str, family: Family, vddio2: Setting | None) -> Pin:
    table = uart.table(key)
    table.expect_keys(("port", "pin", "af"))
    port = table.text("port")
    if port not in family.gpio_ports or len(port) != 1:
        raise table.error(
            f"port is {port!r}; {family.title} has ports {family.gpio_ports[0]} to {family.gpio_ports[-1]}"
        )
    pin = Pin(port, table.integer("pin", 0, 15), table.integer("af", 0, 15))
    if family.vddio2_pins is not None and vddio2 is not True:
        vddio2_port, lowest = family.vddio2_pins
        if pin.port == vddio2_port and pin.number >= lowest:
            raise table.error(f"P{port}{pin.number} is supplied by VDDIO2: set vddio2 = true in [clock]")
    return pin


def _read_uart(top: Table, family: Family, clock: Clock, irq_count: int) -> Uart:
    table = top.table("uart")
    table.expect_keys(("driver", "instance", "base", "irq", "bus", "enable_register", "enable_bit", "tx", "rx", "baud"))
    driver = table.choice("driver", _UART_BRR)
    bus = table.choice("bus", clock.apb_hz)
    register = table.choice("enable_register", family.enable_registers)
    vddio2 = clock.settings.get("vddio2")
    tx, rx = _read_pin(table, "tx", family, vddio2), _read_pin(table, "rx", family, vddio2)
    if (tx.port, tx.number) == (rx.port, rx.number):
        raise table.error(f"tx and rx are the same pin, P{tx.port}{tx.number}")
    baud = table.integer("baud", 1200, 12_000_000)
    low, high, scale = _UART_BRR[driver]
    clock_hz = clock.apb_hz[bus]
    brr = (clock_hz * scale + baud // 2) // baud
    if not low <= brr <= high:
        raise table.error(f"baud {baud:,} needs BRR {brr:#x} at {clock_hz:,} Hz; {driver} has {low:#x} to {high:#x}")
    error = abs(clock_hz * scale / brr / baud - 1)
    if error > _MAX_BAUD_ERROR:
        raise table.error(f"baud {baud:,} would be off by {error:.1%} at {clock_hz:,} Hz; at most 1 % works")
    return Uart(
        driver=driver,
        instance=table.text("instance"),
        base=table.integer("base", 0x4000_0000, 0x5FFF_FFFF),
        irq=table.integer("irq", 0, irq_count - 1),
        bus=bus,
        clock_hz=clock_hz,
        enable_register=family.enable_registers[register],
        enable_bit=table.integer("enable_bit", 0, 31),
        tx=tx,
        rx=rx,
        baud=baud,
        brr=brr,
    )


def _read_flash_tools(top: Table) -> Mapping[str, str]:
    table = top.table("flash_tools")
    table.expect_keys((), _FLASH_TOOLS)
    return MappingProxyType({tool: table.text(tool) for tool in _FLASH_TOOLS if tool in table.values})


def parse_board(top: Table, name: str) -> Board:
    """The board that the TOML table `top` describes. Raises BoardError naming file, table and key."""
    tables = ("flash", "ram", "stack", "clock", "uart", "flash_tools")
    optional = tuple(memory for memory in _MEMORIES if memory not in tables)
    top.expect_keys(("title", "part", "family", "core", "irq_count", "usb_ids", *tables), optional)
    family = FAMILIES[top.choice("family", FAMILIES)]
    core = CORES[top.choice("core", CORES)]
    irq_count = top.integer("irq_count", 1, 480)
    memories = _read_memories(top)
    stack, stack_bytes = _read_stack(top, memories)
    tree = family.clock(top.table("clock"))
    clock = Clock(
        family=family.name,
        sysclk_hz=tree.sysclk_hz,
        hclk_hz=tree.hclk_hz,
        apb_hz=MappingProxyType(dict(tree.apb_hz)),
        flash_wait_states=tree.flash_wait_states,
        settings=MappingProxyType(dict(tree.settings)),
    )
    return Board(
        name=name,
        title=top.text("title"),
        part=top.text("part"),
        family=family.name,
        core=core,
        memories=memories,
        stack=stack,
        stack_bytes=stack_bytes,
        irq_count=irq_count,
        clock=clock,
        uart=_read_uart(top, family, clock, irq_count),
        flash_tools=_read_flash_tools(top),
        usb_ids=top.texts("usb_ids"),
    )


def board_names() -> tuple[str, ...]:
    """The names of the boards that ship, sorted."""
    return tuple(sorted(path.stem for path in resource_dir("boards").glob("*.toml")))


def load_board(name_or_path: str) -> Board:
    """The board called `name_or_path`, or the one in that .toml file when it ends in ``.toml``.

    Raises BoardError: unknown name (with the closest known one), unreadable or wrong description.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        return parse_board(read_toml(path, name_or_path), path.stem)
    known = board_names()
    if name_or_path not in known:
        hint = did_you_mean(name_or_path, known) or f"; the boards are {', '.join(known)}"
        raise BoardError(f"unknown board {name_or_path!r}{hint}")
    path = resource_dir("boards") / f"{name_or_path}.toml"
    return parse_board(read_toml(path, f"boards/{path.name}"), name_or_path)


def list_boards() -> tuple[Board, ...]:
    """Every board that ships, sorted by name."""
    return tuple(load_board(name) for name in board_names())
