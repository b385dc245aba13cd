"""The Pareto front: what is worth having where several things count."""

from __future__ import annotations

from collections.abc import Sequence


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` costs no more than `other` in anything, and less in something."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def front(costs: Sequence[Sequence[float]]) -> list[bool]:
    """For each of `costs` (what is to be large goes in negated) whether no other dominates it."""
    return [not any(dominates(other, one) for other in costs) for one in costs]
