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
from tinydeploy.families.uarts import UART_DRIVERS
from tinydeploy.resources import resource_dir
from tinydeploy.stricttoml import Table, read_toml

MemoryKind = Literal["flash", "ram", "itcm"]

# The tables that describe memories, and the kind of each. "flash" is what boots, "ram" the largest RAM; "dtcm" and
# "ccm" are RAM beside the core without wait states.
_MEMORIES: dict[str, MemoryKind] = {
    "flash": "flash",
    "ram": "ram",
    "ram2": "ram",
    "ram3": "ram",
    "ram4": "ram",
    "dtcm": "ram",
    "ccm": "ram",
    "itcm": "itcm",
}
_FLASH_TOOLS = ("openocd", "pyocd", "st_flash", "picotool")


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
    """The clock tree that firmware sets up: the family's settings as the TOML has them, and what follows.

    ``bus_hz`` are the clocks that a UART can run on, by name; ``defines`` is what the driver needs beside the settings.
    """

    family: str
    sysclk_hz: int
    hclk_hz: int
    bus_hz: Mapping[str, int]
    flash_wait_states: int
    settings: Mapping[str, Setting]
    defines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Pin:
    """A GPIO pin and the function that connects it, as the manual counts them.

    ``port`` is a letter (STM32), "0" or "1" (nRF52) or "GP" (RP2). ``function`` is the alternate function (STM32) or
    FUNCSEL (RP2); 0 where a pin is chosen by the peripheral (nRF52).
    """

    port: str
    number: int
    function: int

    @property
    def name(self) -> str:
        """As the manual writes it: PA9, P0.06, GP0."""
        if self.port.isdigit():
            return f"P{self.port}.{self.number:02}"
        return f"P{self.port}{self.number}" if len(self.port) == 1 else f"{self.port}{self.number}"


@dataclass(frozen=True, slots=True)
class Uart:
    """The UART of the virtual COM port; ``clock_hz`` is its kernel clock, ``divider`` what makes ``baud`` of it.

    ``fast_baud`` is the highest rate that the port takes, ``baud`` where the description names none.

    ``irq`` receives, and sends too unless ``tx_irq`` does. ``enable_register`` (absolute address; 0 where nothing needs
    enabling) and ``enable_bit`` clock the peripheral or take it out of reset. ``tx`` and ``rx`` are None where the
    signals have pins of their own.
    """

    driver: str
    instance: str
    base: int
    irq: int
    tx_irq: int | None
    bus: str
    clock_hz: int
    enable_register: int
    enable_bit: int
    tx: Pin | None
    rx: Pin | None
    baud: int
    divider: int
    fast_baud: int
    fast_divider: int

    @property
    def irqs(self) -> tuple[int, ...]:
        """The interrupts that the driver serves, ascending."""
        return tuple(sorted({self.irq, self.irq if self.tx_irq is None else self.tx_irq}))


@dataclass(frozen=True, slots=True)
class Board:
    """One board. ``stack`` is the memory whose lowest ``stack_bytes`` are the stack, so that an overflow faults.

    ``arena`` and ``weights`` are the memories that these may lie in, the preferred one first.
    """

    name: str
    title: str
    part: str
    family: str
    core: Core
    memories: tuple[Memory, ...]
    stack: Memory
    stack_bytes: int
    arena: tuple[Memory, ...]
    weights: tuple[Memory, ...]
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
        """The main RAM: .data and .bss, and the arena where no other memory takes it."""
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
    usable = {memory.name: memory for memory in memories if memory.kind == "ram"}
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


def _read_placement(top: Table, memories: tuple[Memory, ...]) -> tuple[tuple[Memory, ...], tuple[Memory, ...]]:
    """The memories for arena and weights, in order of preference."""
    table = top.table("placement")
    table.expect_keys(("arena", "weights"))
    by_name = {memory.name: memory for memory in memories}
    found = []
    for key, fitting, last in (("arena", ("ram",), "ram"), ("weights", ("ram", "flash"), "flash")):
        names = table.texts(key)
        for name in names:
            if name not in by_name or by_name[name].kind not in fitting:
                known = [memory.name for memory in memories if memory.kind in fitting]
                raise table.error(f"{key} cannot lie in {name!r}; it may lie in {', '.join(known)}")
        if not names or names[-1] != last or len(set(names)) < len(names):
            raise table.error(f"{key} must name each memory once, the preferred first, and end with {last!r}")
        found.append(tuple(by_name[name] for name in names))
    return found[0], found[1]


