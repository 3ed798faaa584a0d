"""The score, and the figures one looks at first."""

from __future__ import annotations

import html

from backtest.report.figure_formats import dollars, factor_words, interval, number, percent, signed_percent
from backtest.report.section import Reported, Section
from backtest.report.summary import TOO_SHORT, equal_risk_words

ROW = 10
BAND_CLASSES = {"pause": "", "below target": "fair", "production grade": "good", "excellent": "good"}


def section(told: Reported) -> Section:
    """Return the score with its band, and the figures one looks at first."""
    metrics = told.metrics
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
    compared = "" if metrics.score is None else f'<p class="note">{html.escape(equal_risk_words(metrics))}</p>'
    return Section(
        f'<section class="hero"><div>{score}{formula}{compared}</div><div class="tiles">{grid}</div></section>'
    )
