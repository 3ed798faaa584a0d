"""`PERF_HISTORY.md`: a Markdown table with one row per run, oldest first."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from novosky.errors import StorageError
from novosky.files import write_text
from optimize.history.evidence import Decision

COLUMNS = (
    "Ended (UTC)",
    "Run",
    "Profile",
    "Decision",
    "Score before",
    "Score after",
    "Trades",
    "Win rate",
    "PF",
    "Max DD",
    "Return",
    "Out of sample",
    "Models",
    "Why",
)
HEADER = "| " + " | ".join(COLUMNS) + " |"
RULE = "|" + "---|" * len(COLUMNS)
INTRODUCTION = """# Performance history

One row per optimisation run, oldest first, written by the run itself. Figures are out of sample;
`-` means that there is none, as with too few trades for a score.
"""
_NOT_ESCAPED_BAR = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class PerfRow:
    """One run. Figures belong to what was in force when it ended; None is shown as `-`.

    Attributes
    ----------
    ended_at : datetime
        With a time zone; shown in UTC to the minute.
    run_id, profile_name : str
    decision : Decision
    score_before, score_after : float or None
        At equal risk.
    trades : int or None
    win_rate, max_drawdown, total_return : float or None
        Fractions, shown as percent.
    profit_factor : float or None
    oos_start, oos_end : datetime or None
    models : str or None
        Tag of the model set.
    reason : str
    """

    ended_at: datetime
    run_id: str
    profile_name: str
    decision: Decision
    score_before: float | None
    score_after: float | None
    trades: int | None
    win_rate: float | None
    profit_factor: float | None
    max_drawdown: float | None
    total_return: float | None
    oos_start: datetime | None
    oos_end: datetime | None
    models: str | None
    reason: str

    def __post_init__(self) -> None:
        if self.ended_at.tzinfo is None:
            raise ValueError("ended_at has no time zone")
        if not self.run_id.strip():
            raise ValueError("run_id is empty")


def row_line(row: PerfRow) -> str:
    """Return a row as one line of the table."""
    window = (
        "-" if row.oos_start is None or row.oos_end is None else f"{row.oos_start:%Y-%m-%d} to {row.oos_end:%Y-%m-%d}"
    )
    cells = (
        f"{row.ended_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        row.run_id,
        row.profile_name,
        row.decision,
        _number(row.score_before),
        _number(row.score_after),
        "-" if row.trades is None else str(row.trades),
        _percent(row.win_rate),
        _number(row.profit_factor),
        _percent(row.max_drawdown),
        _percent(row.total_return),
        window,
        row.models or "-",
        row.reason,
    )
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def with_row(text: str, row: PerfRow) -> str:
    """Return the page with `row` in its place by time; all other lines stay as they are.

    The same row again changes nothing, so a resumed run may repeat the call. An empty page is
    begun anew; prose before and after the table is kept.

    Raises
    ------
    StorageError
        The table is damaged (its line is named), or holds the run with other content.
    """
    line = row_line(row)
    if not text.strip():
        return "\n".join((INTRODUCTION, HEADER, RULE, line)) + "\n"
    lines = text.splitlines()
    first, last = _table(lines)
    rows = [(_time_and_run(lines, place), place) for place in range(first, last)]
    run = _cell(row.run_id)
    for (_, known), place in rows:
        if known == run:
            if lines[place].rstrip() == line:
                return text
            raise StorageError(
                f"line {place + 1} already holds run {row.run_id} with other figures; use another run id"
            )
    ended = row.ended_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
    place = next((place for (time, _), place in rows if time > ended), last)
    return "\n".join([*lines[:place], line, *lines[place:]]) + "\n"


def append_perf_history(path: Path, row: PerfRow) -> None:
    """Add one run to the page, creating it when missing.

    Parameters
    ----------
    path : Path
        Usually `PERF_HISTORY.md` beside `config.json`.
    row : PerfRow

    Raises
    ------
    StorageError
        The table there is damaged, holds the run with other content, or cannot be written. The
        page is left as it is.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read ({error}); restore it from git or move it away") from error
    try:
        changed = with_row(text, row)
    except StorageError as error:
        raise StorageError(f"{path}: {error}; the page is left as it is") from error
    if changed != text:
        write_text(path, changed)


def _table(lines: list[str]) -> tuple[int, int]:
    """Return where the rows begin and end; refuse what is not one whole table in order."""
    places = [place for place, line in enumerate(lines) if line.startswith("|")]
    if not places or lines[places[0]].rstrip() != HEADER:
        raise StorageError("the table's head is missing or altered; restore the page from git or move it away")
    first, last = places[0], places[-1] + 1
    if places != list(range(first, last)):
        broken = next(place for place in range(first, last) if place not in places)
        raise StorageError(f"line {broken + 1} stands inside the table but is no row of it; mend or restore the page")
    if first + 1 >= last or lines[first + 1].rstrip() != RULE:
        raise StorageError(f"line {first + 2} should be the rule below the table's head; mend or restore the page")
    rows = [_time_and_run(lines, place) for place in range(first + 2, last)]
    for place, (before, after) in enumerate(itertools.pairwise(rows), start=first + 3):
        if after[0] < before[0]:
            raise StorageError(f"line {place + 1} is older than the row above it; sort or restore the page")
    runs = [run for _, run in rows]
    if len(set(runs)) != len(runs):
        twice = next(run for run in runs if runs.count(run) > 1)
        raise StorageError(f"run {twice} has more than one row; mend or restore the page")
    return first + 2, last


def _time_and_run(lines: list[str], place: int) -> tuple[str, str]:
    parts = [part.strip() for part in _NOT_ESCAPED_BAR.split(lines[place].rstrip())]
    if len(parts) != len(COLUMNS) + 2 or parts[0] or parts[-1]:
        raise StorageError(
            f"line {place + 1} has {max(len(parts) - 2, 0)} cells instead of {len(COLUMNS)}; mend or restore the page"
        )
    try:
        datetime.strptime(parts[1] + " +0000", "%Y-%m-%d %H:%M %z")
    except ValueError as error:
        raise StorageError(
            f"line {place + 1} begins with {parts[1]!r}, not a time; mend or restore the page"
        ) from error
    return parts[1], parts[2]


def _cell(text: str) -> str:
    # A backslash before a bar would undo its escape.
    return " ".join(text.split()).replace("\\", "/").replace("|", "\\|") or "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
