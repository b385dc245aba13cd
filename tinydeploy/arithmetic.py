"""What a network of the zoo costs on a board, before it is trained: counted, compiled untrained, predicted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from tinydeploy import zoo
from tinydeploy.boards import Board
from tinydeploy.compiler import Program
from tinydeploy.constants_place import ram_constants_bytes, waiting_cycles
from tinydeploy.cores import Core
from tinydeploy.cost import Cost, chip_cycles, firmware_overhead, kernel_cost, knows_chip, predict, step_cost
from tinydeploy.errors import UsageError
from tinydeploy.fit import Shortage, fit_error, lacking
from tinydeploy.kernel_forms import compile_for
from tinydeploy.latency import by_cost_model, by_instructions, by_scaled_cost_model
from tinydeploy.layer_arithmetic import Arithmetic, LayerArithmetic, arithmetic_of
from tinydeploy.ops.row_chain import RowChain
from tinydeploy.optimize import Optimize
from tinydeploy.untrained import untrained_graph
from tinydeploy.zoo import ModelSpec

# Widths and shares of the input size that are tried for what fits, the largest first.
STEPS_OF_ALPHA = (1.0, 0.75, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1, 0.05)
_STEPS_OF_SIZE = (1.0, 0.75, 0.5, 0.375, 0.25)


@dataclass(frozen=True, slots=True)
class LayerCost(LayerArithmetic):
    """One layer with its predicted cost."""

    instructions: int
    cycles: int


@dataclass(frozen=True, slots=True)
class Estimate(Arithmetic):
    """A network on a board. `flash_bytes` is the model's code and constants, `firmware_*` the whole firmware's.

    `cycle_model` says where cycles and latency come from. `unmeasured` names kernels newer than the cost model, which
    makes the prediction rough.
    """

    layers: tuple[LayerCost, ...]
    board: str
    core: str
    core_hz: int
    arena_bytes: int
    constants_bytes: int
    code_bytes: int
    flash_bytes: int
    firmware_flash_bytes: int
    firmware_ram_bytes: int
    board_flash_bytes: int
    board_ram_bytes: int
    instructions: int
    cycles: int
    cycle_model: str
    unmeasured: tuple[str, ...]

    @property
    def latency_ms(self) -> float:
        """Predicted time of one inference at the board's clock."""
        return self.cycles / self.core_hz * 1e3

    @property
    def fits(self) -> bool:
        """Whether the whole firmware fits the board's flash and RAM."""
        return self.firmware_flash_bytes <= self.board_flash_bytes and self.firmware_ram_bytes <= self.board_ram_bytes


@dataclass(frozen=True, slots=True)
class Scale:
    """What constants of one's own make of the cost model's cycles: `factor` times as many, by `statement`."""

    factor: float
    statement: str


def estimate(
    spec: ModelSpec,
    board: Board,
    *,
    optimize: Optimize = "balanced",
    stream_input: bool = False,
    scale: Scale | None = None,
) -> Estimate:
    """The cost of `spec` on `board`: arena and constants by the real compiler, the rest by its cost model.

    UsageError where the architecture cannot take the input or an option; FitError where it is far too large to be
    compiled at all, with the nearest that may fit.
    """
    layers = zoo.describe(spec)
    require_possible(spec, board, optimize)
    graph, sums = untrained_graph(layers, spec.name), arithmetic_of(spec, layers)
    # Random weights may give channels that say nothing; those of a trained network are its own affair.
    program = compile_for(graph, board, keep_constant_channels=True, optimize=optimize, stream_input=stream_input)
    predicted = predict(program, board.core)
    by_layer, waiting = _by_layer(program, board.core), _waiting_by_layer(program, board)
    costs = tuple(
        LayerCost(
            **_values(layer),
            instructions=round(by_layer[layer.name].instructions),
            cycles=round(chip_cycles(by_layer[layer.name], waiting[layer.name], board.part)),
        )
        for layer in sums.layers
    )
    constants, arena = program.constants_bytes, program.plan.arena_bytes
    output_bytes = layers[-1].output_bytes
    around_flash, around_ram = firmware_overhead(board.name)
    flash = constants + predicted.code_bytes
    found = Estimate(
        **_values(sums) | {"layers": costs},
        board=board.name,
        core=board.core.name,
        core_hz=board.clock.sysclk_hz,
        arena_bytes=arena,
        constants_bytes=constants,
        code_bytes=predicted.code_bytes,
        flash_bytes=flash,
        firmware_flash_bytes=flash + around_flash,
        firmware_ram_bytes=arena + around_ram + output_bytes + ram_constants_bytes(program.steps),
        board_flash_bytes=board.flash.size_bytes,
        board_ram_bytes=board.ram.size_bytes,
        instructions=predicted.instructions,
        cycles=round(chip_cycles(Cost(predicted.instructions, predicted.cycles), sum(waiting.values()), board.part)),
        cycle_model=_cycle_model(board),
        unmeasured=predicted.unmeasured,
    )
    return found if scale is None else _scaled(found, scale)


