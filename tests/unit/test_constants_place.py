"""Constants are read where that is predicted to cost least, within the room that there is."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.net import Net
from support.speed_models import autoencoder, resnet

from tinydeploy.boards import Board, load_board
from tinydeploy.codegen import generate
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import choices, knapsack, place_constants, ram_constants_bytes
from tinydeploy.flash_reads import FlashReads, flash_reads_of
from tinydeploy.optimize import Optimize
from tinydeploy.placement import rooms
from tinydeploy.tflite import read_model

L4R5, F746 = load_board("nucleo_l4r5zi"), load_board("stm32f746")


def compiled(model: bytes, board: Board, optimize: Optimize = "balanced") -> Program:
    return place_constants(compile_graph(read_model(model, "net"), board.core, optimize=optimize), board, optimize)


def residences(program: Program) -> set[str]:
    return {choice.residence for choice in choices(program)}


def arena_for_ram(model: bytes) -> int:
    return compile_graph(read_model(model, "net"), L4R5.core, optimize="ram").plan.arena_bytes


def simulated(reads: FlashReads, size_bytes: int, sweeps: int) -> float:
    """The same by looking every word up, as the virtual board does."""
    sets: list[list[tuple[int, set[int]]]] = [[] for _ in range(reads.sets)]
    misses = accesses = 0
    for address in itertools.chain.from_iterable(range(0, size_bytes, 4) for _ in range(sweeps)):
        accesses += 1
        line, sector = address // reads.line_bytes, address % reads.line_bytes // reads.sector_bytes
        lines = sets[line % reads.sets]
        found = next((entry for entry in lines if entry[0] == line), (line, set[int]()))
        if found in lines:
            lines.remove(found)
        elif len(lines) == reads.ways:
            lines.pop(0)
        lines.append(found)
        misses += sector not in found[1]
        found[1].add(sector)
    return misses * reads.miss_cycles + accesses * reads.access_cycles


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(1, 8, 32, 8), (32, 4, 32, 32), (4, 2, 16, 16), (3, 1, 8, 4)]),
    st.integers(1, 60),
    st.integers(1, 4),
)
def test_waiting_is_that_of_a_cache_that_is_swept(shape: tuple[int, int, int, int], lines: int, sweeps: int) -> None:
    reads = FlashReads(
        "any",
        "m4",
        *shape,
        miss_cycles=3.0,
        access_cycles=0.5,
        loop_end_cycles=0.0,
        ram_miss_cycles=0.0,
        code_cache_bytes=0,
    )
    size = lines * reads.line_bytes
    assert reads.cycles(size, sweeps) == pytest.approx(simulated(reads, size, sweeps))


@pytest.mark.parametrize("board", [L4R5, F746, load_board("nucleo_u575zi")], ids=lambda board: board.name)
def test_the_facts_are_those_that_the_virtual_board_counts_by(board: Board) -> None:
    pytest.importorskip("unicorn")
    from tinydeploy.virtual.silicon_file import silicon_of

    reads, silicon = flash_reads_of(board.part), silicon_of(board.part)
    assert reads is not None
    assert silicon is not None
    cache = silicon.data
    assert cache is not None
    assert (reads.chip, reads.sets, reads.ways, reads.line_bytes, reads.sector_bytes) == (
        *(silicon.chip, cache.sets, cache.ways),
        *(cache.line_bytes, cache.sector_bytes),
    )
    assert (reads.miss_cycles, reads.access_cycles) == (cache.miss, cache.access)
    assert (reads.core, reads.loop_end_cycles) == (silicon.core, silicon.cycles.get("loop_end", 0.0))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(-5, 100)), max_size=8), st.integers(0, 150))
def test_the_knapsack_gains_as_much_as_any_choice(items: list[tuple[int, int]], room: int) -> None:
    sizes, gains = [size for size, _ in items], [gain for _, gain in items]
    chosen = knapsack(sizes, gains, room)
    assert sum(sizes[number] for number in chosen) <= room
    subsets = (s for n in range(len(items) + 1) for s in itertools.combinations(range(len(items)), n))
    best = max(sum(gains[i] for i in subset) for subset in subsets if sum(sizes[i] for i in subset) <= room)
    assert sum(gains[number] for number in chosen) == best


def test_what_is_read_often_is_copied_where_the_arena_is_free() -> None:
    plain = compile_graph(read_model(resnet(), "net"), L4R5.core)
    program = compiled(resnet(), L4R5)
    assert residences(program) == {"flash", "arena"}
    assert plain.plan.arena_bytes <= program.plan.arena_bytes <= plain.plan.arena_bytes * 33 / 32
    assert compiled(resnet(), L4R5, "ram").plan.arena_bytes == arena_for_ram(resnet())
    copies = [(buffer, start) for buffer, start in program.plan.buffers if buffer.name.startswith("constants of ")]
    assert len(copies) == sum(choice.residence == "arena" for choice in choices(program)) > 0
    for copy, at in copies:
        assert at + copy.size_bytes <= program.plan.arena_bytes
        for other, start in program.plan.buffers:
            apart = at + copy.size_bytes <= start or start + other.size_bytes <= at
            assert other is copy or apart or not other.overlaps(copy)
    assert all(choice.cycles[choice.residence] == min(choice.cycles.values()) for choice in choices(program))


def test_what_is_read_once_is_not_copied() -> None:
    assert residences(compiled(autoencoder(), L4R5)) == {"flash"}


def test_for_speed_all_that_fits_is_in_ram() -> None:
    program = compiled(resnet(), L4R5, "speed")
    assert residences(program) == {"ram"}
    assert ram_constants_bytes(program.steps) >= program.constants_bytes
    files = generate(program).files
    assert 'section(".copied.model_00_weights")' in files["model_data.c"]
    assert "memcpy(arena" not in files["model.c"].split("void model_invoke")[0]


def test_what_does_not_fit_is_what_gains_least() -> None:
    """300 KB of weights: more than the STM32F746's RAM has left."""
    net = Net(1)
    x = net.input((1, 512))
    for width in (256, 256, 256, 64):
        x = net.fully_connected(x, width)
    program = compiled(net.done(x), F746, "speed")
    assert residences(program) == {"flash", "ram"}
    room = max(free for _, free in rooms(F746, program.plan.arena_bytes))
    assert ram_constants_bytes(program.steps) <= room
    left = [choice for choice in choices(program) if choice.residence == "flash"]
    assert all(ram_constants_bytes(program.steps) + choice.size_bytes > room for choice in left)


@pytest.mark.parametrize(("board", "optimize"), [("nucleo_f411re", "speed"), ("pico", "speed"), ("stm32f746", "flash")])
def test_without_a_choice_nothing_is_chosen(board: str, optimize: Optimize) -> None:
    plain = compile_graph(read_model(resnet(), "net"), load_board(board).core, optimize=optimize)
    assert place_constants(plain, load_board(board), optimize) is plain


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = (generate(compiled(resnet(), L4R5, "speed")).files for _ in range(2))
    assert first == second
    assert generate(compiled(resnet(), L4R5)).files == generate(compiled(resnet(), L4R5)).files
