"""A first board description for a part that modm-devices knows: right where it can be, and for a person to check.

The clock tree runs from the internal oscillator at the part's highest frequency, so that the file works on any board
with that part; the crystal, the UART and its pins are the board's, and the comments say so.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.boards import parse_board
from tinydeploy.errors import BoardError, UsageError
from tinydeploy.families import FAMILIES
from tinydeploy.modm import ModmDevice, ModmPin, find_device
from tinydeploy.stricttoml import parse_toml

_CORES = {"cortex-m4": "m4", "cortex-m7": "m7", "cortex-m33": "m33"}
# The first of these that the part has, unless a UART is asked for.
_USUAL_UARTS = ("USART3", "USART2", "USART1")
_USUAL_PINS = {("D", 8), ("D", 9), ("A", 2), ("A", 3), ("A", 9), ("A", 10)}
_ST_TOOLS = 'openocd = "-f interface/stlink.cfg -f target/{target}.cfg"\nst_flash = "--connect-under-reset --reset"\n'


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What a family's boards have in common: [clock], and where its UARTs are (address, bus, register, bit)."""

    clock: str
    uarts: dict[str, tuple[int, str, str, int]]
    driver: str
    openocd: str


_F_UARTS = {
    "USART1": (0x4001_1000, "apb2", "APB2ENR", 4),
    "USART2": (0x4000_4400, "apb1", "APB1ENR", 17),
    "USART3": (0x4000_4800, "apb1", "APB1ENR", 18),
    "USART6": (0x4001_1400, "apb2", "APB2ENR", 5),
}
_H_UARTS = {
    name: (base, bus, register.replace("APB1ENR", "APB1LENR"), bit)
    for name, (base, bus, register, bit) in _F_UARTS.items()
}
_L_UARTS = {
    "USART1": (0x4001_3800, "apb2", "APB2ENR", 14),
    "USART2": (0x4000_4400, "apb1", "APB1ENR1", 17),
    "USART3": (0x4000_4800, "apb1", "APB1ENR1", 18),
}


def _clock(mhz: int, settings: str, prescalers: tuple[int, ...], wait_states: int, note: str = "") -> str:
    """The lines of [clock], from the internal oscillator; `prescalers` of AHB, APB1, APB2 and so on, `note` a
    comment on the frequency."""
    buses = ("ahb", *(f"apb{number}" for number in range(1, len(prescalers))))
    lines = [
        f"sysclk_hz = {mhz}_000_000{note}",
        'source = "hsi"',
        *(setting.replace("=", " = ") for setting in settings.split()),
        *(f"{bus}_prescaler = {divisor}" for bus, divisor in zip(buses, prescalers, strict=True)),
        f"flash_wait_states = {wait_states}",
    ]
    return "\n".join(lines) + "\n"


_H7_NOTE = "      # revision V of the silicon; 400_000_000 with voltage_scale = 1 for older ones"
_USART_V1, _USART_V2 = "stm32_usart_v1", "stm32_usart_v2"
_F4_100 = "stm32f4 100 MHz"
_RECIPES = {
    "stm32f7": _Recipe(
        _clock(216, "pll_m=16 pll_n=432 pll_p=2 pll_q=9 over_drive=true", (1, 4, 2), 7), _F_UARTS, _USART_V2, "stm32f7x"
    ),
    "stm32f4": _Recipe(
        _clock(168, "pll_m=16 pll_n=336 pll_p=2 pll_q=7", (1, 4, 2), 5), _F_UARTS, _USART_V1, "stm32f4x"
    ),
    _F4_100: _Recipe(
        _clock(100, "pll_m=16 pll_n=400 pll_p=4 pll_q=9", (1, 2, 1), 3), _F_UARTS, _USART_V1, "stm32f4x"
    ),
    "stm32l4": _Recipe(
        _clock(80, "pll_m=2 pll_n=20 pll_r=2 vddio2=true", (1, 1, 1), 4), _L_UARTS, _USART_V2, "stm32l4x"
    ),
    "stm32l4plus": _Recipe(
        _clock(120, "pll_m=4 pll_n=60 pll_r=2 boost=true vddio2=true", (1, 1, 1), 5), _L_UARTS, _USART_V2, "stm32l4x"
    ),
    "stm32h7": _Recipe(
        _clock(480, "pll_m=8 pll_n=120 pll_p=2 voltage_scale=0 sys_prescaler=1", (2,) * 5, 4, _H7_NOTE),
        _H_UARTS, _USART_V2, "stm32h7x",
    ),
    "stm32u5": _Recipe(
        _clock(160, "pll_m=4 pll_n=80 pll_r=2", (1, 1, 1, 1), 4), _L_UARTS, _USART_V2, "stm32u5x"
    ),
}  # fmt: skip