def _values(one: LayerArithmetic | Arithmetic) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def _scaled(found: Estimate, scale: Scale) -> Estimate:
    layers = tuple(replace(layer, cycles=round(scale.factor * layer.cycles)) for layer in found.layers)
    cycles, origin = round(scale.factor * found.cycles), by_scaled_cost_model(scale.factor, scale.statement)
    return replace(found, layers=layers, cycles=cycles, cycle_model=origin)


def _cycle_model(board: Board) -> str:
    """What predicted cycles are worth on a board."""
    if not board.core.virtual:
        return by_instructions(board.core.title)
    return by_cost_model(board.part, board.core.title, is_calibrated=knows_chip(board.part))


def _waiting_by_layer(program: Program, board: Board) -> dict[str, float]:
    """Cycles spent on getting constants by the layer whose name the operators bear; a chain's go to its first layer."""
    found: dict[str, float] = defaultdict(float)
    for step in program.steps:
        name = step.op.ops[0].name if isinstance(step.op, RowChain) else step.op.name
        found[name] += waiting_cycles(step.implementation, board.part)
    return found


def _by_layer(program: Program, core: Core) -> dict[str, Cost]:
    """Cost by the layer whose name the operators bear; a chain's own goes to its first layer."""
    found: dict[str, Cost] = defaultdict(lambda: Cost(0.0, 0.0))
    for step in program.steps:
        whole = step_cost(step.implementation, core)
        made = step.implementation.stripes
        if made is None:
            found[step.op.name] += whole
            continue
        assert isinstance(step.op, RowChain)
        first = step.op.ops[0].name
        found[first] += whole
        for phase in made.phases:
            for call in phase.calls:
                part = kernel_cost(call.kernel, core).times(phase.last - phase.first)
                found[first] += part.times(-1)
                found[step.op.ops[call.op].name] += part
    return found


def require_possible(spec: ModelSpec, board: Board, optimize: Optimize = "balanced") -> None:
    """FitError where `spec` cannot fit `board` whatever the compiler does; it names the nearest that may."""
    require_enough(spec, board, lambda one: least_shortage(one, board, optimize), "may fit")


def require_enough(spec: ModelSpec, board: Board, shortage: Callable[[ModelSpec], Shortage | None], fits: str) -> None:
    """FitError where `shortage` finds that `board` lacks something for `spec`.

    It names the nearest network, thinner before smaller, for which `shortage` finds nothing: the nearest that `fits`.
    """
    short = shortage(spec)
    if short is None:
        return
    nearest = _nearest(spec, shortage)
    if nearest is None:
        advice = f"None of its widths and sizes {fits}"
    else:
        advice = f"The nearest that {fits} is --alpha {nearest.alpha:g} --input-size {nearest.size_option}"
    raise fit_error(spec.name, board.name, short, advice)


def _nearest(spec: ModelSpec, shortage: Callable[[ModelSpec], Shortage | None]) -> ModelSpec | None:
    for smaller in _smaller_networks(spec):
        try:
            if shortage(smaller) is None:
                return smaller
        except UsageError:
            break  # too small for the strides, and so is what would follow
    return None


def least_shortage(spec: ModelSpec, board: Board, optimize: Optimize = "balanced") -> Shortage | None:
    """What `spec` lacks on `board` whatever the compiler does: flash for all weights, or RAM for the largest tensor,
    unless it is never whole."""
    layers = zoo.describe(spec)
    weights = [(layer.name, layer.weights_bytes) for layer in layers]
    outputs = [(layer.name, layer.output_bytes) for layer in layers]
    needs_ram = 0 if optimize == "ram" else max(size for _, size in outputs)
    in_flash = lacking("flash", sum(size for _, size in weights), board.flash.size_bytes, weights)
    return in_flash or lacking("ram", needs_ram, board.ram.size_bytes, outputs)


def _smaller_networks(spec: ModelSpec) -> Iterator[ModelSpec]:
    """Networks like `spec`, thinner ones before smaller ones, itself left out; the smallest may be none."""
    height, width, _ = spec.input_shape
    for scale in _STEPS_OF_SIZE:
        size = (max(1, int(height * scale)), max(1, int(width * scale)) if spec.input_width else 0)
        for alpha in (spec.alpha, *(step for step in STEPS_OF_ALPHA if step < spec.alpha)):
            smaller = replace(spec, alpha=alpha, input_size=size[0], input_width=size[1])
            if smaller != spec:
                yield smaller
