"""Exception entry and return: stacking, EXC_RETURN, the FPU's registers (Armv7-M ARM B1.5.6 to B1.5.8)."""

from __future__ import annotations

from tinydeploy.virtual.cpu import Cpu, RegisterList

_FRAME = RegisterList("r0", "r1", "r2", "r3", "r12", "lr")
_FP_FRAME = RegisterList(*(f"s{index}" for index in range(16)), "fpscr")
_BASIC_BYTES, _EXTENDED_BYTES = 0x20, 0x68
_FPCA = 4
_SPSEL = 2
EXC_RETURN_MIN = 0xFFFF_FFE0
_XPSR_THUMB = 1 << 24
_XPSR_IT = 0x0600_FC00
_REALIGNED = 1 << 9  # in the stacked xPSR: the frame was moved down to a multiple of 8


class StackingError(Exception):
    """The frame could not be written or read; the message names the address."""


def enter(cpu: Cpu, number: int, return_address: int, handler: int, align8: bool, fpdscr: int) -> None:
    """Push the frame of the running code and start the handler of exception `number`.

    The FPU's registers are stacked whenever CONTROL.FPCA says that this context has used them. Silicon only reserves
    their place until the handler uses the FPU (lazy stacking); what either context reads is the same.
    """
    xpsr, control = cpu["xpsr"], cpu["control"]
    extended = bool(control & _FPCA)
    from_thread_psp = bool(control & _SPSEL) and not xpsr & 0x1FF
    sp = cpu["sp"]
    size = _EXTENDED_BYTES if extended else _BASIC_BYTES
    realign = bool(sp & 4) and (align8 or extended)
    frame_at = sp - size & (~4 if align8 or extended else ~0) & 0xFFFF_FFFF
    words = cpu.read_registers(_FRAME)
    words += [return_address, xpsr & ~_REALIGNED | (_REALIGNED if realign else 0)]
    if extended:
        words += [*cpu.read_registers(_FP_FRAME), 0]
    try:
        cpu.write(frame_at, b"".join(word.to_bytes(4, "little") for word in words))
    except cpu.MemoryError as error:
        raise StackingError(f"the exception frame at 0x{frame_at:08x} is not in memory") from error
    cpu["sp"] = frame_at
    exc_return = 0xFFFF_FFE1 if extended else 0xFFFF_FFF1
    if not xpsr & 0x1FF:
        exc_return |= 0xC if from_thread_psp else 0x8
    if extended:
        cpu["control"] = control & ~_FPCA
        cpu["fpscr"] = fpdscr
    cpu["xpsr"] = xpsr & ~(_XPSR_IT | 0x1FF) | number | _XPSR_THUMB
    cpu["lr"] = exc_return
    cpu["pc"] = handler


def leave(cpu: Cpu, exc_return: int) -> int:
    """Pop the frame that `exc_return` (bit 0 may be lost) stands for; returns where to go on."""
    to_thread = bool(exc_return & 8)
    uses_psp = bool(exc_return & 4)
    extended = not exc_return & 0x10
    stack = "psp" if uses_psp else "msp"
    frame_at = cpu[stack]
    size = _EXTENDED_BYTES if extended else _BASIC_BYTES
    try:
        raw = cpu.read(frame_at, size)
    except cpu.MemoryError as error:
        raise StackingError(f"the exception frame at 0x{frame_at:08x} is not in memory") from error
    words = [int.from_bytes(raw[at : at + 4], "little") for at in range(0, size, 4)]
    xpsr = words[7]
    control = cpu["control"] & ~(_FPCA | _SPSEL)
    if extended:
        cpu.write_registers(_FP_FRAME, words[8:25])
    sp = frame_at + size | (4 if xpsr & _REALIGNED else 0)
    cpu[stack] = sp
    cpu["xpsr"] = xpsr & ~_REALIGNED
    if to_thread:
        cpu["control"] = control | (_FPCA if extended else 0) | (_SPSEL if uses_psp else 0)
    else:
        cpu["control"] = cpu["control"] & ~_FPCA | (_FPCA if extended else 0)
    cpu.write_registers(_FRAME, words[:6])
    cpu["pc"] = words[6]
    return words[6] & ~1
