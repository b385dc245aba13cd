"""Element-wise operators of two operands: the loops that broadcast them, and the cheapest exact arithmetic."""

from __future__ import annotations

import math

import numpy as np

from tinydeploy.fixedpoint import IntArray, Multiplier
from tinydeploy.graph import Graph
from tinydeploy.kernels.base import Constant, Implementation, Shape, plus
from tinydeploy.ops.add import LEFT_SHIFT, Add
from tinydeploy.ops.extremum import Maximum
from tinydeploy.ops.mul import Mul
from tinydeploy.ops.operands import BinaryOp, Operand

_HALF = Multiplier(1 << 30, 0)


def add_linear(op: Add, graph: Graph) -> Implementation | None:
    """ADD or SUB of equal shapes as a sum of two products, where that equals TFLM's roundings for every pair of values.

    Of the exact factors little is lost: they have 31 bits, the sum some 20 after the point. The constant must put each
    of the 65,536 sums on its side of the thresholds; where two pairs want different ones there is none.
    """
    a, b = op.operands
    if a.tensor is None or b.tensor is None or a.shape != b.shape:
        return None
    output = op.multiplier.mantissa * 2.0 ** (op.multiplier.shift - 31 + LEFT_SHIFT)
    ratios = [side.multiplier.mantissa * 2.0 ** (side.multiplier.shift - 31) * output for side in (a, b)]
    ratios[1] *= op.sign
    # The sum of both products keeps below 2^30, so that the constant fits beside it; a factor is below 2^31.
    shift = min(30 - math.frexp(128 * sum(map(abs, ratios)))[1], 22)
    if shift < 8:
        return None
    factors = [round(ratio * 2.0 ** (shift + 8)) for ratio in ratios]
    if max(map(abs, factors)) >= 1 << 31:
        return None
    q = np.arange(-128, 128, dtype=np.int64)
    sums = (((q << 8) * factors[0]) >> 16)[:, None] + (((q << 8) * factors[1]) >> 16)
    wanted = op.apply(q[:, None], q).astype(np.int64)
    # A clamp takes care of what lies beyond it.
    above = np.where(wanted > op.act_min, (wanted << shift) - sums, -(1 << 40)).max()
    below = np.where(wanted < op.act_max, ((wanted + 1) << shift) - sums, 1 << 40).min()
    constant = int(above + below) // 2
    if (
        not above <= constant < below
        or max(abs(int(end)) for end in (sums.min(), sums.max())) + abs(constant) >= 1 << 31
    ):
        return None
    elements = math.prod(a.shape)
    return Implementation(
        "td_add_s8_dsp",
        f"{op.kind}_{elements}",
        {
            "elements": elements,
            "factor_a": factors[0],
            "factor_b": factors[1],
            "constant": constant,
            "shift": shift,
            "act_min": op.act_min,
            "act_max": op.act_max,
        },
        in_place=True,
    )


def add_dsp(op: Add, graph: Graph) -> Implementation | None:
    """ADD or SUB: the operand with the larger scale is shifted only, the other comes from a table.

    TFLM brings an operand to the common scale with a multiplier and two roundings; the larger scale's multiplier is one
    half exactly, and an int8 has 256 cases.
    """
    a, b = op.operands
    # The shifted operand comes first.
    swap = a.multiplier != _HALF
    shifted, tabled = (b, a) if swap else (a, b)
    right = -op.multiplier.shift
    if shifted.multiplier != _HALF or not 1 <= right <= 22:
        return None
    shifted_sign, tabled_sign = (op.sign, 1) if swap else (1, op.sign)
    q = np.arange(256, dtype=np.uint8).view(np.int8)
    # Doubled, as the rounding high multiplication wants its operand; the shifted operand's zero point is in the table.
    shift_of_zero = shifted_sign * (shifted.zero_point << (LEFT_SHIFT - 1))
    table: IntArray = 2 * (tabled_sign * tabled.scaled(q) - shift_of_zero)
    if 2 * np.abs(table).max() >= 1 << 31:
        return None
    names = ("b", "a") if swap else ("a", "b")
    minus = "-" if shifted_sign < 0 else ""
    form: Shape = {
        "kind": "sum",
        "doubled": f"{minus}{names[0]} * (1 << {LEFT_SHIFT}) + table[(uint8_t){names[1]}]",
    }
    table_of_operand = Constant("table", "int32_t", table)
    return _implementation("td_binary_s8_dsp", op, {**_rescaled(op), **form}, (table_of_operand,))


