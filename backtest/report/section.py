"""What a section of the report is given and gives, and the pieces of HTML that sections are made of."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from backtest.benchmarks import BuyAndHold, RandomEntry
from backtest.excursions import Excursions
from backtest.metrics import Metrics
from backtest.report.charts import Figure
from backtest.report.summary import Row
from backtest.result import BacktestResult
from novosky.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Reported:
    """What a report tells of.

    Attributes
    ----------
    result, metrics
        What was run and how it measured.
    random_entry, buy_hold
        Benchmarks; None where they were not asked for.
    way : Excursions
        How far each trade went against and for its owner, R.
    made : Provenance
    title : str
    details : mapping of str to str
        Further lines for the assumptions.
    """

    result: BacktestResult
    metrics: Metrics
    random_entry: RandomEntry | None
    buy_hold: BuyAndHold | None
    way: Excursions
    made: Provenance
    title: str
    details: Mapping[str, str]

    @property
    def traded(self) -> bool:
        """True when a trade was closed."""
        return len(self.result.trades) > 0


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    html : str
        Finished; "" leaves the section out.
    figures : mapping of str to Figure
        By the id of the element that they are drawn into.
    data : mapping
        What the page's script finds beside the figures.
    """

    html: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


def framed(heading: str, content: str, *, kind: str = "") -> str:
    """Return a section's frame with its heading (plain text) and content (finished HTML)."""
    return f'<section class="{kind}"><h2>{html.escape(heading)}</h2>{content}</section>'


def columns(*parts: str) -> str:
    """Return parts side by side, below each other on narrow screens."""
    return f'<div class="cols">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def note(text: str) -> str:
    """Return a remark in small print."""
    return f'<p class="note">{html.escape(text)}</p>'


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """Return a table; cells are finished HTML, headers plain text."""
    head = "".join(f'<th scope="col">{html.escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    drawn = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{drawn}</div>'


def cell(text: str, value: float | None = None) -> str:
    """Return a table cell, coloured by the sign of `value` when it is given."""
    side = "" if value is None or value == 0 else ' class="up"' if value > 0 else ' class="down"'
    return f"<td{side}>{html.escape(text)}</td>"


def pairs(rows: Sequence[Row]) -> str:
    """Return a table of names and values."""
    body = "".join(f"<tr>{cell(name)}{cell(value)}</tr>" for name, value in rows)
    return f'<table class="pairs"><tbody>{body}</tbody></table>'


def day(seconds: int) -> str:
    """Return the UTC date of a moment: 2024-01-31."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
