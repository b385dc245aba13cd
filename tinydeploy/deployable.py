"""Whether a network of the zoo will fit a board, said before an epoch is spent on it, with the nearest that does."""

from __future__ import annotations

from tinydeploy.arithmetic import estimate, least_shortage, require_enough
from tinydeploy.boards import Board
from tinydeploy.fit import Shortage, lacking
from tinydeploy.optimize import Optimize
from tinydeploy.zoo import ModelSpec


def require_deployable(
    spec: ModelSpec, board: Board, *, optimize: Optimize = "balanced", stream_input: bool = False
) -> None:
    """FitError where the firmware with `spec` exceeds the RAM or flash of `board`: arena and constants by the compiler,
    the rest by the cost model.

    The message names the nearest network that fits, thinner before smaller; each candidate is compiled.
    """
    require_enough(spec, board, lambda one: _shortage(one, board, optimize, stream_input), "fits")


def _shortage(spec: ModelSpec, board: Board, optimize: Optimize, stream_input: bool) -> Shortage | None:
    short = least_shortage(spec, board, optimize)
    if short is not None:  # too large to be compiled at all
        return short
    cost = estimate(spec, board, optimize=optimize, stream_input=stream_input)
    activations = [(layer.name, layer.activation_bytes) for layer in cost.layers]
    weights = [(layer.name, layer.weights_bytes) for layer in cost.layers]
    in_ram = lacking("ram", cost.firmware_ram_bytes, cost.board_ram_bytes, activations)
    return in_ram or lacking("flash", cost.firmware_flash_bytes, cost.board_flash_bytes, weights)
