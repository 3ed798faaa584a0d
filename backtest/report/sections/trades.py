"""The list of trades."""

from __future__ import annotations

import math
from typing import Any

from backtest.excursions import Excursions
from backtest.report.charts import known, rounded
from backtest.report.section import Reported, Section, framed, note
from backtest.result import BacktestResult
from backtest.trade_results import holding_bars, net_results, r_multiples
from engine.fills import EXIT_NAMES
from engine.outputs.reasons import EXIT_WORDS

ROW = 120


def section(told: Reported) -> Section:
    """Return the list of trades, which the page's script fills, pages and sorts."""
    pager = (
        '<div class="pager"><button id="back">Previous</button><button id="next">Next</button>'
        '<button id="all">Show all</button><span id="where"></span></div>'
    )
    empty = '<div class="scroll"><table id="trades"><thead></thead><tbody></tbody></table></div>'
    text = (
        "Click a heading to sort. Costs are commission and swap; spread and slippage are in the prices. MAE and MFE: "
        "furthest against and for the trade on the way, in R."
    )
    digits = price_digits(float(told.result.params.price_scale))
    trades = {"columns": trade_columns(digits), "rows": trade_rows(told.result, told.way, digits)}
    return Section(framed("Trades", empty + pager + note(text), kind="long"), data={"trades": trades})


def trade_columns(digits: int) -> tuple[tuple[str, str], ...]:
    """Return name and format of the trade list's columns: n is a number and s a signed one, with their decimals.

    Commission and swap stand apart in the trades CSV; here they share a column so that the balance fits a screen.
    """
    price = f"n{digits}"
    return (
        ("entry (UTC)", "time"),
        ("exit (UTC)", "time"),
        ("side", "text"),
        ("lots", "n2"),
        ("entry", price),
        ("exit", price),
        ("stop", price),
        ("target", price),
        ("reason", "text"),
        ("bars", "n0"),
        ("costs", "n2"),
        ("net", "s2"),
        ("R", "s2"),
        ("MAE", "n2"),
        ("MFE", "n2"),
        ("balance", "n2"),
    )


def trade_rows(result: BacktestResult, way: Excursions, digits: int) -> list[list[Any]]:
    """Return the cells of every trade, times in milliseconds and prices with their decimals."""
    trades = result.trades
    multiples = r_multiples(trades)
    columns: list[list[Any]] = [
        (trades["entry_time"] * 1000).tolist(),
        (trades["exit_time"] * 1000).tolist(),
        ["long" if side > 0 else "short" for side in trades["side"]],
        rounded(trades["volume"], 2),
        *(rounded(trades[name], digits) for name in ("entry_price", "exit_price", "sl", "tp")),
        [EXIT_WORDS[EXIT_NAMES[reason]] for reason in trades["reason"]],
        holding_bars(trades, result.bars.time).tolist(),
        rounded(trades["commission"] + trades["swap"], 2),
        rounded(net_results(trades), 2),
        *(known(values) for values in (multiples, way.adverse, way.favourable)),
        rounded(trades["balance"], 2),
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def price_digits(scale: float) -> int:
    """Return the decimals of a price that is rounded to 1/scale; 2 where it is not rounded."""
    return round(math.log10(scale)) if scale >= 1.0 else 2