def mul_dsp(op: Mul, graph: Graph) -> Implementation | None:
    """MUL with the product rescaled by one rounding high multiplication; four elements at a time where a run of them
    has both operands' elements side by side, or one of an operand."""
    if not 1 <= -op.multiplier.shift <= 22:
        return None
    a, b = op.operands
    size, *steps = broadcast_loops(op)[-1]
    if size < 4 or max(steps) > 1:
        doubled = f"2 * {_over('a', a)} * {_over('b', b)}"
        return _implementation("td_binary_s8_dsp", op, {**_rescaled(op), "kind": "product", "doubled": doubled})
    form: Shape = {
        "a_single": steps[0] == 0,
        "b_single": steps[1] == 0,
        "a_zero": a.zero_point,
        "b_zero": b.zero_point,
        "signed": (a.zero_point, b.zero_point) not in ((-128, -128), (127, 127)),
    }
    return _implementation("td_mul_s8_dsp", op, {**_rescaled(op), **form})


def _rescaled(op: Add | Mul) -> Shape:
    right = -op.multiplier.shift
    return {
        "mantissa": op.multiplier.mantissa,
        "offset": (1 << (right - 1)) + (op.output_zero_point << right),
        "shift": right,
        "act_min": op.act_min,
        "act_max": op.act_max,
    }


def subtract(op: Add, graph: Graph) -> Implementation:
    """SUB in portable C, in TFLM's own steps."""
    a, b = op.operands
    return _implementation(
        "td_binary_s8",
        op,
        {
            **_plain(op, op.multiplier),
            "kind": "difference",
            "a_multiplier": (a.multiplier.mantissa, a.multiplier.shift),
            "b_multiplier": (b.multiplier.mantissa, b.multiplier.shift),
        },
    )


def mul(op: Mul, graph: Graph) -> Implementation:
    """MUL in portable C, in TFLM's own steps."""
    return _implementation("td_binary_s8", op, {**_plain(op, op.multiplier), "kind": "product"})


def extremum(op: BinaryOp, graph: Graph) -> Implementation:
    """MAXIMUM and MINIMUM."""
    return _implementation("td_binary_s8", op, {"kind": "maximum" if isinstance(op, Maximum) else "minimum"})


def _plain(op: BinaryOp, multiplier: Multiplier) -> Shape:
    a, b = op.operands
    return {
        "a": _over("a", a),
        "b": _over("b", b),
        "mantissa": multiplier.mantissa,
        "shift": multiplier.shift,
        "zero_point": op.output_zero_point,
        "act_min": op.act_min,
        "act_max": op.act_max,
    }


def _over(name: str, side: Operand) -> str:
    """C text of an operand without its zero point."""
    return f"({name}{plus(-side.zero_point)})" if side.zero_point else name


def _implementation(template: str, op: BinaryOp, form: Shape, constants: tuple[Constant, ...] = ()) -> Implementation:
    """Loops around one element's arithmetic; an operand of the output's size may be overwritten, element by element."""
    loops = broadcast_loops(op)
    constant = [at for at, side in enumerate(op.operands) if side.tensor is None]
    operand = tuple(Constant("operand", "int8_t", np.frombuffer(op.operands[at].data, np.int8)) for at in constant)
    return Implementation(
        template,
        "_".join((op.kind, *(str(size) for size, _, _ in loops))),
        {
            **form,
            "sizes": tuple(size for size, _, _ in loops),
            "a_steps": tuple(step for _, step, _ in loops),
            "b_steps": tuple(step for _, _, step in loops),
            # Constant operands come among the inputs, in their place.
            "constant_side": constant[0] if constant else -1,
        },
        (*operand, *constants),
        in_place=True,
    )


def broadcast_loops(op: BinaryOp) -> tuple[tuple[int, int, int], ...]:
    """Nested loops over the output in order, as (size, step in a, step in b), as few as do."""
    loops: list[tuple[int, int, int]] = []
    for size, a, b in zip(op.shape, _steps(op.operands[0]), _steps(op.operands[1]), strict=True):
        if size == 1:
            continue
        if loops and loops[-1][1:] == (a * size, b * size):
            loops[-1] = (loops[-1][0] * size, a, b)
        else:
            loops.append((size, a, b))
    return tuple(loops) or ((1, 0, 0),)


def _steps(side: Operand) -> tuple[int, ...]:
    steps, step = [], 1
    for size in reversed(side.shape):
        steps.append(0 if size == 1 else step)
        step *= size
    return tuple(reversed(steps))
