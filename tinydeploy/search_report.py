"""What a search found: the Pareto front as a table, with the command that builds each network; and all as JSON."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.latency import origins
from tinydeploy.search import Found, Search
from tinydeploy.sweep_report import shown_score
from tinydeploy.tables import table


def search_json(search: Search) -> str:
    """All trained networks, and what was asked."""
    return json.dumps(asdict(search), indent=2) + "\n"


def search_report(search: Search) -> RenderableType:
    """A row for each network on the front, the best first."""
    front = _front(search)
    rows = table(("trial", "network"), (front[0].measure if front else "accuracy", "ms", "RAM B", "flash B"))
    for one in front:
        costs = (f"{one.latency_ms:.2f}", f"{one.firmware_ram_bytes:,}", f"{one.firmware_flash_bytes:,}")
        rows.add_row(str(one.number), one.network, shown_score(one.measure, one.int8_score), *costs)
    hopeless = f", {search.pruned:,} pruned before training (the last: {search.last_reason})" if search.pruned else ""
    lines = [
        f"{search.study} in {search.storage}: {len(search.found):,} networks trained{hopeless}",
        f"above, the Pareto front of {', '.join(search.objectives)}: no other is as good in all and better in one; "
        "costs are as predicted",
        *origins((f"trial {one.number}", one.cycle_model) for one in front),
        "the same command goes on or joins; this builds one:" if front else "the same command goes on or joins",
    ]
    return Group(rows, "", Text("\n".join(lines)))


def build_commands(search: Search, constants: Path | None = None) -> list[str]:
    """For each network on the front, the best first, the command that builds it, with the same file of constants."""
    silicon = () if constants is None else ("--silicon", str(constants))
    return [f"tinydeploy build {shlex.join((*one.build, *silicon))}" for one in _front(search)]


def _front(search: Search) -> list[Found]:
    return sorted((one for one in search.found if one.on_front), key=lambda one: -one.int8_score)
