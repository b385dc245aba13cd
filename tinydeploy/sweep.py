"""Many networks on one board, before training: a grid of widths and sizes, and the largest that fits some limits."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinydeploy import zoo
from tinydeploy.arithmetic import STEPS_OF_ALPHA, Estimate, Scale, estimate, require_possible
from tinydeploy.boards import Board
from tinydeploy.errors import FitError, UsageError
from tinydeploy.zoo import ModelSpec

# Input sizes that `fit` tries, the largest first.
SIZES = (224, 160, 128, 96, 64, 48, 32)
# No kernel of ours takes fewer cycles for a multiply-accumulate, on any core; it only spares hopeless compilations.
_LEAST_CYCLES_PER_MAC = 0.3
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Refused:
    """A network of a sweep that the board cannot hold or the architecture cannot be, and why."""

    spec: ModelSpec
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a network may need at most; None is the board's own, or no limit of time. RAM and flash are the whole
    firmware's."""

    latency_ms: float | None = None
    ram_bytes: int | None = None
    flash_bytes: int | None = None

    def broken(self, found: Estimate) -> list[str]:
        """What `found` needs more than it may, as phrases."""
        ram, flash = self.ram_bytes or found.board_ram_bytes, self.flash_bytes or found.board_flash_bytes
        broken = []
        if self.latency_ms is not None and found.latency_ms > self.latency_ms:
            broken.append(f"{found.latency_ms:.3g} ms by the cost model")
        if found.firmware_ram_bytes > ram:
            broken.append(f"{found.firmware_ram_bytes:,} B of RAM")
        if found.firmware_flash_bytes > flash:
            broken.append(f"{found.firmware_flash_bytes:,} B of flash")
        return broken

    def text(self, board: Board) -> str:
        """The limits in words."""
        time = f"{self.latency_ms:g} ms, " if self.latency_ms is not None else ""
        ram, flash = self.ram_bytes or board.ram.size_bytes, self.flash_bytes or board.flash.size_bytes
        return f"{time}{ram:,} B of RAM and {flash:,} B of flash"


def ignore_progress(done: int, total: int) -> None:
    """The watcher of whoever does not watch."""


def grid(
    archs: Sequence[str],
    alphas: Sequence[float | None],
    sizes: Sequence[tuple[int, int] | None],
    *,
    channels: int | None = None,
    classes: int | None = None,
    options: tuple[tuple[str, str], ...] = (),
) -> list[ModelSpec]:
    """Every combination; UsageError for a value out of range. None stands for the architecture's own.

    Of several architectures each takes the options that it has.
    """
    known = {arch: {option.name for option in zoo.architecture(arch).options} for arch in archs}
    common = {name for name, _ in options if any(name in names for names in known.values())} if len(archs) > 1 else None
    return [
        zoo.make_spec(
            arch,
            alpha=alpha,
            input_size=size,
            channels=channels,
            classes=classes,
            options=tuple(o for o in options if common is None or o[0] in known[arch] or o[0] not in common),
        )
        for arch, size, alpha in itertools.product(archs, sizes, alphas)
    ]


def sweep(
    specs: Sequence[ModelSpec], board: Board, progress: Progress = ignore_progress, *, scale: Scale | None = None
) -> tuple[Estimate | Refused, ...]:
    """The cost of each, its cycles by `scale`; the first one's error where not a single one can be."""
    found: list[Estimate | Refused] = []
    first: UsageError | FitError | None = None
    for done, spec in enumerate(specs, start=1):
        try:
            found.append(estimate(spec, board, scale=scale))
        except (UsageError, FitError) as error:
            first = first or error
            found.append(Refused(spec, str(error)))
        progress(done, len(specs))
    if first is not None and all(isinstance(one, Refused) for one in found):
        raise first
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Fitting:
    """For each architecture the largest network that keeps the limits, by MACs, the largest first; and what was asked.

    `tried` counts the networks that were compiled; `none` names architectures of which none does.
    """

    board: str
    limits: Limits
    found: tuple[Estimate, ...]
    none: tuple[str, ...]
    tried: int


