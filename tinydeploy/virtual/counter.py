"""Exact instruction counts and estimated cycles, by a hook that runs before every block.

The hook must cost almost nothing, so it does one dictionary lookup and one addition: every block has a dictionary from
the address of the block that follows to what that one costs and its own dictionary. The cost depends on the pair of
blocks (taken branches, pipelines), and packs cycles and instructions into one integer. Whatever is not in the
dictionary, because it is new or needs a look each time, takes the slow path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinydeploy.virtual.cpu import Cpu
from tinydeploy.virtual.decode import Block, Decoder, instruction_sizes
from tinydeploy.virtual.models import CycleModel

THUMB = 1 << 24  # of xPSR
_BITS = 32  # cycles above, instructions below
_MASK = (1 << _BITS) - 1
_SELF = -1  # the key under which a dictionary holds its own block
MAX_SLICE_CYCLES = 1 << 28  # so that the packed sum stays small

# What a block costs after the one before, its own dictionary, its size in bytes.
Entry = tuple[int, dict[int, Any], int]
Action = Callable[[], object]
Visitor = Callable[[Block | None, Block], Action | None]


def combine(*actions: Action | None) -> Action | None:
    """One action that does all of them."""
    present = [action for action in actions if action is not None]
    if len(present) < 2:
        return present[0] if present else None

    def all_of_them() -> None:
        for action in present:
            action()

    return all_of_them


class BlockCounter:
    """Counts for one `Cpu`. ``instructions`` and ``cycles`` are current at any time, also from device callbacks.

    ``visit(previous, block)`` is asked at the first execution of every pair of blocks, before `block` runs. Its
    answer, if any, is called then and each time again. ``halt`` from within either stops before the block and charges
    nothing; ``limit(n)`` from a device stops at the first block that begins n cycles from now.
    """

    def __init__(self, cpu: Cpu, model: CycleModel) -> None:
        self.cpu = cpu
        self.model = model
        self.visit: Visitor = lambda _previous, _block: None
        self.error: BaseException | None = None
        self._afterwards: list[Callable[[], None]] = []
        self._decoder = Decoder()
        # By address and size: Unicorn cuts at pages and where its buffers end, and may cut elsewhere the next time.
        self._blocks: dict[tuple[int, int], dict[int, Any]] = {}
        self._root: dict[int, Any] = {_SELF: None}
        self._instructions = 0
        self._cycles = 0
        self._build()

    def _build(self) -> None:
        """Make the hook and the functions that share its variables: closures are faster than attributes."""
        total = 0
        deadline = 0
        successors = self._root
        stop = self.cpu.stop
        slow = self._slow

        def hook(_uc: int, address: int, size: int) -> None:
            nonlocal total, successors
            if total >= deadline:
                stop()
                return
            try:
                cost, following, known_size = successors[address]
            except KeyError:
                known_size = 0
            if known_size == size:
                successors = following
            else:
                here = successors
                cost, successors, _ = slow(here, address, size)
                if total >= deadline:  # the slow path found a reason to stop
                    successors = here
                    stop()
                    return
            total += cost

        def begin(cycles: int) -> None:
            nonlocal total, deadline
            total = 0
            deadline = max(1, min(cycles, MAX_SLICE_CYCLES)) << _BITS

        def halt() -> None:
            nonlocal deadline
            deadline = -1

        def limit(cycles: int) -> None:
            nonlocal deadline
            deadline = min(deadline, total + (cycles << _BITS))

        def charged() -> int:
            return total

        def fold() -> int:
            nonlocal total
            taken, total = total, 0
            return taken

        def current() -> dict[int, Any]:
            return successors

        def goto(node: dict[int, Any]) -> None:
            nonlocal successors
            successors = node

        self._begin, self.halt, self.limit, self._charged, self._fold = begin, halt, limit, charged, fold
        self._current, self._goto = current, goto
        self.cpu.on_block(hook)

    @property
    def instructions(self) -> int:
        """Instructions executed, the running block counted whole."""
        return self._instructions + (self._charged() & _MASK)

    @property
    def cycles(self) -> int:
        """Cycles executed, the running block counted whole."""
        return self._cycles + (self._charged() >> _BITS)

    @property
    def block(self) -> Block | None:
        """The block that is running or ran last; None right after an exception or at the start."""
        block: Block | None = self._current()[_SELF]
        return block

    def run(self, pc: int, cycles: int) -> int:
        """Run from `pc` until at least `cycles` have passed, `halt` or an exception; returns Unicorn's error number."""
        self._begin(cycles)
        try:
            status = self.cpu.start(pc)
        finally:
            self._settle()
        while self._afterwards:
            self._afterwards.pop(0)()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return status

    def after_run(self, action: Callable[[], None]) -> None:
        """Stop before the block that is being visited and do `action`: what cannot be done while code runs."""
        self._afterwards.append(action)
        self.halt()

    def _settle(self) -> None:
        total = self._fold()
        self._instructions += total & _MASK
        self._cycles += total >> _BITS

    def add_cycles(self, cycles: int) -> None:
        """Charge what no instruction does: exception entry and return."""
        self._cycles += cycles

    def recount(self, instructions: int, cycles: int) -> None:
        """What was counted is `instructions` and `cycles`: a debugger's step runs less than the blocks it enters."""
        self._instructions, self._cycles = instructions, cycles
        self.break_sequence()

    def uncharge_from(self, address: int) -> None:
        """The running block ended before the instruction at `address`: take back what was charged from there on."""
        block = self.block
        if block is None:
            return
        done = sum(1 for instruction in block.instructions if instruction.address < address)
        self._instructions -= block.count - done
        self._cycles -= max(0, self.model.prefix(block, block.count) - self.model.prefix(block, done))

    def cycles_before(self, index: int) -> int:
        """Cycles up to instruction `index` of the running block, which `cycles` counts whole."""
        block = self.block
        if block is None:
            return self.cycles
        return self.cycles - max(0, self.model.prefix(block, block.count) - self.model.prefix(block, index))

    def break_sequence(self) -> None:
        """What runs next does not follow from the block before: an exception, its return, a reset."""
        self._goto(self._root)

    def forget_edges(self) -> None:
        """Let `visit` see every pair of blocks anew."""
        for node in self._blocks.values():
            block = node[_SELF]
            node.clear()
            node[_SELF] = block
        self._root.clear()
        self._root[_SELF] = None

    def _slow(self, here: dict[int, Any], address: int, size: int) -> Entry:
        try:
            aside = ~address - 1  # below _SELF: known, with something to do each time
            again: tuple[Action, Entry] | None = here.get(aside)
            if again is not None and again[1][2] == size:
                again[0]()
                return again[1]
            node = self._blocks.get((address, size))
            if node is None and not self.cpu["xpsr"] & THUMB:
                self.halt()  # a branch into Arm state: nothing here to decode
                return 0, here, size
            if node is None:
                node = {_SELF: self._decode(address, size)}
                self._blocks[address, size] = node
            previous, block = here[_SELF], node[_SELF]
            action = self.visit(previous, block)
            entry = ((self.model.cycles(previous, block) << _BITS) | block.count, node, size)
            if action is None:
                here[address] = entry
            else:
                here[aside] = action, entry
                action()
            return entry
        except BaseException as error:  # native code is below: carried to `run`, which raises it
            self.error = error
            self.halt()
            return 0, here, size

    def _decode(self, address: int, size: int) -> Block:
        code = self.cpu.read(address, size)
        assert 0 < size == sum(instruction_sizes(code)), f"block at 0x{address:08x} of {size} bytes"
        xpsr = self.cpu["xpsr"]
        it_mask = (xpsr >> 8 & 0b1100) | (xpsr >> 25 & 0b11)  # ITSTATE[3:0]; a page may end inside an IT block
        left_in_it = 4 - ((it_mask & -it_mask).bit_length() - 1) if it_mask else 0
        return self._decoder.block(address, code, left_in_it)
