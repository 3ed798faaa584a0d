"""The account against chance, and against holding."""

from __future__ import annotations

import html

from backtest.benchmarks import Band
from backtest.report.section import Reported, Section, cell, framed, note, table
from backtest.report.summary import benchmark_rows, buy_hold_line

ROW = 30


def section(told: Reported) -> Section:
    """Return the account beside random entries with the same brackets, and beside buy and hold."""
    random_entry, buy_hold = told.random_entry, told.buy_hold
    parts = []
    if random_entry is not None:
        bands: tuple[Band | None, ...] = (
            random_entry.profit_factor,
            random_entry.win_rate,
            random_entry.expectancy_r,
            random_entry.total_return,
        )
        rows = [
            [*(cell(text) for text in cells), f"<td>{'' if band is None else band_strip(band)}</td>"]
            for cells, band in zip(benchmark_rows(random_entry), bands, strict=True)
        ]
        headers = ("", "strategy", "random median", "random 5-95 %", "percentile", "")
        text = (
            f"{random_entry.runs} runs of the same account with the same brackets, sizing, costs and halts, entered at "
            f"random bars with the strategy's long share (median {random_entry.trades:,.0f} trades). The dot is the "
            "strategy; inside the grey band its entries are not distinguishable from chance."
        )
        parts.append(table(headers, rows) + note(text))
    if buy_hold is not None:
        parts.append(f'<p style="margin-top:14px">{html.escape(buy_hold_line(buy_hold))}</p>')
    return Section(framed("Against chance", "".join(parts)) if parts else "")


def band_strip(band: Band) -> str:
    """Draw the random runs' 5-95 % band with its median, and the strategy's own figure as a dot."""
    low, high = min(band.low, band.strategy), max(band.high, band.strategy)
    margin = 0.06 * (high - low) or 1.0
    low, high = low - margin, high + margin
    left, right, middle, dot = (_share(value, low, high) for value in (band.low, band.high, band.median, band.strategy))
    side = "gain" if band.strategy > band.high else "loss" if band.strategy < band.low else "inside"
    return (
        f'<div class="strip"><i style="left:{left:.1f}%;width:{right - left:.1f}%"></i>'
        f'<u style="left:{middle:.1f}%"></u><b class="{side}" style="left:{dot:.1f}%"></b></div>'
    )


def _share(value: float, low: float, high: float) -> float:
    return 100.0 * (value - low) / (high - low)
