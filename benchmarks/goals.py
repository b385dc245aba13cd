"""What the reference models are held against: TFLite Micro with CMSIS-NN, our targets, and the best published silicon.

All figures of one inference. RAM is all static RAM of the model, input and output included, plus the stack of
model_invoke; flash is its code and constants. KB = 1,000 B. The targets are this project's own, set when its compiler
was begun, for one build with default options where a goal names no others; a new one is one more entry of `GOALS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from benchmarks.published import PUBLISHED, VWW_KEPT, Silicon

Figure = Literal["instructions", "cycles", "ram_bytes", "flash_bytes"]
FIGURES: tuple[Figure, ...] = ("instructions", "cycles", "ram_bytes", "flash_bytes")

# The goals are for the core at zero wait states: models are compiled for chips whose flash nothing is known of.
GOAL_BOARDS: Mapping[str, str] = {"m4": "nucleo_f411re", "m7": "nucleo_f767zi"}

TFLM_SOURCE = (
    "TensorFlow Lite Micro 90b983c2 with CMSIS-NN 4ab83cc3, arm-none-eabi-gcc 12.2 -O2 (its best), exact outputs; "
    "cycles by the zero-wait-state M4 rules; flash and RAM of its smallest fast M4 build, the model included"
)
# By model and core. Cycles, flash and RAM were taken on the M4 alone.
TFLM: Mapping[str, Mapping[str, Mapping[Figure, int]]] = {
    "vww_96_int8": {
        "m4": {"instructions": 24_101_893, "cycles": 29_380_000, "ram_bytes": 102_272, "flash_bytes": 386_768},
        "m7": {"instructions": 24_025_519},
        "m0plus": {"instructions": 86_900_000},
    },
    "pretrainedResnet_quant": {
        "m4": {"instructions": 29_862_853, "cycles": 36_800_000, "ram_bytes": 56_560, "flash_bytes": 149_780},
        "m7": {"instructions": 30_026_877},
    },
    "kws_ref_model": {
        "m4": {"instructions": 7_697_357, "cycles": 9_270_000, "ram_bytes": 24_384, "flash_bytes": 107_416},
        "m7": {"instructions": 7_643_124},
    },
    "ad01_int8": {
        "m4": {"instructions": 582_917, "cycles": 727_000, "ram_bytes": 3_576, "flash_bytes": 305_120},
        "m7": {"instructions": 583_221},
    },
}


@dataclass(frozen=True, slots=True)
class Goal:
    """One row: a model as built with `options` (of tinydeploy.build.Request) for `core`.

    ``at_most`` are the targets. ``relative`` are targets as a multiple of the same figure of another goal, by its name:
    (figure, that name, factor). ``silicon``: the fewest cycles published for an L4R5 (Cortex-M4).
    """

    name: str
    model: str
    at_most: Mapping[Figure, int] = field(default_factory=dict)
    relative: tuple[tuple[Figure, str, float], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    core: str = "m4"
    silicon: Silicon | None = None


_L4R5 = PUBLISHED["nucleo_l4r5zi"]
GOALS: tuple[Goal, ...] = (
    # Its provably constant channels computed all the same: says what the kernels do.
    Goal(
        "vww_96 kept",
        "vww_96_int8",
        dict(zip(FIGURES, (7_000_000, 9_000_000, 40_000, 270_000), strict=True)),
        options={"keep_constant_channels": True},
        silicon=VWW_KEPT,
    ),
    *(
        Goal(name, model, dict(zip(FIGURES, at_most, strict=True)), silicon=_L4R5[model])
        for name, model, at_most in (
            ("vww_96", "vww_96_int8", (4_200_000, 5_400_000, 40_000, 100_000)),
            ("ic", "pretrainedResnet_quant", (11_000_000, 14_500_000, 40_000, 110_000)),
            ("kws", "kws_ref_model", (2_600_000, 3_300_000, 12_000, 50_000)),
            ("ad", "ad01_int8", (330_000, 400_000, 2_000, 285_000)),
        )
    ),
    # With --optimize ram, at no more than 10 % more cycles; streamed: the image comes row by row.
    *(
        Goal(
            f"{name} {how}",
            model,
            {"ram_bytes": ram_bytes},
            relative=(("cycles", name, 1.1),),
            options={"optimize": "ram", **({"stream_input": True} if how == "streamed" else {})},
        )
        for name, model, how, ram_bytes in (
            ("vww_96", "vww_96_int8", "ram", 34_000),
            ("vww_96", "vww_96_int8", "streamed", 22_000),
            ("ic", "pretrainedResnet_quant", "ram", 28_000),
            ("kws", "kws_ref_model", "ram", 10_000),
        )
    ),
    # The wider pipeline of the M7 must cost no instructions.
    *(
        Goal(f"{name} on M7", model, relative=(("instructions", name, 1.0),), core="m7")
        for name, model in (
            ("vww_96", "vww_96_int8"),
            ("ic", "pretrainedResnet_quant"),
            ("kws", "kws_ref_model"),
            ("ad", "ad01_int8"),
        )
    ),
    # The portable kernels: 1.5 times fewer than CMSIS-NN's.
    Goal("vww_96 on M0+", "vww_96_int8", {"instructions": 57_933_333}, core="m0plus"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one goal. ``over`` is how far `measured` lies above the target, as a share; negative where it is
    met with room. ``tflm`` and ``silicon`` are None where nobody has published or measured them."""

    goal: str
    figure: Figure
    measured: int
    target: int
    tflm: int | None
    silicon: Silicon | None

    @property
    def met(self) -> bool:
        """At the target, or below."""
        return self.measured <= self.target

    @property
    def over(self) -> float:
        """The distance from the target as a share of it."""
        return self.measured / self.target - 1


def lines(measured: Mapping[str, Mapping[Figure, int]]) -> list[Line]:
    """The goals that `measured` (goal's name, figure -> value) has figures for, in the order of `GOALS`."""
    made = []
    for goal in GOALS:
        if goal.name not in measured:
            continue
        tflm = TFLM[goal.model].get(goal.core, {})
        targets = dict(goal.at_most)
        for figure, other, factor in goal.relative:
            if figure in measured.get(other, {}):
                targets[figure] = round(measured[other][figure] * factor)
        for figure in FIGURES:
            if figure in targets:
                silicon = goal.silicon if figure == "cycles" else None
                value = measured[goal.name][figure]
                made.append(Line(goal.name, figure, value, targets[figure], tflm.get(figure), silicon))
    return made