def new_board(part: str, uart: str | None = None) -> str:
    """The text of a board description for `part`, on `uart` or a usual one. It has been read back once.

    Raises BoardError for a part that modm-devices or the families do not know, UsageError for a UART it does not have.
    """
    device = find_device(part)
    name = part.upper()
    family = next((f for f in FAMILIES.values() if name.startswith(f.parts)), None)
    if family is None or family.name not in _RECIPES:
        known = ", ".join(part for name in FAMILIES if name in _RECIPES for part in FAMILIES[name].parts)
        raise BoardError(f"no family for the part {name!r}: `board new` knows {known}; start from a file in boards/")
    slow = family.name == "stm32f4" and device.max_hz == 100_000_000
    recipe = _RECIPES[_F4_100 if slow else family.name]
    memories = _memories(device)
    stack = next((kind for kind in ("dtcm", "ccm", "ram2") if kind in memories), "ram")
    arena = list(dict.fromkeys([stack, "ram"]))
    instance, tx, rx = _uart(device, recipe, uart)
    base, bus, register, bit = recipe.uarts[instance]
    text = f"""# A first description of a board with {name}, from modm-devices: check every fact in the manuals.
title = "{name}"            # the board's name
part = "{name}"
family = "{family.name}"
core = "{_CORES[device.core]}"
irq_count = {max(device.irqs.values()) + 1}
usb_ids = []                # vendor and product of the board's debug probe, such as "0483:374b"

{"".join(_memory_table(kind, *place) for kind, place in memories.items())}[stack]
memory = "{stack}"
size = "8 KiB"

[placement]                 # the preferred memory first
arena = [{", ".join(f'"{kind}"' for kind in arena)}]
weights = ["flash"]

[clock]                     # the internal oscillator; more exact with a crystal: source = "hse", hse_hz, hse_bypass
{recipe.clock}
[uart]                      # which UART and which pins reach the virtual COM port is the board's: see its manual
driver = "{recipe.driver}"
instance = "{instance}"
base = 0x{base:08X}
irq = {next(irq for vector, irq in device.irqs.items() if vector == instance)}
bus = "{bus}"
enable_register = "{register}"
enable_bit = {bit}
tx = {{ port = "{tx.port}", pin = {tx.number}, af = {tx.af} }}
rx = {{ port = "{rx.port}", pin = {rx.number}, af = {rx.af} }}
baud = 115_200

[flash_tools]
{_ST_TOOLS.format(target=recipe.openocd)}"""
    parse_board(parse_toml(text, f"the description of {name}"), "new")
    return text


def _memories(device: ModmDevice) -> dict[str, tuple[int, int]]:
    """Table name -> address and bytes; memories that lie one after the other are one."""
    found: dict[str, tuple[int, int]] = {}
    secure = any(name.endswith("_ns") for name in device.memories)
    for name, (start, size) in sorted(device.memories.items(), key=lambda item: item[1]):
        if secure and not name.endswith("_ns"):
            continue
        kind = _kind(name.removesuffix("_ns"), start)
        if kind is None:
            continue
        before = found.get(kind)
        if before is None:
            found[kind] = (start, size)
        elif before[0] + before[1] == start:
            found[kind] = (before[0], before[1] + size)
    order = ("flash", "ram", "ram2", "dtcm", "ccm", "itcm")
    return {kind: found[kind] for kind in order if kind in found}


def _kind(name: str, start: int) -> str | None:
    if name in ("itcm", "dtcm"):
        return name
    if name.startswith("flash"):
        return "flash"
    if name == "ccm":
        return "ccm"
    # Of several banks the first, and what follows it without a gap; RAM of other domains needs its clock first.
    return "ram" if name in ("sram", "d1_sram") or (name.startswith("sram") and start < 0x2400_0000) else None


def _memory_table(kind: str, start: int, size: int) -> str:
    return f'[{kind}]\norigin = 0x{start:08X}\nsize = "{size // 1024} KiB"\n\n'


def _uart(device: ModmDevice, recipe: _Recipe, wanted: str | None) -> tuple[str, ModmPin, ModmPin]:
    """The UART and its pins, the usual ones where there are several."""
    has = {pin.uart for pin in device.pins} & set(recipe.uarts) & set(device.irqs)
    choices = (wanted.upper(),) if wanted else _USUAL_UARTS
    instance = next((uart for uart in choices if uart in has), None)
    if instance is None:
        raise UsageError(f"{device.part} has no {wanted or 'usual UART'}; choose --uart {' or '.join(sorted(has))}")
    pins = []
    for signal in ("tx", "rx"):
        mine = [pin for pin in device.pins if (pin.uart, pin.signal) == (instance, signal)]
        pins.append(min(mine, key=lambda pin: ((pin.port, pin.number) not in _USUAL_PINS, pin.port, pin.number)))
    return instance, pins[0], pins[1]
