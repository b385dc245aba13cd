"""Facts about a chip from the package modm-devices, which takes them from the vendors' own databases.

A source to begin with and to check against, not gospel: `KNOWN_WRONG` of the tests lists where manuals say otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import BoardError, ToolchainError, did_you_mean


@dataclass(frozen=True, slots=True)
class ModmPin:
    """A pin that can carry a UART's ``signal`` ("tx" or "rx"); ``uart`` is like "USART3"."""

    port: str
    number: int
    uart: str
    signal: str
    af: int


@dataclass(frozen=True, slots=True)
class ModmDevice:
    """One part. ``memories``: name -> (address, bytes). ``irqs``: vector name -> position.

    ``latency``: highest HCLK in Hz for 0, 1, 2 ... wait states at the highest supply; empty where it is not known.
    """

    part: str
    core: str
    memories: dict[str, tuple[int, int]]
    irqs: dict[str, int]
    max_hz: int | None
    latency: tuple[int, ...]
    pins: tuple[ModmPin, ...]


def _database() -> tuple[Path, dict[str, str]]:
    try:
        import modm_devices
    except ImportError as error:
        raise ToolchainError(f"this needs modm-devices ({error}); pip install modm-devices") from error
    folder = Path(modm_devices.__file__).parent / "resources" / "devices"
    groups = json.loads((folder / "db.json").read_text(encoding="utf-8"))
    return folder, {part: file for group in groups.values() for part, file in group.items()}


def find_device(part: str) -> ModmDevice:
    """The facts of `part`, or of the first part that begins so. Raises BoardError for an unknown one."""
    folder, parts = _database()
    wanted = part.lower()
    matching = sorted(name for name in parts if name.startswith(wanted) or wanted.startswith(name))
    if not matching:
        hint = did_you_mean(wanted, sorted(parts)) or "; give it as the data sheet has it, such as STM32F722ZE"
        raise BoardError(f"modm-devices does not know the part {part!r}{hint}")
    from modm_devices.parser import DeviceParser

    devices = DeviceParser().parse(str(folder / parts[matching[0]])).get_devices()
    return _device(next(device for device in devices if device.partname == matching[0]))


def _device(device: Any) -> ModmDevice:
    core = device.get_driver("core")
    clock, flash = device.get_driver("rcc"), device.get_driver("flash")
    tables = flash["latency"] if flash and "latency" in flash else []
    latency: tuple[int, ...] = ()
    if tables:
        best = max(tables, key=lambda table: int(table["vcore-min"]))
        latency = tuple(int(step["hclk-max"]) for step in best["wait-state"])
    return ModmDevice(
        part=device.partname,
        core=core["type"],
        memories={memory["name"]: (int(memory["start"], 16), int(memory["size"])) for memory in core["memory"]},
        irqs={vector["name"]: int(vector["position"]) for vector in core["vector"]},
        max_hz=int(clock["max-frequency"][0]) if clock and "max-frequency" in clock else None,
        latency=latency,
        pins=tuple(_uart_pins((device.get_driver("gpio") or {}).get("gpio", []))),
    )


def _uart_pins(pins: list[dict[str, Any]]) -> list[ModmPin]:
    found = []
    for pin in pins:
        for signal in pin.get("signal", []):
            driver = signal.get("driver", "")
            if driver in ("usart", "uart", "lpuart") and signal["name"] in ("tx", "rx") and "af" in signal:
                uart = f"{driver.upper()}{signal['instance']}"
                found.append(ModmPin(pin["port"].upper(), int(pin["pin"]), uart, signal["name"], int(signal["af"])))
    return found
