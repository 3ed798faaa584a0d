"""Tables for a console: whole on a wide one, in parts that fit on a narrow one."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

NARROWEST = 80
"""Columns that every table fits in; a file and a pipe are taken to be this wide."""
_UNBOUNDED = 10_000


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    names: int = 1,
    left: int = 1,
    console: Console | None = None,
) -> None:
    """Print a table so that no figure is cut or wrapped.

    Where the console is too narrow the columns are split into parts below each other, each
    with the columns that name its rows again.

    Parameters
    ----------
    title : str
    columns : sequence of str
    rows : sequence of sequences of str
        As long as `columns`.
    names : int
        How many of the first columns name a row.
    left : int
        How many of the first columns are set to the left; the others are figures.
    console : rich.console.Console, optional
        Standard output unless given.
    """
    console = console or Console()
    width = max(console.width, NARROWEST)
    parts = _parts(columns, rows, names, left, width, console)
    for number, part in enumerate(parts):
        heading = title if number == 0 else f"{title} (continued)"
        table = _table(heading, columns, rows, part, left)
        table.width = _natural(console, table)
        console.print(table, crop=False)


def _parts(
    columns: Sequence[str], rows: Sequence[Sequence[str]], names: int, left: int, width: int, console: Console
) -> list[list[int]]:
    """Return which columns stand in each part; one that fits with the names alone is never split further."""
    keys = list(range(names))
    parts: list[list[int]] = []
    current: list[int] = []
    for at in range(names, len(columns)):
        trial = [*keys, *current, at]
        if current and _natural(console, _table("", columns, rows, trial, left)) > width:
            parts.append([*keys, *current])
            current = []
        current.append(at)
    return [*parts, [*keys, *current]]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], part: Sequence[int], left: int) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for at in part:
        table.add_column(columns[at], justify="left" if at < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(row[at] for at in part))
    return table


def _natural(console: Console, table: Table) -> int:
    return Measurement.get(console, console.options.update(max_width=_UNBOUNDED), table).maximum
