"""A report as it looks in a pipe."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from tinydeploy.tables import print_report


def rendered(report: RenderableType) -> str:
    """The text of `report`, without colours."""
    out = io.StringIO()
    print_report(report, Console(file=out, highlight=False))
    return out.getvalue()
