"""How every table looks, and how a report reaches the terminal or a pipe."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

_PIPE_WIDTH = 120  # columns when the output is no terminal
_LEAST_WIDTH = 76  # below this a terminal breaks our lines, which loses less than cutting numbers short


def table(texts: Sequence[str], numbers: Sequence[str]) -> Table:
    """An empty table with these columns. Where the terminal is narrow the texts are shortened, never the numbers."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in texts:
        made.add_column(column, overflow="ellipsis", max_width=40)
    for column in numbers:
        made.add_column(column, justify="right", no_wrap=True)
    return made


def print_report(report: RenderableType, console: Console | None = None) -> None:
    """Print to the terminal, or to a pipe without colours, at a fixed width and without blanks at the ends of lines."""
    console = console or Console(highlight=False)
    if console.is_terminal:
        console.width = max(console.width, _LEAST_WIDTH)
        console.print(report)
        return
    console.width = _PIPE_WIDTH
    with console.capture() as capture:
        console.print(report)
    text = "\n".join(line.rstrip() for line in capture.get().splitlines())
    # A pipe whose encoding has no ellipsis, or not a model's own letters, gets question marks, not an error.
    click.echo(text.encode(console.encoding, "replace").decode(console.encoding), file=console.file)