def fit(
    archs: Sequence[str],
    board: Board,
    limits: Limits,
    *,
    alphas: Sequence[float] = STEPS_OF_ALPHA,
    sizes: Sequence[tuple[int, int]] | None = None,
    channels: int | None = None,
    classes: int | None = None,
    options: tuple[tuple[str, str], ...] = (),
    scale: Scale | None = None,
    progress: Progress = ignore_progress,
) -> Fitting:
    """The largest network of each of `archs` that keeps `limits` on `board`, before training; cycles are by `scale`.

    Networks are taken by MACs, the largest first, until one fits, so nothing larger does. FitError when none of any
    architecture fits, with the smallest that was tried and what it needs.
    """
    found, none, tried = [], [], 0
    least_cycles = _LEAST_CYCLES_PER_MAC * (scale.factor if scale else 1.0)
    nearest: Estimate | None = None
    for done, arch in enumerate(archs, start=1):
        candidates = _by_size(arch, alphas, sizes, board, channels, classes, options)
        chosen: Estimate | None = None
        for spec, macs in candidates:
            least_ms = macs * least_cycles / board.clock.sysclk_hz * 1e3
            hopeless = limits.latency_ms is not None and least_ms > limits.latency_ms
            if hopeless and spec is not candidates[-1][0]:
                continue
            candidate = estimate(spec, board, scale=scale)
            tried += 1
            if not limits.broken(candidate):
                chosen = candidate
                break
            if nearest is None or candidate.macs < nearest.macs:
                nearest = candidate
        if chosen is None:
            none.append(arch)
        else:
            found.append(chosen)
        progress(done, len(archs))
    if not found:
        raise FitError(_none_fits(archs, board, limits, nearest))
    return Fitting(board.name, limits, tuple(sorted(found, key=lambda one: -one.macs)), tuple(none), tried)


def _by_size(
    arch: str,
    alphas: Sequence[float],
    sizes: Sequence[tuple[int, int]] | None,
    board: Board,
    channels: int | None,
    classes: int | None,
    options: tuple[tuple[str, str], ...],
) -> list[tuple[ModelSpec, int]]:
    """What may fit with its MACs, the most first; of an input that is no square image, its own size only."""
    family = zoo.architecture(arch)
    own = [family.input_size] if family.input_size[1] or not family.classifies else [(size, 0) for size in SIZES]
    ranked = []
    for spec in grid([arch], alphas, sizes or own, channels=channels, classes=classes, options=options):
        try:
            macs = zoo.footprint(zoo.describe(spec)).macs
            require_possible(spec, board)
        except (UsageError, FitError):
            if sizes is not None and len(sizes) == 1 and len(alphas) == 1:
                raise
            continue
        ranked.append((spec, macs))
    return sorted(ranked, key=lambda one: -one[1])


def _none_fits(archs: Sequence[str], board: Board, limits: Limits, nearest: Estimate | None) -> str:
    what = f"no {archs[0]}" if len(archs) == 1 else f"none of {len(archs)} architectures"
    sentence = f"{what} fits {board.name} within {limits.text(board)}"
    if nearest is None:
        return f"{sentence}; allow more, or choose a smaller --alpha or --input-size"
    return (
        f"{sentence}; the nearest is {nearest.spec.name}, which needs {' and '.join(limits.broken(nearest))}: allow "
        "that, or choose a smaller --alpha or --input-size"
    )


def read_list(text: str, what: str) -> list[str]:
    """``a,b,c`` as its parts; UsageError when there is an empty one."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UsageError(f"{what} {text!r} has an empty part; give values with commas between, such as 0.25,0.5")
    return parts


def read_numbers(text: str, what: str) -> list[float]:
    """``0.1,0.25`` as numbers; UsageError for what is none."""
    try:
        return [float(part) for part in read_list(text, what)]
    except ValueError as error:
        raise UsageError(f"{what} {text!r} is no list of numbers; give such as 0.25,0.5") from error


def read_limits(max_ms: float | None, max_ram: str | None, max_flash: str | None) -> Limits:
    """The limits of the command line; UsageError for what is no size."""
    return Limits(
        max_ms,
        read_bytes(max_ram, "--max-ram") if max_ram else None,
        read_bytes(max_flash, "--max-flash") if max_flash else None,
    )


def for_images() -> list[str]:
    """The architectures that classify images of any size."""
    return [name for name, arch in zoo.architectures().items() if arch.classifies and not arch.input_size[1]]


def read_bytes(text: str, what: str) -> int:
    """``64K``, ``1M`` or plain bytes; UsageError for anything else."""
    scale = {"K": 1 << 10, "M": 1 << 20}.get(text.strip()[-1:].upper(), 1)
    digits = text.strip().rstrip("kKmM") if scale > 1 else text.strip()
    if not digits.isdigit() or int(digits) < 1:
        raise UsageError(f"{what} {text!r} is no size of memory; give bytes, or such as 64K or 1M")
    return int(digits) * scale


def facts(one: Estimate | Refused) -> dict[str, object]:
    """A line of a sweep, for JSON: without the layers."""
    if isinstance(one, Refused):
        return {"name": one.spec.name, "spec": dataclasses.asdict(one.spec), "refused": one.reason}
    kept = {name: getattr(one, name) for name in one.__dataclass_fields__ if name not in ("layers", "spec")}
    return {
        "name": one.spec.name,
        "spec": dataclasses.asdict(one.spec),
        **kept,
        "latency_ms": one.latency_ms,
        "fits": one.fits,
    }