def _read_pin(uart: Table, key: str, family: Family, vddio2: Setting | None) -> Pin:
    table = uart.table(key)
    if family.pins == "nrf52":
        table.expect_keys(("port", "pin"))
        port = table.integer("port", 0, 1)
        return Pin(str(port), table.integer("pin", 0, 15 if port else 31), 0)
    if family.pins == "rp2":
        table.expect_keys(("pin", "function"))
        return Pin("GP", table.integer("pin", 0, 29), table.integer("function", 0, 31))
    table.expect_keys(("port", "pin", "af"))
    assert family.gpio is not None
    ports = family.gpio.ports
    port_name = table.text("port")
    if port_name not in ports or len(port_name) != 1:
        raise table.error(f"port is {port_name!r}; {family.title} has ports {ports[0]} to {ports[-1]}")
    pin = Pin(port_name, table.integer("pin", 0, 15), table.integer("af", 0, 15))
    if family.vddio2_pins is not None and vddio2 is not True:
        vddio2_port, lowest = family.vddio2_pins
        if pin.port == vddio2_port and pin.number >= lowest:
            raise table.error(f"{pin.name} is supplied by VDDIO2: set vddio2 = true in [clock]")
    return pin


def _read_uart(top: Table, family: Family, clock: Clock, irq_count: int) -> Uart:
    table = top.table("uart")
    pins = () if family.pins == "fixed" else ("tx", "rx")
    enable = ("enable_register", "enable_bit") if family.enable_registers else ()
    table.expect_keys(("driver", "instance", "base", "irq", "bus", *enable, *pins, "baud"), ("tx_irq", "fast_baud"))
    driver = table.choice("driver", UART_DRIVERS)
    bus = table.choice("bus", clock.bus_hz)
    register = table.choice("enable_register", family.enable_registers) if enable else None
    vddio2 = clock.settings.get("vddio2")
    tx, rx = (_read_pin(table, key, family, vddio2) for key in pins) if pins else (None, None)
    if tx is not None and rx is not None and (tx.port, tx.number) == (rx.port, rx.number):
        raise table.error(f"tx and rx are the same pin, {tx.name}")
    baud = table.integer("baud", 1200, 12_000_000)
    clock_hz = clock.bus_hz[bus]
    divider = UART_DRIVERS[driver].divider(table, driver, clock_hz, baud)
    fast_baud = table.integer("fast_baud", baud, 12_000_000) if "fast_baud" in table.values else baud
    return Uart(
        driver=driver,
        instance=table.text("instance"),
        base=table.integer("base", 0x4000_0000, 0x5FFF_FFFF),
        irq=table.integer("irq", 0, irq_count - 1),
        tx_irq=table.integer("tx_irq", 0, irq_count - 1) if "tx_irq" in table.values else None,
        bus=bus,
        clock_hz=clock_hz,
        enable_register=family.enable_registers[register] if register else 0,
        enable_bit=table.integer("enable_bit", 0, 31) if register else 0,
        tx=tx,
        rx=rx,
        baud=baud,
        divider=divider,
        fast_baud=fast_baud,
        fast_divider=UART_DRIVERS[driver].divider(table, driver, clock_hz, fast_baud),
    )


def _read_flash_tools(top: Table) -> Mapping[str, str]:
    table = top.table("flash_tools")
    table.expect_keys((), _FLASH_TOOLS)
    return MappingProxyType({tool: table.text(tool) for tool in _FLASH_TOOLS if tool in table.values})


def parse_board(top: Table, name: str) -> Board:
    """The board that the TOML table `top` describes. Raises BoardError naming file, table and key."""
    tables = ("flash", "ram", "stack", "placement", "clock", "uart", "flash_tools")
    optional = tuple(memory for memory in _MEMORIES if memory not in tables)
    top.expect_keys(("title", "part", "family", "core", "irq_count", "usb_ids", *tables), optional)
    family = FAMILIES[top.choice("family", FAMILIES)]
    part = top.text("part")
    if not part.startswith(family.parts):
        raise top.error(f"part {part!r} is not one of family {family.name!r}, which has {', '.join(family.parts)}")
    core = CORES[top.choice("core", CORES)]
    irq_count = top.integer("irq_count", 1, 480)
    memories = _read_memories(top)
    stack, stack_bytes = _read_stack(top, memories)
    arena, weights = _read_placement(top, memories)
    tree = family.clock(top.table("clock"), part)
    clock = Clock(
        family=family.name,
        sysclk_hz=tree.sysclk_hz,
        hclk_hz=tree.hclk_hz,
        bus_hz=MappingProxyType(dict(tree.bus_hz)),
        flash_wait_states=tree.flash_wait_states,
        settings=MappingProxyType(dict(tree.settings)),
        defines=MappingProxyType(dict(tree.defines)),
    )
    return Board(
        name=name,
        title=top.text("title"),
        part=part,
        family=family.name,
        core=core,
        memories=memories,
        stack=stack,
        stack_bytes=stack_bytes,
        arena=arena,
        weights=weights,
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


def project_board(folder: Path, name: str) -> Board:
    """The board that the project in `folder` was built for: one of its own description, or the one called `name`."""
    own = folder / f"{name}.toml"
    return load_board(str(own) if own.is_file() else name)


def list_boards() -> tuple[Board, ...]:
    """Every board that ships, sorted by name."""
    return tuple(load_board(name) for name in board_names())
