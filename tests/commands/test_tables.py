"""A table on a console: whole figures at any width, 80 columns wherever its columns allow it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from commands.shared.tables import NARROWEST, print_table

COLUMNS = ("fold", "model", *(f"figure {number}" for number in range(12)))
ROWS = [(str(row), "all four models", *(f"{row}.{number:05d} %" for number in range(12))) for row in (1, 2)]


def printed(width: int, **more: int) -> list[str]:
    stream = io.StringIO()
    print_table("results", COLUMNS, ROWS, names=2, left=2, console=Console(file=stream, width=width), **more)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 80, 100, 130])
def test_a_narrow_console_gets_every_cell_in_parts_that_name_their_rows(width: int) -> None:
    lines = printed(width)
    assert max(len(line.rstrip()) for line in lines) <= max(width, NARROWEST)
    text = "\n".join(lines)
    for row in ROWS:
        assert all(text.count(cell) == 1 for cell in row[2:])
    parts = sum("fold" in line for line in lines)
    assert parts > 1
    assert text.count("all four models") == parts * len(ROWS)
    assert sum("(continued)" in line for line in lines) == parts - 1


def test_a_wide_console_gets_one_table() -> None:
    lines = printed(400)
    assert sum("fold" in line for line in lines) == 1
    assert not any("continued" in line for line in lines)
