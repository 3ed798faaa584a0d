"""A backtest as one HTML file that opens anywhere, offline included."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from plotly.offline import get_plotlyjs

from backtest.benchmarks import Band, BuyAndHold, RandomEntry
from backtest.excursions import Excursions, excursions
from backtest.metrics import Metrics, holding_bars, net_results, r_multiples
from backtest.report.charts import (
    band_strip,
    bar_list,
    display_step,
    equity_figure,
    price_figure,
    r_histogram,
    step_words,
)
from backtest.report.risk_charts import excursion_figure, rolling_sharpe_figure
from backtest.report.summary import (
    TOO_SHORT,
    Row,
    account_rows,
    assumption_rows,
    benchmark_rows,
    block_rows,
    buy_hold_line,
    cost_rows,
    dollars,
    exit_rows,
    factor_words,
    interval,
    notices,
    number,
    percent,
    performance_rows,
    signed_percent,
    window,
)
from backtest.result import BacktestResult
from engine.fills import EXIT_NAMES
from engine.outputs.reasons import EXIT_WORDS
from novosky.files import write_text
from novosky.market.sessions import SESSIONS, session_mask
from novosky.measures.statistics import DAY, GroupResult, group_result, monthly_returns, results_by
from novosky.pages.shell import document
from novosky.provenance import Provenance

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BAND_CLASSES = {"pause": "", "below target": "fair", "production grade": "good", "excellent": "good"}


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


_THURSDAY = 3
"""Weekday of 1970-01-01, Monday being 0."""


def write_report(
    path: Path,
    result: BacktestResult,
    metrics: Metrics,
    random_entry: RandomEntry | None,
    buy_hold: BuyAndHold | None,
    *,
    made: Provenance,
    title: str = "NOVOSKY backtest",
    details: Mapping[str, str] | None = None,
) -> None:
    """Write the report; the previous file stays until the new one is whole.

    Parameters
    ----------
    path : Path
    result, metrics, random_entry, buy_hold
        What was run and how it measured; benchmarks that are None are left out.
    made : Provenance
    title : str
    details : mapping of str to str or None
        Further lines for the assumptions, such as the data file and the model revision.

    Raises
    ------
    StorageError
        When the file cannot be written.
    """
    write_text(path, report_html(result, metrics, random_entry, buy_hold, made=made, title=title, details=details))


def report_html(
    result: BacktestResult,
    metrics: Metrics,
    random_entry: RandomEntry | None,
    buy_hold: BuyAndHold | None,
    *,
    made: Provenance,
    title: str,
    details: Mapping[str, str] | None = None,
) -> str:
    """Return the page that `write_report` writes."""
    traded = len(result.trades) > 0
    figures = {"equity": equity_figure(result), "price": price_figure(result)}
    way = excursions(result)
    if traded:
        figures["histogram"] = r_histogram(result.trades)
        figures["way"] = excursion_figure(result, way)
    rolling = rolling_sharpe_figure(result)
    if rolling is not None:
        figures["rolling"] = rolling
    digits = price_digits(float(result.params.price_scale))
    sections = [
        _header(title, metrics, made),
        _hero(metrics),
        _equity_section(result),
        _benchmark_section(random_entry, buy_hold),
        _price_section(result),
        _month_section(result),
        _risk_section(metrics, rolling is not None),
        _outcome_section(metrics, traded),
        _way_section(metrics) if traded else "",
        _time_section(result) if traded else "",
        _cost_section(metrics, details or {}),
        _section("All figures", _columns(_pairs(performance_rows(metrics)), _pairs(account_rows(metrics)))),
        _trade_section(),
    ]
    data = {"figures": figures, "trades": {"columns": trade_columns(digits), "rows": _trade_rows(result, way, digits)}}
    return document(title, "\n".join(sections), data, get_plotlyjs())


def price_digits(scale: float) -> int:
    """Return the decimals of a price that is rounded to 1/scale; 2 where it is not rounded."""
    return round(math.log10(scale)) if scale >= 1.0 else 2


def _section(heading: str, content: str, *, kind: str = "") -> str:
    return f'<section class="{kind}"><h2>{html.escape(heading)}</h2>{content}</section>'


def _columns(*parts: str) -> str:
    return f'<div class="cols">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> str:
    """Return a table; cells are finished HTML, headers plain text."""
    head = "".join(f'<th scope="col">{html.escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in rows)
    table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>'


def _cell(text: str, value: float | None = None) -> str:
    """Return a table cell, coloured by the sign of `value` when it is given."""
    side = "" if value is None or value == 0 else ' class="up"' if value > 0 else ' class="down"'
    return f"<td{side}>{html.escape(text)}</td>"


def _pairs(rows: Sequence[Row]) -> str:
    body = "".join(f"<tr>{_cell(name)}{_cell(value)}</tr>" for name, value in rows)
    return f'<table class="pairs"><tbody>{body}</tbody></table>'


def _header(title: str, metrics: Metrics, made: Provenance) -> str:
    banners = "".join(
        f'<section class="{"severe" if notice.severe else "warning"}" role="alert">{html.escape(notice.text)}</section>'
        for notice in notices(metrics)
    )
    return f'<h1>{html.escape(title)}</h1><p class="sub">{html.escape(window(metrics))}</p>{made.html()}{banners}'


def _hero(metrics: Metrics) -> str:
    if metrics.score is None:
        note = html.escape(metrics.score_note or "")
        score = f'<div class="score none">No score</div><span class="pill fair">{note}</span>'
    else:
        band = metrics.band or ""
        score = f'<div class="score">{number(metrics.score)}</div><span class="pill {BAND_CLASSES[band]}">{band}</span>'
    win_interval = interval(metrics.win_rate_low, metrics.win_rate_high, share=True)
    pf_interval = interval(metrics.pf_low, metrics.pf_high, share=False)
    growth = f"{dollars(metrics.start_balance)} to {dollars(metrics.end_equity)}"
    tiles = (
        ("Return", signed_percent(metrics.total_return), growth),
        ("Max drawdown", percent(metrics.max_drawdown, 2), f"longest {number(metrics.longest_drawdown_days, 1)} days"),
        ("Trades", f"{metrics.trades:,}", f"{metrics.long_trades:,} long, {metrics.short_trades:,} short"),
        ("Win rate", percent(metrics.win_rate), f"95 %{win_interval}" if win_interval else ""),
        ("Profit factor", factor_words(metrics.profit_factor), f"95 %{pf_interval}" if pf_interval else ""),
        ("Expectancy", f"{number(metrics.expectancy_r, 3)} R", f"{dollars(metrics.expectancy_usd)} a trade"),
        (
            "Sharpe",
            number(metrics.sharpe),
            f"Sortino {number(metrics.sortino)}" if metrics.sharpe is not None else TOO_SHORT,
        ),
        (
            "CAGR",
            signed_percent(metrics.cagr),
            f"Calmar {number(metrics.calmar)}" if metrics.cagr is not None else TOO_SHORT,
        ),
    )
    grid = "".join(
        f'<div class="tile"><span>{name}</span><b>{html.escape(value)}</b><small>{html.escape(more)}</small></div>'
        for name, value, more in tiles
    )
    formula = (
        '<p class="note">Score = win rate &times; profit factor / &radic;max drawdown. '
        "Below 6 pause, 6 to 10 below target, 10 to 15 production grade, above 15 excellent.</p>"
    )
    return f'<section class="hero"><div>{score}{formula}</div><div class="tiles">{grid}</div></section>'


def _density(result: BacktestResult) -> str:
    seconds = int(result.params.bar_seconds)
    return step_words(display_step(result.bars.time, seconds), seconds)


def _equity_section(result: BacktestResult) -> str:
    text = (
        f"Floating equity, drawn {_density(result)}; the dashed line is the starting balance. The drawdown is drawn at "
        "closes, the figure above is measured at the worst price of each bar. Click a name to show or hide its line."
    )
    return _section("Equity and drawdown", f'<div id="equity"></div>{_note(text)}')


def _price_section(result: BacktestResult) -> str:
    text = (
        f"Bid price, drawn {_density(result)} with its range; trades at their own times and prices. Drag to zoom "
        "into days and single trades, double-click to see everything again."
    )
    return _section("Price and trades", f'<div id="price"></div>{_note(text)}')


def _benchmark_section(random_entry: RandomEntry | None, buy_hold: BuyAndHold | None) -> str:
    parts = []
    if random_entry is not None:
        bands: tuple[Band | None, ...] = (
            random_entry.profit_factor,
            random_entry.win_rate,
            random_entry.expectancy_r,
            random_entry.total_return,
        )
        rows = [
            [*(_cell(cell) for cell in cells), f"<td>{'' if band is None else band_strip(band)}</td>"]
            for cells, band in zip(benchmark_rows(random_entry), bands, strict=True)
        ]
        headers = ("", "strategy", "random median", "random 5-95 %", "percentile", "")
        text = (
            f"{random_entry.runs} runs of the same account with the same brackets, sizing, costs and halts, entered at "
            f"random bars with the strategy's long share (median {random_entry.trades:,.0f} trades). The dot is the "
            "strategy; inside the grey band its entries are not distinguishable from chance."
        )
        parts.append(_table(headers, rows) + _note(text))
    if buy_hold is not None:
        parts.append(f'<p style="margin-top:14px">{html.escape(buy_hold_line(buy_hold))}</p>')
    return _section("Against chance", "".join(parts)) if parts else ""


def _month_section(result: BacktestResult) -> str:
    changes = monthly_returns(result.bars.time, result.equity, result.start_balance)
    largest = max((abs(change) for _, _, change in changes), default=0.0)
    rows = []
    for year in sorted({year for year, _, _ in changes}):
        by_month = {month: change for that, month, change in changes if that == year}
        total = float(np.prod([1.0 + change for change in by_month.values()])) - 1.0
        cells = [_month_cell(by_month.get(month), largest) for month in range(1, 13)]
        rows.append([_cell(str(year)), *cells, f"<td><b>{signed_percent(total)}</b></td>"])
    return _section("Monthly returns", _table(("", *MONTHS, "Year"), rows, kind="months"))


def _month_cell(change: float | None, largest: float) -> str:
    if change is None:
        return "<td></td>"
    color = "gain" if change >= 0 else "loss"
    strength = 12 + 48 * abs(change) / largest if change and largest else 0
    return (
        f'<td style="background:color-mix(in srgb,var(--{color}) {strength:.0f}%,transparent)">'
        f"{100 * change + 0.0:+.1f}</td>"
    )


def _outcome_section(metrics: Metrics, traded: bool) -> str:
    exits = [(name, float(count), f"{count:,}") for name, count in exit_rows(metrics)]
    blocks = [(name, float(count), f"{count:,}") for name, count in block_rows(metrics)]
    histogram = '<h3>Results in R</h3><div id="histogram"></div>' if traded else _note("No trade was closed.")
    bars = f"<h3>Exits</h3>{bar_list(exits)}" if exits else ""
    blocked = f"{metrics.blocked:,} of {metrics.candidates:,} candidates blocked, each by the first gate it failed."
    bars += f'<h3 style="margin-top:18px">Blocks by gate</h3>{bar_list(blocks)}{_note(blocked)}'
    return _section("Outcomes", _columns(histogram, bars))


def _time_section(result: BacktestResult) -> str:
    entries = result.trades["entry_time"].astype(np.int64)
    net, multiples = net_results(result.trades), r_multiples(result.trades)
    hours = results_by(entries % DAY // 3600, [f"{hour:02d}:00" for hour in range(24)], net, multiples)
    weekdays = results_by((entries // DAY + _THURSDAY) % 7, WEEKDAYS, net, multiples)
    mask = session_mask(entries)
    sessions = [
        group_result(session.name.replace("_", " ").title(), net[chosen], multiples[chosen])
        for session in SESSIONS
        for chosen in [(mask & session.bit) != 0]
    ]
    sessions.append(group_result("None", net[mask == 0], multiples[mask == 0]))
    right = (
        f"<h3>Weekday (UTC)</h3>{_group_table(weekdays)}"
        f'<h3 style="margin-top:22px">Session</h3>{_group_table(sessions)}'
        + _note("Sessions overlap: a trade counts in every session open at its entry.")
    )
    return _section("Results by time of entry", _columns(f"<h3>Hour (UTC)</h3>{_group_table(hours)}", right))


def _group_table(groups: Sequence[GroupResult]) -> str:
    rows = [
        [
            _cell(group.name),
            _cell(f"{group.trades:,}"),
            _cell(percent(group.win_rate) if group.trades else ""),
            _cell(_group_factor(group.profit_factor) if group.trades else ""),
            _cell(number(group.expectancy_r, 3) if group.trades else "", group.expectancy_r),
            _cell(dollars(group.net) if group.trades else "", group.net),
        ]
        for group in groups
    ]
    return _table(("", "trades", "win rate", "PF", "R", "net"), rows)


def _group_factor(factor: float | None) -> str:
    return "\N{INFINITY}" if factor == math.inf else number(factor)


def _risk_section(metrics: Metrics, rolling: bool) -> str:
    rows = [
        [
            _cell(str(number_)),
            _cell(percent(drawdown.depth, 2)),
            _cell(_day(drawdown.peak)),
            _cell(_day(drawdown.trough)),
            _cell("not yet" if drawdown.recovered is None else _day(drawdown.recovered)),
            _cell("" if drawdown.recovered is None else f"{(drawdown.recovered - drawdown.peak) / DAY:,.1f}"),
        ]
        for number_, drawdown in enumerate(metrics.drawdowns, start=1)
    ]
    headers = ("", "depth", "from", "lowest", "recovered", "days")
    table = _table(headers, rows) if rows else _note("Equity never closed below its highest close.")
    chart = '<div id="rolling"></div>' if rolling else _note(f"No rolling Sharpe ratio: {TOO_SHORT}.")
    left = f"<h3>Worst drawdowns at closes</h3>{table}"
    return _section("Risk through time", _columns(left, f"<h3>Rolling Sharpe ratio</h3>{chart}"))


def _way_section(metrics: Metrics) -> str:
    text = (
        f"On the way trades stood {number(metrics.adverse_r_mean)} R against and {number(metrics.favourable_r_mean)} R "
        "for their owner at the most, on average: prices at which they could have been closed, the bar of the exit "
        "counted up to the exit price alone."
    )
    return _section("On the way", f'<div id="way"></div>{_note(text)}')


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _cost_section(metrics: Metrics, details: Mapping[str, str]) -> str:
    paid = (metrics.cost_spread, metrics.cost_commission, metrics.cost_swap, metrics.cost_slippage)
    bars = bar_list([(name, cost, text) for (name, text), cost in zip(cost_rows(metrics), paid, strict=True)])
    total = f"{dollars(sum(paid))} in all by closed trades. Every result on this page has them taken off."
    split = f"<h3>Paid</h3>{bars}{_note(total)}"
    assumed = f"<h3>Assumed</h3>{_pairs([*assumption_rows(metrics), *details.items()])}"
    return _section("Costs and assumptions", _columns(split, assumed))


def _trade_section() -> str:
    pager = (
        '<div class="pager"><button id="back">Previous</button><button id="next">Next</button>'
        '<button id="all">Show all</button><span id="where"></span></div>'
    )
    table = '<div class="scroll"><table id="trades"><thead></thead><tbody></tbody></table></div>'
    note = (
        "Click a heading to sort. Costs are commission and swap; spread and slippage are in the prices. MAE and MFE: "
        "furthest against and for the trade on the way, in R."
    )
    return _section("Trades", table + pager + _note(note), kind="long")


def _trade_rows(result: BacktestResult, way: Excursions, digits: int) -> list[list[Any]]:
    trades = result.trades
    multiples = r_multiples(trades)
    columns: list[list[Any]] = [
        (trades["entry_time"] * 1000).tolist(),
        (trades["exit_time"] * 1000).tolist(),
        ["long" if side > 0 else "short" for side in trades["side"]],
        _rounded(trades["volume"], 2),
        *(_rounded(trades[name], digits) for name in ("entry_price", "exit_price", "sl", "tp")),
        [EXIT_WORDS[EXIT_NAMES[reason]] for reason in trades["reason"]],
        holding_bars(trades, result.bars.time).tolist(),
        _rounded(trades["commission"] + trades["swap"], 2),
        _rounded(net_results(trades), 2),
        *(_or_unknown(values) for values in (multiples, way.adverse, way.favourable)),
        _rounded(trades["balance"], 2),
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _rounded(values: npt.NDArray[Any], digits: int) -> list[float]:
    # Adding 0.0 turns the -0.0 of a costless sum into 0.0.
    rounded: list[float] = (np.round(values, digits) + 0.0).tolist()
    return rounded


def _or_unknown(values: npt.NDArray[Any]) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 3) for value in values]
