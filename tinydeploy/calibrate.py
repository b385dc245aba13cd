"""Refits the constants of a chip to files of ``bench --save``, by the same fit as those that ship.

A measurement is one number, so that a few of them do not tell several constants apart: then all constants are scaled by
one factor. Where there are more measurements than constants, each constant is fitted too, and what predicts the
measurements better that were left out is taken.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tinydeploy.errors import UsageError
from tinydeploy.latency import Band
from tinydeploy.measured import Stored

if TYPE_CHECKING:
    from tinydeploy.virtual.models.silicon import Silicon

LEAST_FOR_BAND = 3
_SAME_PERCENT = 2.0  # two boards of one kind agree better than this on the same image
_WORST_PERCENT = 25.0  # rules at zero wait states, which know nothing of the chip, err no more than this or a little
_TELLING = 0.005  # of the cycles, at least, must be what the constants cost
_DIGITS = 4

Constants = Mapping[str, float]
Method = Literal["each", "factor"]
Fit = Callable[[Sequence[Stored]], Constants]


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement and how far predictions of it are off, in per cent: by the constants before and after, and by
    those fitted without it (None where there are fewer than three)."""

    stored: Stored
    before: float
    after: float
    left_out: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """`silicon` refitted from `start`. ``constants``: by name, before and after. ``is_own``: the start is of this very
    chip, not of one like it."""

    start: Silicon
    silicon: Silicon
    is_own: bool
    method: Method
    constants: Mapping[str, tuple[float, float]]
    rows: tuple[Row, ...]


def calibrate(files: Sequence[Stored], start: Silicon, name: str) -> Calibration:
    """The constants of `start` refitted to `files`, to be called `name`.

    UsageError where the files are of several chips or clocks, contradict each other, or were counted with other caches.
    """
    from tinydeploy.virtual.fitting import constants, error_percent, predicted, with_constants

    _require_one_chip(files)
    _require_same_caches(files, start)
    _require_agreement(files)
    before = constants(start)
    _require_telling(files, before)
    fits: dict[Method, Fit] = {"factor": lambda known: _scaled(known, before)}
    if len(files) > len(before):
        fits["each"] = lambda known: _each(known, before)
    left_out = {method: _left_out(files, fit) for method, fit in fits.items()}
    method = min(fits, key=lambda one: sum(map(abs, left_out[one])))
    after = fits[method](files)
    errors = [[error_percent(one, one.counted.counts, chosen) for one in files] for chosen in (before, after)]
    _require_explained(files, errors[1], after)
    has_band = len(files) >= LEAST_FOR_BAND
    rows = tuple(
        Row(one, first, second, left_out[method][at] if has_band else None)
        for at, (one, first, second) in enumerate(zip(files, *errors, strict=True))
    )
    one = files[0]
    is_own = one.counted.part.startswith(start.chip)
    ratios = [predicted(one.counted.counts, after) / _cost_model_cycles(one) for one in files]
    silicon = replace(
        with_constants(start, after),
        name=name,
        chip=start.chip if is_own else _chip_of(one.counted.part),
        core_hz=one.core_hz,
        wait_states=one.counted.wait_states,
        band=_band(left_out[method]) if has_band else None,
        cost_factor=_rounded(math.prod(ratios) ** (1 / len(ratios))),
    )
    return Calibration(start, silicon, is_own, method, {key: (before[key], after[key]) for key in before}, rows)


def _chip_of(part: str) -> str:
    """The chip without the letters of its package, as the virtual board names it."""
    from tinydeploy.virtual.chips import CHIPS

    return next((chip.part for chip in CHIPS if part.startswith(chip.part)), part)


def _scaled(known: Sequence[Stored], before: Constants) -> Constants:
    """One factor for all constants: what a single measurement can tell."""
    from tinydeploy.virtual.fitting import fitted

    together = [
        (one, {**one.counted.counts, "all": sum(one.counted.counts[key] * value for key, value in before.items())})
        for one in known
    ]
    factor = fitted(together, ["all"])["all"]
    return {key: _rounded(factor * value) for key, value in before.items()}


def _each(known: Sequence[Stored], before: Constants) -> Constants:
    from tinydeploy.virtual.fitting import fitted

    found = fitted([(one, one.counted.counts) for one in known], list(before))
    return {key: _rounded(value) for key, value in found.items()}


