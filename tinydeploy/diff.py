"""Two builds against each other: what changed, and whether that is more than somebody allows.

A limit is written ``METRIC>BOUND`` or ``METRIC<BOUND``. A bound with a sign speaks of the change from the old build to
the new: ``+2%`` of the old value, or ``+512`` and ``-1K`` as an amount. A bound without a sign speaks of the new build:
``64K``, ``20ms``. Bytes take K and M (1,024 and its square), latency takes us, ms and s (us when left out), accuracy is
in per cent, its changes in points. So ``ram>+2%`` holds when RAM grew by more than 2 %, ``accuracy<-0.5`` when accuracy
fell by more than half a point, ``latency>20ms`` when the new build takes longer than that.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tinydeploy.errors import UsageError, did_you_mean
from tinydeploy.figures import Figures, LayerFigures
from tinydeploy.latency import microseconds

_BYTES = {"": 1.0, "B": 1.0, "K": 1024.0, "KB": 1024.0, "M": 1024.0**2, "MB": 1024.0**2}
_LIMIT = re.compile(r"\s*([a-z]+)\s*([<>])\s*([+-]?)(\d+(?:\.\d+)?)\s*([A-Za-z%]*)\s*")


@dataclass(frozen=True, slots=True)
class Metric:
    """Something that two builds are compared by; ``units`` are what a limit may say, in terms of the value itself."""

    name: str
    units: dict[str, float]
    value: Callable[[Figures], float | None]
    text: Callable[[float], str]


def _bytes(value: float) -> str:
    return f"{value:,.0f} B"


def _count(value: float) -> str:
    return f"{value:,.0f}"


METRICS = (
    Metric("latency", {"": 1.0, "us": 1.0, "ms": 1e3, "s": 1e6}, lambda f: f.latency_us, microseconds),
    Metric("cycles", {"": 1.0}, lambda f: f.cycles, _count),
    Metric("instructions", {"": 1.0}, lambda f: f.instructions, _count),
    Metric("ram", _BYTES, lambda f: f.ram_bytes, _bytes),
    Metric("arena", _BYTES, lambda f: f.arena_bytes, _bytes),
    Metric("stack", _BYTES, lambda f: f.stack_bytes, _bytes),
    Metric("flash", _BYTES, lambda f: f.flash_bytes, _bytes),
    Metric("accuracy", {"": 1.0, "%": 1.0}, lambda f: f.accuracy, lambda value: f"{value:.2f} %"),
    Metric("macs", {"": 1.0}, lambda f: f.macs, _count),
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A condition under which ``diff --fail-if`` fails; ``bound`` is in the metric's own unit, or per cent of the old
    value where ``relative`` says so."""

    text: str
    metric: Metric
    above: bool
    of_change: bool
    relative: bool
    bound: float


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of both builds; None where a build does not tell."""

    metric: Metric
    old: float | None
    new: float | None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of both builds, or of one of them."""

    old: LayerFigures | None
    new: LayerFigures | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A limit that holds, and the sentence that says why."""

    limit: Limit
    text: str


@dataclass(frozen=True, slots=True)
class Diff:
    """All that changed; ``failures`` are the limits that hold."""

    old: Figures
    new: Figures
    rows: tuple[Row, ...]
    layers: tuple[LayerRow, ...]
    failures: tuple[Failure, ...]


def parse_limit(text: str) -> Limit:
    """``ram>+2%`` and its like; UsageError with what may be written otherwise."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise UsageError(f"--fail-if {text!r} is not METRIC>BOUND or METRIC<BOUND, such as 'ram>+2%' or 'latency>20ms'")
    name, sign, signed, number, unit = found.groups()
    metric = next((metric for metric in METRICS if metric.name == name), None)
    if metric is None:
        names = [metric.name for metric in METRICS]
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
        raise UsageError(f"--fail-if {text!r}: there is no metric {name!r}{hint}")
    relative = bool(signed) and unit == "%"
    if not relative and unit not in metric.units:
        units = [unit for unit in metric.units if unit] or ["no unit"]
        raise UsageError(
            f"--fail-if {text!r}: {name} takes {', '.join(units)}, and % of a change with its sign, not {unit!r}"
        )
    bound = float(f"{signed}{number}") * (1.0 if relative else metric.units[unit])
    return Limit(text.strip(), metric, sign == ">", bool(signed), relative, bound)


def compare(old: Figures, new: Figures, limits: Sequence[Limit] = ()) -> Diff:
    """Everything that is known of either build, side by side. Raises UsageError for a limit of something unknown."""
    rows = tuple(Row(metric, metric.value(old), metric.value(new)) for metric in METRICS)
    failures = [_failure(limit, old, new) for limit in limits]
    return Diff(
        old,
        new,
        tuple(row for row in rows if row.old is not None or row.new is not None),
        _aligned(old.layers, new.layers),
        tuple(failure for failure in failures if failure is not None),
    )


def change_text(row: Row) -> str:
    """The change as people read it: per cent, or points for accuracy."""
    if row.old is None or row.new is None:
        return "-"
    if row.metric.name == "accuracy":
        return f"{row.new - row.old:+.2f} points"
    return percent(row.old, row.new)


def percent(old: float | None, new: float | None) -> str:
    """The change from old to new in per cent, ``=`` for none."""
    if old is None or new is None:
        return "-"
    if old == new:
        return "="
    return f"{100 * (new / old - 1):+.1f} %" if old else "new"


def _failure(limit: Limit, old: Figures, new: Figures) -> Failure | None:
    before, after = limit.metric.value(old), limit.metric.value(new)
    if after is None or (before is None and limit.of_change):
        raise UsageError(
            f"--fail-if {limit.text!r}: the {'new' if after is None else 'old'} build does not tell its "
            f"{limit.metric.name}; give a project folder, or JSON of bench"
        )
    value = after
    if limit.of_change:
        assert before is not None
        value = after - before
        if limit.relative:
            # From nothing, any growth is beyond all per cents.
            value = 100 * value / before if before else float("inf") * value if value else 0.0
    if not (value > limit.bound if limit.above else value < limit.bound):
        return None
    row = Row(limit.metric, before, after)
    was = "" if before is None else f", was {limit.metric.text(before)} ({change_text(row)})"
    return Failure(limit, f"{limit.text}: {limit.metric.name} is {limit.metric.text(after)}{was}")


def _aligned(old: Sequence[LayerFigures], new: Sequence[LayerFigures]) -> tuple[LayerRow, ...]:
    """Layers of the same name in the same order side by side; the others where they stand."""
    names = [[layer.name for layer in layers] for layers in (old, new)]
    matcher = difflib.SequenceMatcher(a=names[0], b=names[1], autojunk=False)
    rows: list[LayerRow] = []
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            rows += [LayerRow(a, b) for a, b in zip(old[old_start:old_end], new[new_start:new_end], strict=True)]
        else:
            rows += [LayerRow(layer, None) for layer in old[old_start:old_end]]
            rows += [LayerRow(None, layer) for layer in new[new_start:new_end]]
    return tuple(rows)
