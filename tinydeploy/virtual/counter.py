"""Exact instruction counts and estimated cycles, by a hook that runs before every block.

The hook must cost almost nothing, so it is C (``native/counter.c``): it looks up the edge, the pair of the block and
the one before, and adds what that one costs. The cost depends on the pair (taken branches, pipelines). Whatever is not
in the table, because it is new or needs a look each time, takes the slow path, which is here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence

from tinydeploy.virtual import native
from tinydeploy.virtual.cpu import REGISTERS, Cpu
from tinydeploy.virtual.decode import Block, Decoder, instruction_sizes
from tinydeploy.virtual.models import CycleModel

THUMB = 1 << 24  # of xPSR
MAX_SLICE_CYCLES = 1 << 28
_PARTS = 256  # of a cycle, in which the hooks count
_ROOT = 1  # the node before which nothing ran: a start, an exception
_FIRST_TABLE = 1 << 13

Action = Callable[[], object]


class AlignmentLook:
    """An action that is needed only where not all of `registers`, few, hold multiples of 4: C decides that."""

    def __init__(self, registers: Sequence[str], look: Callable[[], object]) -> None:
        self.bases = native.bases([REGISTERS[name] for name in registers])
        self._look = look

    def __call__(self) -> object:
        """Look at all of them as any action does."""
        return self._look()


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
        self._nodes: dict[tuple[int, int], int] = {}
        self._blocks: list[Block | None] = [None, None]  # by node
        self._actions: dict[tuple[int, int, int], Action] = {}
        self._instructions = 0
        self._cycles_256 = 0
        self._library = native.library()
        self._state = native.CounterState(node=_ROOT)
        self._state_at = ctypes.addressof(self._state)
        self._slow_hook = native.Slow(self._slow)
        self._state.slow = self._slow_hook
        cpu.lend_registers(self._state)
        self._edges = self._table(_FIRST_TABLE)
        self._edge_count = 0
        cpu.on_block_native(self._library.td_block, self._state_at)

    def _table(self, size: int) -> ctypes.Array[native.Edge]:
        edges = (native.Edge * size)()
        self._state.edges = ctypes.cast(edges, ctypes.POINTER(native.Edge))
        self._state.mask = size - 1
        return edges

    @property
    def state(self) -> native.CounterState:
        """What the hooks share, for a memory model to attach to."""
        return self._state

    def watch_accesses(self, ranges: list[tuple[int, int]]) -> None:
        """Let the hook for loads and stores see these addresses, first and last."""
        for first, last in ranges:
            self.cpu.on_access_native(self._library.td_access, self._state_at, first, last)

    @property
    def instructions(self) -> int:
        """Instructions executed, the running block counted whole."""
        return self._instructions + int(self._state.instructions)

    @property
    def cycles(self) -> int:
        """Cycles executed, the running block counted whole."""
        return (self._cycles_256 + int(self._state.cycles_256)) // _PARTS

    @property
    def block(self) -> Block | None:
        """The block that is running or ran last; None right after an exception or at the start."""
        return self._blocks[self._state.node]

    def edges(self) -> Iterator[tuple[Block | None, Block, int]]:
        """Every pair of blocks that ran since edges were last forgotten, and how often."""
        for edge in self._edges:
            block = self._blocks[edge.next] if edge.key else None
            if block is not None and edge.runs:
                yield self._blocks[edge.key >> 32], block, edge.runs

    def halt(self) -> None:
        """Stop before the next block."""
        self._state.deadline_256 = -1

    def limit(self, cycles: int) -> None:
        """Stop at the first block that begins so many cycles from now."""
        state = self._state
        state.deadline_256 = min(state.deadline_256, state.cycles_256 + cycles * _PARTS)

    def run(self, pc: int, cycles: int) -> int:
        """Run from `pc` until at least `cycles` have passed, `halt` or an exception; returns Unicorn's error number."""
        state = self._state
        state.instructions = state.cycles_256 = 0
        state.deadline_256 = max(1, min(cycles, MAX_SLICE_CYCLES)) * _PARTS
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
        state = self._state
        self._instructions += state.instructions
        self._cycles_256 += state.cycles_256
        state.instructions = state.cycles_256 = 0

    def add_cycles(self, cycles: int) -> None:
        """Charge what no instruction does: exception entry and return."""
        self._cycles_256 += cycles * _PARTS

    def recount(self, instructions: int, cycles: int) -> None:
        """What was counted is `instructions` and `cycles`: a debugger's step runs less than the blocks it enters."""
        self._instructions, self._cycles_256 = instructions, cycles * _PARTS
        self.break_sequence()

    def uncharge_from(self, address: int) -> None:
        """The running block ended before the instruction at `address`: take back what was charged from there on."""
        block = self.block
        if block is None:
            return
        done = sum(1 for instruction in block.instructions if instruction.address < address)
        self._instructions -= block.count - done
        self._cycles_256 -= self._cost_after(block, done)

    def _cost_after(self, block: Block, done: int) -> int:
        left = self.model.prefix(block, block.count) - self.model.prefix(block, done)
        return max(0, round(left * _PARTS))

    def cycles_before(self, index: int) -> int:
        """Cycles up to instruction `index` of the running block, which `cycles` counts whole."""
        block = self.block
        return self.cycles if block is None else self.cycles - self._cost_after(block, index) // _PARTS

    def break_sequence(self) -> None:
        """What runs next does not follow from the block before: an exception, its return, a reset."""
        self._state.node = _ROOT

    def forget_edges(self) -> None:
        """Let `visit` see every pair of blocks anew."""
        ctypes.memset(self._edges, 0, ctypes.sizeof(self._edges))
        self._edge_count = 0
        self._actions.clear()

    def _slow(self, address: int, size: int) -> None:
        """A block is about to run that the table cannot answer for: charge it, or halt."""
        try:
            state = self._state
            node, key = state.node, (state.node, address, size)
            action = self._actions.get(key)
            edge = self._library.td_find(self._state_at, node, address)[0]
            if not (action and edge.key and edge.size_bytes == size):
                following = self._node(address, size)
                if following is None:
                    self.halt()  # a branch into Arm state: nothing here to decode
                    return
                previous, block = self._blocks[node], self._blocks[following]
                assert block is not None
                action = self.visit(previous, block)
                edge = self._insert(node, address)
                edge.cycles_256 = round(self.model.cycles(previous, block) * _PARTS)
                edge.next, edge.size_bytes, edge.instructions = following, size, block.count
                edge.each_time = action is not None
                edge.aligned = ctypes.pointer(action.bases) if isinstance(action, AlignmentLook) else None
                if action is not None:
                    self._actions[key] = action
            edge.runs += 1
            state.answer = edge  # a copy: an action may forget all edges
            if action is not None:
                action()
        except BaseException as error:  # native code is below: carried to `run`, which raises it
            self.error = error
            self.halt()

    def _insert(self, node: int, address: int) -> native.Edge:
        if 2 * self._edge_count > self._state.mask:
            old, size = self._edges, 2 * (self._state.mask + 1)
            edges = (native.Edge * size)()
            self._library.td_rehash(self._state_at, ctypes.addressof(edges), size - 1)
            del old
            self._edges = edges
        edge: native.Edge = self._library.td_find(self._state_at, node, address)[0]
        if not edge.key:
            self._edge_count += 1
            edge.key = node << 32 | address
        return edge

    def _node(self, address: int, size: int) -> int | None:
        node = self._nodes.get((address, size))
        if node is None and self.cpu["xpsr"] & THUMB:
            node = self._nodes[address, size] = len(self._blocks)
            self._blocks.append(self._decode(address, size))
        return node

    def _decode(self, address: int, size: int) -> Block:
        code = self.cpu.read(address, size)
        assert 0 < size == sum(instruction_sizes(code)), f"block at 0x{address:08x} of {size} bytes"
        xpsr = self.cpu["xpsr"]
        it_mask = (xpsr >> 8 & 0b1100) | (xpsr >> 25 & 0b11)  # ITSTATE[3:0]; a page may end inside an IT block
        left_in_it = 4 - ((it_mask & -it_mask).bit_length() - 1) if it_mask else 0
        return self._decoder.block(address, code, left_in_it)
