"""Which form of a matrix kernel runs on one board, by predicted cycles: then where its constants are.

What is fastest with constants at hand need not be with constants in flash: wide weights spare instructions and are
read twice as much; blocks of four channels take fewer cycles and go over the weights half as often again as blocks of
three pixels. And the end of a loop costs 1 cycle on one chip, 8 or 36 on another: so its loops are unrolled further
where that is worth its bytes of flash, and what is repeated still fits the cache before it. Cycles of a form are those
of its instructions (``kernels/matrix_cycles.py``) and of getting its constants (``constants_place``). On cores without
rules there, and on chips that nothing is known of, the form stays that of `kernels.select`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinydeploy.boards import Board
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import Site, constants_cycles, gap, place_constants, site_of
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation, KernelForm
from tinydeploy.kernels.matrix import conv, fully_connected
from tinydeploy.kernels.matrix_cycles import RULES, has_cycles, matrix_code_bytes, matrix_cycles, matrix_loop_bytes
from tinydeploy.kernels.matrix_form import CHOICES, Choices
from tinydeploy.kernels.matrix_parts import blocks_of
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.optimize import Optimize
from tinydeploy.plan import Step, plan_memory

_TEMPLATE = "td_conv_s8_dsp"
_OWN, _UNROLLED = "as on any board", "unrolled further"
# What another form must save: what one form saves beside another is predicted to about a per cent of the step.
_LEAST_GAIN = 0.02


def compile_for(
    graph: Graph,
    board: Board,
    *,
    keep_constant_channels: bool = False,
    optimize: Optimize = "balanced",
    stream_input: bool = False,
) -> Program:
    """`graph` compiled for the core of `board` (``compile_graph`` tells of the options) and fitted to the board."""
    program = compile_graph(
        graph,
        board.core,
        keep_constant_channels=keep_constant_channels,
        optimize=optimize,
        stream_input=stream_input,
    )
    return fit_to_board(program, board, optimize)


def fit_to_board(program: Program, board: Board, optimize: Optimize) -> Program:
    """`program` with the forms of kernels and the places of constants that are predicted to cost `board` least."""
    return place_constants(choose_forms(program, board, optimize), board, optimize)


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of one step: its kernel, and an inference's cycles with the constants in the best place."""

    kernel: Implementation
    cycles: int


def choose_forms(program: Program, board: Board, optimize: Optimize) -> Program:
    """`program` with every matrix kernel in its best form; as it is where that would take a larger arena."""
    site = site_of(program, board, optimize)
    if site is None or site.reads.core not in RULES:
        return program
    forms = {
        number: {name: _Form(kernel, _cycles(program, number, kernel, site)) for name, kernel in found.items()}
        for number, step in enumerate(program.steps)
        if (found := _forms(program, step, CHOICES[optimize], site))
    }
    names = _unroll(forms, {number: _fewest_cycles(of_step) for number, of_step in forms.items()}, program)
    steps = tuple(
        replace(step, implementation=_chosen(forms[number], names[number])) if number in forms else step
        for number, step in enumerate(program.steps)
    )
    plan = plan_memory(program.graph, steps)
    if plan.arena_bytes > program.plan.arena_bytes:
        return program
    return replace(program, steps=steps, plan=plan)


def _forms(program: Program, step: Step, choices: Choices, site: Site) -> dict[str, Implementation]:
    """The forms of a step's kernel by name, its own first; nothing where they have no count, or where the step has to
    do with parts of wider tensors, for which `select` gives no kernels."""
    op, own, graph = step.op, step.implementation, program.graph
    if own.template != _TEMPLATE or not has_cycles(own.shape) or {*op.inputs, op.output} & program.plan.pitches.keys():
        return {}
    others: dict[str, Choices] = {}
    if site.reads.core == "m4":  # on the M7 neither gains anything (docs/CHOICES.md)
        others |= {
            "narrow weights": replace(choices, wide_words=0),
            "three pixels": replace(choices, four_words=1 << 31),
        }
    others[_UNROLLED] = choices.unrolled_as(CHOICES["speed"])
    forms = {_OWN: own}
    for name, other in others.items():
        made = conv(op, graph, other) if isinstance(op, Conv2D) else None
        if isinstance(op, FullyConnected):
            made = fully_connected(op, graph, other)
        if made is None or not has_cycles(made.shape) or made.key in {form.key for form in forms.values()}:
            continue
        longer = matrix_loop_bytes(own.shape) < matrix_loop_bytes(made.shape) <= site.reads.code_cache_bytes
        if longer or name != _UNROLLED:
            forms[name] = made
    return forms


def _cycles(program: Program, number: int, kernel: Implementation, site: Site) -> int:
    """An inference's cycles in this form, its constants in the best place; copies made at start-up cost nothing."""
    instructions = matrix_cycles(kernel.shape, site.reads.core, site.reads.loop_end_cycles)
    in_arena = gap(program.plan, number, kernel, site) is not None
    constants = {} if site.copies else constants_cycles(kernel, site, in_arena=in_arena)
    return round(instructions + min(constants.values(), default=0))


def _fewest_cycles(forms: dict[str, _Form]) -> str:
    """The form to take as long as none is unrolled further: another than its own for a clear gain alone."""
    best = min((name for name in forms if name != _UNROLLED), key=lambda name: forms[name].cycles)
    return best if forms[best].cycles <= (1 - _LEAST_GAIN) * forms[_OWN].cycles else _OWN


def _unroll(forms: dict[int, dict[str, _Form]], names: dict[int, str], program: Program) -> dict[int, str]:
    """`names` of forms, by step, with loops unrolled further where a part more of flash saves as great a part of the
    cycles at least: of flash as constants and matrix kernels take it, and of the cycles of these kernels.

    Steps that share functions share their bytes, and are unrolled together or not at all.
    """

    def bytes_of(chosen: dict[int, str]) -> int:
        return _code_bytes([forms[number][name].kernel for number, name in chosen.items()])

    def cycles_of(chosen: dict[int, str]) -> int:
        return sum(forms[number][name].cycles for number, name in chosen.items())

    together: dict[frozenset[object], dict[int, str]] = {}
    for number, name in names.items():
        form = forms[number].get(_UNROLLED)
        if form is not None and form.cycles <= (1 - _LEAST_GAIN) * forms[number][name].cycles:
            together.setdefault(frozenset(blocks_of(form.kernel.shape)), {})[number] = _UNROLLED
    for unrolled in together.values():
        cycles, code_bytes, after = cycles_of(names), bytes_of(names), names | unrolled
        spent = (bytes_of(after) - code_bytes) / (program.constants_bytes + code_bytes)
        if 1 - cycles_of(after) / cycles >= spent:
            names = after
    return names


def _chosen(forms: dict[str, _Form], name: str) -> Implementation:
    """The kernel of the form called `name`, with what all of them would cost where there are several."""
    if len(forms) == 1:
        return forms[name].kernel
    cycles = {other: form.cycles for other, form in forms.items()}
    code_bytes = {other: _code_bytes([form.kernel]) for other, form in forms.items()}
    return replace(forms[name].kernel, form=KernelForm(name, cycles, code_bytes))


def _code_bytes(kernels: Sequence[Implementation]) -> int:
    return matrix_code_bytes([kernel.shape for kernel in kernels])
