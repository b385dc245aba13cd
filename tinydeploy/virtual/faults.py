"""What the core does about a fault: which exception, which bits of CFSR (Armv7-M ARM B1.5.14, B3.2.15)."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.virtual.nvic import BUS_FAULT, HARD_FAULT, MEM_MANAGE, USAGE_FAULT


@dataclass(frozen=True, slots=True)
class FaultKind:
    """An exception and the bit that tells why. ``with_address``: BFAR holds the address."""

    exception: int
    cfsr: int
    with_address: bool = False


KINDS = {
    "instruction access": FaultKind(MEM_MANAGE, 1 << 0),  # IACCVIOL
    "instruction bus": FaultKind(BUS_FAULT, 1 << 8),  # IBUSERR
    "data bus": FaultKind(BUS_FAULT, 1 << 9 | 1 << 15, with_address=True),  # PRECISERR, BFARVALID
    "unstacking": FaultKind(BUS_FAULT, 1 << 11),  # UNSTKERR
    "stacking": FaultKind(BUS_FAULT, 1 << 12),  # STKERR
    "undefined": FaultKind(USAGE_FAULT, 1 << 16),  # UNDEFINSTR
    "state": FaultKind(USAGE_FAULT, 1 << 17),  # INVSTATE
    "return": FaultKind(USAGE_FAULT, 1 << 18),  # INVPC
    "no_fpu": FaultKind(USAGE_FAULT, 1 << 19),  # NOCP
    "unaligned": FaultKind(USAGE_FAULT, 1 << 24),
    "division": FaultKind(USAGE_FAULT, 1 << 25),  # DIVBYZERO
    "breakpoint": FaultKind(HARD_FAULT, 0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the running code. ``pc`` is the instruction's address; ``address`` the data's, where there is one."""

    kind: str
    pc: int
    message: str
    address: int | None = None
