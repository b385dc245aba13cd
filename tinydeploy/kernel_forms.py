"""Which form of a matrix kernel runs on one board, by predicted cycles: then where its constants are.

What is fastest with constants at hand need not be with constants in flash: wide weights spare instructions and are
read twice as much; blocks of four channels take fewer cycles and go over the weights half as often again as blocks of
three pixels. Cycles of a form are those of its instructions (``kernels/matrix_cycles.py``) and of getting its
constants (``constants_place``). The instructions are counted by the rules of the Cortex-M4: on all other cores, and on
chips that nothing is known of, the form stays that of `kernels.select`.
"""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.boards import Board
from tinydeploy.compiler import Program, compile_graph
from tinydeploy.constants_place import Site, constants_cycles, gap, place_constants, site_of
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Implementation, KernelForm
from tinydeploy.kernels.matrix import conv, fully_connected
from tinydeploy.kernels.matrix_cycles import has_cycles, matrix_cycles
from tinydeploy.kernels.matrix_form import CHOICES
from tinydeploy.ops.conv import Conv2D
from tinydeploy.ops.fully_connected import FullyConnected
from tinydeploy.optimize import Optimize
from tinydeploy.plan import Step, plan_memory

_TEMPLATE = "td_conv_s8_dsp"
# What another form must save; predictions are off by about one per cent.
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


def choose_forms(program: Program, board: Board, optimize: Optimize) -> Program:
    """`program` with every matrix kernel in its best form; as it is where that would take a larger arena."""
    site = site_of(program, board, optimize)
    if site is None or site.reads.core != "m4":
        return program
    steps = []
    for number, step in enumerate(program.steps):
        forms = _forms(program, step, optimize)
        costs = {name: _cycles(program, number, form, site) for name, form in forms.items()}
        if len(costs) > 1:
            own, best = next(iter(costs)), min(costs, key=costs.__getitem__)
            best = best if costs[best] <= (1 - _LEAST_GAIN) * costs[own] else own
            step = replace(step, implementation=replace(forms[best], form=KernelForm(best, costs)))
        steps.append(step)
    plan = plan_memory(program.graph, steps)
    if plan.arena_bytes > program.plan.arena_bytes:
        return program
    return replace(program, steps=tuple(steps), plan=plan)


def _forms(program: Program, step: Step, optimize: Optimize) -> dict[str, Implementation]:
    """The forms of a step's kernel by name, its own first; nothing where they have no count, or where the step has to
    do with parts of wider tensors, for which `select` gives no kernels."""
    op, own, graph = step.op, step.implementation, program.graph
    if own.template != _TEMPLATE or not has_cycles(own.shape) or {*op.inputs, op.output} & program.plan.pitches.keys():
        return {}
    choices = CHOICES[optimize]
    forms = {"as on any board": own}
    for name, other in (
        ("narrow weights", replace(choices, wide_words=0)),
        ("three pixels", replace(choices, four_words=1 << 31)),
    ):
        made = conv(op, graph, other) if isinstance(op, Conv2D) else None
        if isinstance(op, FullyConnected):
            made = fully_connected(op, graph, other)
        if made is not None and has_cycles(made.shape) and made.key not in {form.key for form in forms.values()}:
            forms[name] = made
    return forms


def _cycles(program: Program, number: int, form: Implementation, site: Site) -> int:
    """An inference's cycles in this form, its constants in the best place; copies made at start-up cost nothing."""
    instructions = matrix_cycles(form.shape, site.reads.loop_end_cycles)
    in_arena = gap(program.plan, number, form, site) is not None
    constants = {} if site.copies else constants_cycles(form, site, in_arena=in_arena)
    return round(instructions + min(constants.values(), default=0))
