"""Whether a network of the zoo will fit a board, said before an epoch is spent on it, with the nearest that does."""

from __future__ import annotations

from tinydeploy.arithmetic import estimate, least_shortage, smaller_networks
from tinydeploy.boards import Board
from tinydeploy.errors import UsageError
from tinydeploy.fit import Shortage, fit_error
from tinydeploy.optimize import Optimize
from tinydeploy.zoo import ModelSpec


def require_deployable(
    spec: ModelSpec, board: Board, *, optimize: Optimize = "balanced", stream_input: bool = False
) -> None:
    """FitError where the arena that the compiler plans for `spec`, or its packed constants, exceed `board`.

    The message names the nearest network that fits, thinner before smaller; each candidate is compiled.
    """
    short = _shortage(spec, board, optimize, stream_input)
    if short is not None:
        advice = _advice(spec, board, optimize, stream_input)
        raise fit_error(
            spec.name, short.needs_bytes, board.name, short.has_bytes, short.memory, short.contributors, advice
        )


def _shortage(spec: ModelSpec, board: Board, optimize: Optimize, stream_input: bool) -> Shortage | None:
    short = least_shortage(spec, board, optimize)
    if short is not None:  # too large to be compiled at all
        return short
    cost = estimate(spec, board, optimize=optimize, stream_input=stream_input)
    if cost.firmware_ram_bytes > cost.board_ram_bytes:
        activations = tuple((layer.name, layer.activation_bytes) for layer in cost.layers)
        return Shortage("ram", cost.firmware_ram_bytes, cost.board_ram_bytes, activations)
    if cost.constants_bytes > cost.board_flash_bytes:
        weights = tuple((layer.name, layer.weights_bytes) for layer in cost.layers)
        return Shortage("flash", cost.constants_bytes, cost.board_flash_bytes, weights)
    return None


def _advice(spec: ModelSpec, board: Board, optimize: Optimize, stream_input: bool) -> str:
    for smaller in smaller_networks(spec):
        try:
            if _shortage(smaller, board, optimize, stream_input) is None:
                return f"The nearest that fits is --alpha {smaller.alpha:g} --input-size {smaller.size_option}"
        except UsageError:
            break  # too small for the strides, and so is what would follow
    return "None of its widths and sizes fits"
