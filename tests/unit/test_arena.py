"""The arena over time: the facts are the plan's, the drawing shows each byte's holder, in any terminal."""

from __future__ import annotations

import io
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from rich.console import Console
from support.net import Net

from tinydeploy.arena import ArenaMap, ArenaStep, Span, map_arena
from tinydeploy.arena_drawing import ArenaDrawing, arena_svg, mark
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.cores import CORES
from tinydeploy.tflite import read_model

# Two operators: `b` is written over the dying input, then read into `d`; `c` is scratch of the first.
TWO = ArenaMap(
    64,
    0,
    (ArenaStep(0, "first", "CONV_2D", 64), ArenaStep(1, "second", "SOFTMAX", 40)),
    (
        Span("a", "input", 8, 24, 0, 0),
        Span("b", "activation", 0, 32, 0, 1),
        Span("first", "scratch", 48, 16, 0, 0),
        Span("d", "output", 32, 8, 1, 1),
    ),
)
DRAWN = """\
  56 cccccccc........
  48 cccccccc........
  40 ................
  32 ........dddddddd
  24 aaaabbbbbbbbbbbb
  16 aaaabbbbbbbbbbbb
   8 aaaabbbbbbbbbbbb
   0 bbbbbbbbbbbbbbbb
step 0       1
     ^^^^^^^^
peak: step 0, 64 of 64 B in use: first"""


def drawn(arena: ArenaMap, width: int = 120, encoding: str = "ascii") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=file, width=width, highlight=False)
    console.print(ArenaDrawing(arena))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]


def chain(operators: int) -> Program:
    net = Net(7)
    x = net.input((1, 8, 8, 4))
    for _ in range(operators):
        x = net.depthwise(x)
    return compile_graph(read_model(net.done(x), "chain"), CORES["m4"])


def test_two_operators_as_letters() -> None:
    assert [line.rstrip() for line in drawn(TWO)] == DRAWN.splitlines()


def test_dots_are_round_where_the_encoding_has_them() -> None:
    assert drawn(TWO, encoding="utf-8")[0] == "  56 cccccccc········"


@pytest.mark.parametrize("width", [76, 80, 200])
@pytest.mark.parametrize("steps", [1, 2, 31, 40, 100])
def test_every_step_fits_into_eighty_columns(steps: int, width: int) -> None:
    spans = tuple(Span(f"s{n}", "activation", 64 * (n % 2), 64, n, n + 1) for n in range(steps))
    arena = ArenaMap(128, 0, tuple(ArenaStep(n, f"step {n}", "CONV_2D", 128) for n in range(steps)), spans)
    lines = drawn(arena, width)
    assert max(len(line) for line in lines) <= min(width, 80)
    letters = {letter for line in lines if line[:4].strip().isdigit() for letter in line[5:]}
    assert letters - {"."} == {mark(number) for number in range(steps)}


def test_the_map_is_the_plan() -> None:
    program = chain(3)
    found = map_arena(program)
    planned = {(b.size_bytes, at, b.first, b.last) for b, at in program.plan.buffers}
    assert {(s.size_bytes, s.offset_bytes, s.first, s.last) for s in found.spans} == planned
    assert [span.kind for span in found.spans if span.kind != "scratch"] == [
        "input",
        "activation",
        "activation",
        "output",
    ]
    assert found.arena_bytes == program.plan.arena_bytes
    assert all(a.first <= b.first for a, b in pairwise(found.spans))


def test_bytes_that_two_share_count_once() -> None:
    program = chain(1)
    (step,) = map_arena(program).steps
    held = bytearray(program.plan.arena_bytes)
    for buffer, at in program.plan.buffers:
        held[at : at + buffer.size_bytes] = bytes([1]) * buffer.size_bytes
    assert step.used_bytes == sum(held)


def test_a_chain_of_stripes_shows_its_rows() -> None:
    net = Net(8)
    wide = net.depthwise(net.conv(net.input((1, 16, 16, 4)), 32, (1, 1)))
    data = net.done(net.conv(wide, 4, (1, 1)))
    program = compile_graph(read_model(data, "chain"), CORES["m4"], optimize="ram")
    found = map_arena(program)
    rows = [span for span in found.spans if span.kind == "rows"]
    assert rows, "nothing was fused"
    assert all(span.end_bytes <= found.arena_bytes for span in found.spans)
    alive = [span for span in found.spans if span.alive(rows[0].first) and span.kind in ("rows", "scratch")]
    assert not [1 for a in alive for b in alive if a is not b and a.shares_bytes(b)]


def test_svg_has_a_rectangle_and_a_name_for_each_buffer() -> None:
    spans = (*TWO.spans[:3], Span("<d> & co", "output", 32, 8, 1, 1))
    root = ElementTree.fromstring(arena_svg(ArenaMap(64, 0, TWO.steps, spans), "net <1>"))
    names = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "<d> & co: output, 8 B at 32, steps 1" in names
    rects = [
        tuple(float(rect.get(key, "")) for key in ("x", "width"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if list(rect)
    ]
    # The input gives way in the middle of step 0 to what is written over it; scratch stands for the whole step.
    assert rects == [(72, 14), (86, 42), (72, 28), (100, 28)]
