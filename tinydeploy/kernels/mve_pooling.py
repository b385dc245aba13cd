"""AVERAGE_POOL_2D and MAX_POOL_2D for cores with MVE, eight channels at a time."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.graph import Graph
from tinydeploy.kernels import pooling
from tinydeploy.kernels.base import Implementation
from tinydeploy.ops.pool import Pool2D


def pool(op: Pool2D, graph: Graph) -> Implementation | None:
    """Both pools, where the DSP kernel could run: a mean's sum fits a halfword."""
    found = pooling.pool(op, graph)
    return replace(found, template="td_pool_s8_mve") if found is not None else None