def _left_out(files: Sequence[Stored], fit: Fit) -> list[float]:
    """The error of each file by a fit to the others; of a single one, by none."""
    from tinydeploy.virtual.fitting import error_percent

    if len(files) == 1:
        return [0.0]
    return [
        error_percent(one, one.counted.counts, fit([other for other in files if other is not one])) for one in files
    ]


def _cost_model_cycles(stored: Stored) -> float:
    """What the cost model would predict if it were exact: it knows the constants that ship, or the core's rules."""
    from tinydeploy.virtual.fitting import constants, predicted
    from tinydeploy.virtual.silicon_file import silicon_of

    shipped = silicon_of(stored.counted.part)
    return stored.counted.rules_cycles if shipped is None else predicted(stored.counted.counts, constants(shipped))


def _band(errors: Sequence[float]) -> Band:
    sizes = [abs(error) for error in errors]
    mean, worst = (math.ceil(10 * value) / 10 for value in (sum(sizes) / len(sizes), max(sizes)))
    return Band(mean, worst, f"{len(sizes)} measurements, each left out of the fit")


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _require_one_chip(files: Sequence[Stored]) -> None:
    first, *others = files
    for other in others:
        if _chip(other) != _chip(first):
            raise UsageError(
                f"{first.path} is of {_chip_text(first)}, {other.path} of {_chip_text(other)}: constants hold for one "
                "chip and clock; calibrate them one by one"
            )


def _chip(stored: Stored) -> tuple[object, ...]:
    return stored.counted.part, stored.core, stored.core_hz, stored.counted.wait_states


def _chip_text(stored: Stored) -> str:
    part, wait_states = stored.counted.part, stored.counted.wait_states
    return f"{stored.board} ({part} at {stored.core_hz / 1e6:g} MHz with {wait_states} wait states)"


def _require_same_caches(files: Sequence[Stored], start: Silicon) -> None:
    from tinydeploy.virtual.fitting import cache_sizes, constants

    sizes = cache_sizes(start)
    for one in files:
        if one.counted.caches != sizes or not constants(start).keys() <= one.counted.counts.keys():
            raise UsageError(
                f"{one.path} was counted with other caches or events than the constants {start.name} have; measure "
                "again with this tinydeploy"
            )


def _require_agreement(files: Sequence[Stored]) -> None:
    for one, other in itertools.combinations(files, 2):
        if one.path.resolve() == other.path.resolve():
            raise UsageError(f"{one.path} is given twice; name each measurement once")
        if (one.fingerprint, one.counted.compiler) != (other.fingerprint, other.counted.compiler):
            continue
        apart = 100 * abs(one.measured / other.measured - 1)
        if apart > _SAME_PERCENT:
            raise UsageError(
                f"{one.path} and {other.path} contradict each other: the same image took {one.measured:,} and "
                f"{other.measured:,} cycles; find with tinydeploy doctor PORT which board reads its flash otherwise"
            )
        raise UsageError(
            f"{one.path} and {other.path} are of the same image, which counts once: leave one of them away"
        )


def _require_telling(files: Sequence[Stored], before: Constants) -> None:
    shares = [sum(one.counted.counts[name] * value for name, value in before.items()) / one.measured for one in files]
    if max(shares) < _TELLING:
        raise UsageError(
            f"{files[0].path}: all but {100 * max(shares):.2f} % of the cycles are the {files[0].core}'s own, so that "
            "it tells nothing of this chip's flash; measure a larger model"
        )


def _require_explained(files: Sequence[Stored], errors: Sequence[float], after: Constants) -> None:
    worst = max(range(len(files)), key=lambda at: abs(errors[at]))
    one, counts = files[worst], files[worst].counted.counts
    if not any(after.values()):
        raise UsageError(
            f"{one.path} has {one.measured:,} cycles, but the {one.core}'s rules alone take {counts['straight']:,}: "
            "no constants explain that; was it measured at this clock, and by this image?"
        )
    if abs(errors[worst]) > _WORST_PERCENT:
        raise UsageError(
            f"no constants explain these {len(files)} measurements together: the best are {errors[worst]:+.0f} % off "
            f"on {one.path}; leave it away, or find with tinydeploy doctor PORT what is slow there"
        )
