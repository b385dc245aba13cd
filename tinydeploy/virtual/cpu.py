"""The instruction set: Unicorn, opened as one Cortex-M core, behind the few calls that the virtual board makes.

Everything hot goes through ``ctypes.PyDLL``: it keeps Python's lock, which makes the block hook about 40 ns cheaper
than Unicorn's own binding. Unicorn is GPLv2 by its COPYING file, so it is an optional extra and imported only here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from tinydeploy.cores import Core
from tinydeploy.errors import ToolchainError
from tinydeploy.virtual import native

try:
    from unicorn import arm_const, unicorn_const
    from unicorn.unicorn_py3 import unicorn as binding
except ImportError as error:
    raise ToolchainError(f"the virtual board needs Unicorn ({error}); pip install 'tinydeploy[virtual]'") from error

# UC_MODE_MCLASS would silently force a Cortex-M33; the Thumb mode alone lets the model choose the core.
_MODELS = {
    "m0plus": arm_const.UC_CPU_ARM_CORTEX_M0,
    "m4": arm_const.UC_CPU_ARM_CORTEX_M4,
    "m7": arm_const.UC_CPU_ARM_CORTEX_M7,
    "m33": arm_const.UC_CPU_ARM_CORTEX_M33,
}
_NO_END = 0xFFFF_FFFE  # no code can lie here, so emulation ends only when asked

READ, WRITE, FETCH = "read", "write", "fetch"
PROT_READ, PROT_WRITE, PROT_EXEC = unicorn_const.UC_PROT_READ, unicorn_const.UC_PROT_WRITE, unicorn_const.UC_PROT_EXEC
PAGE_BYTES = 1024  # Unicorn's page for these cores

REGISTERS: dict[str, int] = {
    **{f"r{number}": getattr(arm_const, f"UC_ARM_REG_R{number}") for number in range(13)},
    # capstone's names of r9 to r12
    "sb": arm_const.UC_ARM_REG_R9,
    "sl": arm_const.UC_ARM_REG_R10,
    "fp": arm_const.UC_ARM_REG_R11,
    "ip": arm_const.UC_ARM_REG_R12,
    "sp": arm_const.UC_ARM_REG_SP,
    "lr": arm_const.UC_ARM_REG_LR,
    "pc": arm_const.UC_ARM_REG_PC,
    "msp": arm_const.UC_ARM_REG_MSP,
    "psp": arm_const.UC_ARM_REG_PSP,
    "xpsr": arm_const.UC_ARM_REG_XPSR,
    "ipsr": arm_const.UC_ARM_REG_IPSR,
    "primask": arm_const.UC_ARM_REG_PRIMASK,
    "basepri": arm_const.UC_ARM_REG_BASEPRI,
    "faultmask": arm_const.UC_ARM_REG_FAULTMASK,
    "control": arm_const.UC_ARM_REG_CONTROL,
    "fpscr": arm_const.UC_ARM_REG_FPSCR,
    **{f"s{number}": getattr(arm_const, f"UC_ARM_REG_S{number}") for number in range(32)},
}

BlockHook = Callable[[int, int, int], None]
InterruptHook = Callable[[int], None]
InvalidHook = Callable[[str, int, int], None]

_native = ctypes.PyDLL(binding.uclib._name)
_emu_start = _native.uc_emu_start
_emu_start.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t]
_emu_stop = _native.uc_emu_stop
_emu_stop.argtypes = [ctypes.c_void_p]
_mem_read = _native.uc_mem_read
_mem_read.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64]
_reg_read = _native.uc_reg_read
_reg_read.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
_reg_write = _native.uc_reg_write
_reg_write.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
_reg_read_batch = _native.uc_reg_read_batch
_reg_read_batch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
_reg_write_batch = _native.uc_reg_write_batch
_reg_write_batch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
_BLOCK_CALLBACK = ctypes.PYFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)


class RegisterList:
    """Names of registers, prepared for `Cpu.read_registers` and `Cpu.write_registers`."""

    def __init__(self, *names: str) -> None:
        self.count = len(names)
        self.numbers = (ctypes.c_int * self.count)(*(REGISTERS[name] for name in names))
        self.values = (ctypes.c_uint32 * self.count)()
        first = ctypes.addressof(self.values)
        self.pointers = (ctypes.c_void_p * self.count)(*(first + 4 * index for index in range(self.count)))


class Cpu:
    """One emulated core with its memories; all addresses and register values are unsigned 32-bit."""

    MemoryError = binding.UcError

    def __init__(self, core: Core) -> None:
        if core.name not in _MODELS:
            raise ToolchainError(
                f"the virtual board has no {core.title}: Unicorn emulates {', '.join(sorted(_MODELS))}; use QEMU for it"
            )
        self.core = core
        self.instruction_limit = 0  # `start` returns after so many instructions; 0: no limit
        unicorn: Any = binding  # its types are not exported
        self._uc: Any = unicorn.Uc(unicorn_const.UC_ARCH_ARM, unicorn_const.UC_MODE_THUMB)
        self._uc.ctl_set_cpu_model(_MODELS[core.name])
        self._handle = self._uc._uch
        self._keep: list[object] = []  # callbacks that native code holds
        self._value = ctypes.c_uint64()
        self._value_at = ctypes.addressof(self._value)

    def map(self, address: int, size_bytes: int, protection: int) -> None:
        """Back `size_bytes` (whole pages) at `address` with zeroed memory."""
        self._uc.mem_map(address, size_bytes, protection)

    def map_buffer(self, address: int, buffer: ctypes.Array[ctypes.c_char], protection: int) -> None:
        """Show host memory at `address`: the same buffer may appear at several addresses."""
        self._keep.append(buffer)
        self._uc.mem_map_ptr(address, len(buffer), protection, ctypes.addressof(buffer))

    def map_device(
        self, address: int, size_bytes: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """Serve accesses by `read(address, size) -> value` and `write(address, size, value)`."""
        self._uc.mmio_map(
            address,
            size_bytes,
            lambda _uc, offset, size, _user: read(address + offset, size),
            None,
            lambda _uc, offset, size, value, _user: write(address + offset, size, value),
            None,
        )

    def read(self, address: int, size_bytes: int) -> bytes:
        """Memory as a debugger sees it: protection does not apply; `MemoryError` outside the map."""
        return bytes(self._uc.mem_read(address, size_bytes))

    def write(self, address: int, data: bytes) -> None:
        """Write memory as a debugger does, also write-protected memory; `MemoryError` outside the map."""
        self._uc.mem_write(address, bytes(data))

    def read_word(self, address: int) -> int:
        """The little-endian 32-bit word at `address`; `MemoryError` outside the map."""
        if _mem_read(self._handle, address, self._value_at, 4):
            raise self.MemoryError(address)
        return self._value.value & 0xFFFF_FFFF

    def __getitem__(self, register: str) -> int:
        self._value.value = 0
        _reg_read(self._handle, REGISTERS[register], self._value_at)
        return self._value.value & 0xFFFF_FFFF

    def read_registers(self, registers: RegisterList) -> list[int]:
        """Several registers at once."""
        _reg_read_batch(self._handle, registers.numbers, registers.pointers, registers.count)
        return list(registers.values)

    def write_registers(self, registers: RegisterList, values: Sequence[int]) -> None:
        """Several registers at once; one value each."""
        registers.values[:] = list(values)
        _reg_write_batch(self._handle, registers.numbers, registers.pointers, registers.count)

    def __setitem__(self, register: str, value: int) -> None:
        self._value.value = value & 0xFFFF_FFFF
        _reg_write(self._handle, REGISTERS[register], self._value_at)

    def on_block_native(self, function: Any, data_at: int) -> None:
        """Call the C function `function(uc, address, size, data)` before each translation block."""
        self._add_native_hook(unicorn_const.UC_HOOK_BLOCK, function, data_at, 1, 0)

    def on_access_native(self, function: Any, data_at: int, first: int, last: int) -> None:
        """Call the C function `function(uc, kind, address, size, value, data)` at loads and stores from there to there.

        Beware: Unicorn leaves ITSTATE set after a hook inside an IT block; `function` must clear it.
        """
        kinds = unicorn_const.UC_HOOK_MEM_READ | unicorn_const.UC_HOOK_MEM_WRITE
        self._add_native_hook(kinds, function, data_at, first, last)

    def lend_registers(self, state: native.CounterState) -> None:
        """Give C code what it needs to stop the run and to look at xPSR."""
        state.stop = ctypes.cast(_emu_stop, ctypes.c_void_p).value
        state.read_register = ctypes.cast(_reg_read, ctypes.c_void_p).value
        state.write_register = ctypes.cast(_reg_write, ctypes.c_void_p).value
        state.xpsr = REGISTERS["xpsr"]

    def on_interrupt(self, hook: InterruptHook) -> None:
        """Call `hook(number)` for SVC (2), BKPT (7) and a branch to EXC_RETURN (3, or 8 in later versions)."""
        self._uc.hook_add(unicorn_const.UC_HOOK_INTR, lambda _uc, number, _user: hook(number))

    def on_invalid(self, hook: InvalidHook) -> None:
        """Call `hook("read" | "write" | "fetch", address, size)` where no memory is or protection forbids; run ends."""
        kinds = {
            unicorn_const.UC_MEM_READ_UNMAPPED: READ,
            unicorn_const.UC_MEM_READ_PROT: READ,
            unicorn_const.UC_MEM_WRITE_UNMAPPED: WRITE,
            unicorn_const.UC_MEM_WRITE_PROT: WRITE,
            unicorn_const.UC_MEM_FETCH_UNMAPPED: FETCH,
            unicorn_const.UC_MEM_FETCH_PROT: FETCH,
        }

        def call(_uc: object, kind: int, address: int, size: int, _value: int, _user: object) -> bool:
            hook(kinds[kind], address, size)
            return False

        self._uc.hook_add(unicorn_const.UC_HOOK_MEM_UNMAPPED | unicorn_const.UC_HOOK_MEM_PROT, call)

    def on_instruction(self, address: int, hook: Callable[[int, int, int], None]) -> None:
        """Call `hook(_, address, _)` before the instruction there is executed, never when an IT block skips it.

        It must not raise. Not while code runs.
        """
        self._add_code_hook(unicorn_const.UC_HOOK_CODE, hook, address, address)
        self.forget_code(address, 2)

    def on_unaligned_base(self, address: int, register: str, hook: Callable[[], None]) -> None:
        """Call `hook()` before the instruction at `address` is executed while `register` is not a multiple of 4.

        It must not raise. Not while code runs.
        """
        watch = native.BaseWatch(
            native.bases([REGISTERS[register]]), ctypes.cast(_reg_read, ctypes.c_void_p).value, native.Unaligned(hook)
        )
        self._keep.append(watch)
        function = native.library().td_base
        self._add_native_hook(unicorn_const.UC_HOOK_CODE, function, ctypes.addressof(watch), address, address)
        self.forget_code(address, 2)

    def _add_code_hook(self, kind: int, hook: BlockHook, begin: int, end: int) -> None:
        callback = _BLOCK_CALLBACK(hook)
        self._keep.append(callback)
        self._add_native_hook(kind, callback, None, begin, end)

    def _add_native_hook(self, kind: int, function: Any, data_at: int | None, begin: int, end: int) -> None:
        handle = ctypes.c_size_t()
        binding.uclib.uc_hook_add(
            self._handle,
            ctypes.byref(handle),
            kind,
            ctypes.cast(function, ctypes.c_void_p),
            ctypes.c_void_p(data_at),
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
        )

    def forget_code(self, address: int, size_bytes: int) -> None:
        """Drop translations of this range, because its bytes or hooks changed."""
        self._uc.ctl_remove_cache(address, address + size_bytes)

    def start(self, pc: int) -> int:
        """Run from `pc` until `stop`, an exception or an error; returns Unicorn's error number, 0 for none."""
        if not self.instruction_limit:
            return int(_emu_start(self._handle, pc | 1, _NO_END, 0, 0))
        # Code that was translated before does not look at the limit, and what is translated now always would.
        self._uc.ctl_flush_tb()
        status = int(_emu_start(self._handle, pc | 1, _NO_END, 0, self.instruction_limit))
        self._uc.ctl_flush_tb()
        return status

    def stop(self) -> None:
        """End `start` before the current block begins (from the block hook) or after it ends (from a device)."""
        _emu_stop(self._handle)

    def error_text(self, number: int) -> str:
        """Unicorn's words for its error `number`."""
        return str(binding.uclib.uc_strerror(number).decode())
