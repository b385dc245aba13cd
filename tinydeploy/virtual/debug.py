"""What a debugger does to a virtual board: look at registers and memory, set breakpoints, run and step."""

from __future__ import annotations

from tinydeploy.virtual.core import CoreModel

# As GDB numbers them: r0 to r12, sp, lr, pc, xpsr.
REGISTERS = (*(f"r{number}" for number in range(13)), "sp", "lr", "pc", "xpsr")
# Reading a device can change it, and what is not clocked would stop the firmware: debuggers stay out.
_DEVICES = (range(0x4000_0000, 0x6000_0000), range(0xD000_0000, 0x1_0000_0000))
_SLEEP_PS = 1_000_000_000_000  # a step waits that long for an interrupt


class Debugger:
    """The debugger's side of `core`. A halted core stays where it is until `resume` or `step`."""

    def __init__(self, core: CoreModel) -> None:
        self._core = core
        self._hooked: set[int] = set()
        self._breakpoints: set[int] = set()
        self._passing: int | None = None

    @property
    def halted(self) -> bool:
        """The core stands still for the debugger."""
        return self._core.halted

    def halt(self) -> None:
        """Stop before the next instruction."""
        self._core.halted = True

    def resume(self) -> None:
        """Go on; a breakpoint at the present instruction is passed."""
        self._passing = self._core.cpu["pc"] & ~1
        self._core.halted = False

    def step(self) -> None:
        """Execute one instruction, counted as one cycle, or enter one exception.

        A sleeping core waits for what wakes it, up to a second. FirmwareFaultError when it fails on silicon.
        """
        core = self._core
        self.resume()
        before = core.cpu["pc"]
        core.cpu.instruction_limit = 1
        try:
            for _ in range(3):  # asleep, woken, executed
                instructions, cycles = core.counter.instructions, core.counter.cycles
                core.advance(core.timeline.now_ps + _SLEEP_PS)
                if core.counter.instructions != instructions:
                    core.counter.recount(instructions + 1, cycles + 1)
                    break
                if core.cpu["pc"] != before or core.failure is not None:
                    break
                core.run_due()
        finally:
            core.cpu.instruction_limit = 0
            core.halted = True
        if core.failure is not None:
            raise core.failure

    def add_breakpoint(self, address: int) -> None:
        """Halt before the instruction at `address`."""
        address &= ~1
        if address not in self._hooked:
            self._hooked.add(address)
            self._core.cpu.on_instruction(address, lambda _uc, at, _size: self._reached(at))
        self._breakpoints.add(address)

    def remove_breakpoint(self, address: int) -> None:
        """No longer."""
        self._breakpoints.discard(address & ~1)

    def _reached(self, address: int) -> None:
        passing, self._passing = self._passing, None
        if address in self._breakpoints and passing != address:
            self._core.halt_before(address)

    def registers(self) -> list[int]:
        """The values of REGISTERS."""
        return [self._core.cpu[name] for name in REGISTERS]

    def set_register(self, name: str, value: int) -> None:
        """Set one of REGISTERS."""
        self._core.cpu[name] = value
        self._core.counter.break_sequence()

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Memory, or None where none is or a device is."""
        if any(address in devices for devices in _DEVICES):
            return None
        try:
            return self._core.cpu.read(address, size_bytes)
        except self._core.cpu.MemoryError:
            return None

    def write(self, address: int, data: bytes) -> bool:
        """Write memory, flash too; False where none is or a device is."""
        if any(address in devices for devices in _DEVICES):
            return False
        try:
            self._core.cpu.write(address, data)
        except self._core.cpu.MemoryError:
            return False
        return True
