"""A walk-forward test in rows of words, as JSON, and as one HTML file that opens anywhere."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backtest.benchmarks import Band
from backtest.report.figure_formats import UNKNOWN, number, percent, signed_percent
from backtest.walk_forward.equity_chart import Line, equity_chart
from backtest.walk_forward.folds import FoldOutcome
from backtest.walk_forward.pooled import FoldFigures, Pooled, PooledRandom, fold_figures
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.score import MIN_TRADES
from novosky.pages.shell import plain_document
from novosky.provenance import Provenance

FOLD_COLUMNS = (
    "fold", "trained on", "traded", "model", "trades", "win rate", "PF", "R per trade", "max DD", "score", "return",
)  # fmt: skip
POOLED_COLUMNS = (
    "pooled", "trades", "win rate", "95 %", "PF", "95 %", "R per trade", "max DD", "score", "return", "Sharpe",
    "PSR", "deflated",
)  # fmt: skip
VARIANT_NAMES = {
    "position": "signal, position",
    "sltp": "signal, SLTP",
    "risk": "signal, risk",
    "all": "all four models",
}


@dataclass(frozen=True, eq=False)
class WalkForward:
    """A finished walk-forward test.

    Attributes
    ----------
    outcomes : tuple of FoldOutcome
        In order of time.
    signal, yardstick, hold : Pooled
    random_entry : PooledRandom or None
    variants : mapping of str to Pooled
        As in `FoldOutcome`.
    trials : int
        Configurations ever tried, as the user states.
    trials_stated : bool
        False while it is the default.
    labels : tuple of str
        Marks that every output must carry.
    assumptions : tuple of (str, str)
        Costs, limits and settings by name.
    """

    outcomes: tuple[FoldOutcome, ...]
    signal: Pooled
    yardstick: Pooled
    hold: Pooled
    random_entry: PooledRandom | None
    variants: Mapping[str, Pooled]
    trials: int
    trials_stated: bool
    labels: tuple[str, ...]
    assumptions: tuple[tuple[str, str], ...]


def day(seconds: int) -> str:
    """Format UTC epoch seconds as a date, with the time where it is not midnight."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%d" if seconds % DAY_SECONDS == 0 else "%Y-%m-%dT%H:%M")


def window_rows(outcomes: Sequence[FoldOutcome]) -> list[tuple[str, str, str]]:
    """Return number, training window and traded window of each fold."""
    return [_window_words(outcome) for outcome in outcomes]


def _window_words(outcome: FoldOutcome) -> tuple[str, str, str]:
    window = outcome.window
    return (
        str(window.number),
        f"{day(window.train_start)} to {day(window.train_end)}",
        f"{day(window.test_start)} to {day(window.test_end)}",
    )


def fold_rows(outcomes: Sequence[FoldOutcome], *, repeat: bool = False) -> list[tuple[str, ...]]:
    """Return the fold table: a row per fold and way of trading; see `FOLD_COLUMNS`.

    Parameters
    ----------
    outcomes : sequence of FoldOutcome
    repeat : bool
        Name the fold in each of its rows, not in its first one alone.
    """
    rows = []
    for outcome in outcomes:
        first = _window_words(outcome)
        legs = [("signal", outcome.signal)]
        legs += [(VARIANT_NAMES[name], leg) for name, leg in outcome.variants.items()]
        legs.append(("yardstick", outcome.yardstick))
        for at, (name, leg) in enumerate(legs):
            rows.append((*(first if repeat or at == 0 else ("", "", "")), name, *_words(fold_figures(leg))))
    return rows


def _words(figures: FoldFigures) -> tuple[str, ...]:
    return (
        str(figures.trades),
        percent(figures.win_rate),
        number(figures.profit_factor),
        UNKNOWN if figures.expectancy_r is None else f"{figures.expectancy_r:+.3f}",
        percent(figures.max_drawdown) + (" halted" if figures.halted else ""),
        number(figures.score),
        signed_percent(figures.total_return),
    )


def pooled_rows(walk: WalkForward) -> list[tuple[str, ...]]:
    """Return the pooled table, one row per way of trading; see `POOLED_COLUMNS`."""
    rows = [
        _pooled_row("signal", walk.signal),
        *(_pooled_row(VARIANT_NAMES[name], pooled) for name, pooled in walk.variants.items()),
        _pooled_row("yardstick", walk.yardstick),
    ]
    if walk.random_entry is not None:
        rows.append(_random_row(walk.random_entry))
    hold = walk.hold
    unknown = (UNKNOWN,) * 5
    sharpe = _sharpe_words(hold)
    figures = hold.figures
    drawdown, earned = percent(figures.max_drawdown), signed_percent(figures.total_return)
    rows.append(("buy and hold", "0", *unknown, drawdown, UNKNOWN, earned, *sharpe))
    return rows


def _pooled_row(name: str, pooled: Pooled) -> tuple[str, ...]:
    trades, wins, factor, expectancy, drawdown, score, earned = _words(pooled.figures)
    return (
        name,
        trades,
        wins,
        _interval(percent(pooled.win_rate_low), percent(pooled.win_rate_high)),
        factor,
        _interval(number(pooled.pf_low), number(pooled.pf_high)),
        expectancy,
        drawdown,
        score,
        earned,
        *_sharpe_words(pooled),
    )


def _interval(low: str, high: str) -> str:
    return UNKNOWN if UNKNOWN in (low, high) else f"{low.removesuffix(' %')} to {high.removesuffix(' %')}"


def _sharpe_words(pooled: Pooled) -> tuple[str, str, str]:
    if pooled.deflated is None:
        return number(pooled.sharpe), UNKNOWN, UNKNOWN
    return number(pooled.sharpe), percent(pooled.deflated.probabilistic), percent(pooled.deflated.deflated)


def _random_row(entry: PooledRandom) -> tuple[str, ...]:
    """Return the medians of the random runs, with 5 % to 95 % of the runs where the others have their interval."""

    def between(band: Band | None, words: Any) -> str:
        return UNKNOWN if band is None else _interval(words(band.low), words(band.high))

    def median(band: Band | None) -> float | None:
        return None if band is None else band.median

    expectancy = median(entry.expectancy_r)
    return (
        f"random (median of {entry.runs})",
        f"{entry.trades:.0f}",
        percent(median(entry.win_rate)),
        between(entry.win_rate, percent),
        number(median(entry.profit_factor)),
        between(entry.profit_factor, number),
        UNKNOWN if expectancy is None else f"{expectancy:+.3f}",
        UNKNOWN,
        UNKNOWN,
        signed_percent(median(entry.total_return)),
        UNKNOWN,
        UNKNOWN,
        UNKNOWN,
    )


def notes(walk: WalkForward) -> list[str]:
    """Return what a reader must know beside the tables."""
    said = list(walk.labels)
    for outcome in walk.outcomes:
        said += [
            f"Fold {outcome.window.number} went on without the {name} model: {reason}."
            for name, reason in outcome.untrained.items()
        ]
    if walk.signal.figures.score is None:
        said.append(f"Too few trades: {walk.signal.figures.trades} of at least {MIN_TRADES}; no score to act on.")
    low, high = walk.signal.pf_low, walk.signal.pf_high
    if low is not None and high is not None and low <= 1.0 <= high:
        said.append("The interval of the signal's profit factor contains 1: no edge is shown.")
    elif high is not None and high < 1.0:
        said.append("The whole interval of the signal's profit factor lies below 1: it loses after costs.")
    signal, yardstick = walk.signal.figures.expectancy_r, walk.yardstick.figures.expectancy_r
    if signal is not None and yardstick is not None and yardstick >= signal:
        said.append(f"The yardstick earned {yardstick:+.3f} R per trade, the signal no more than {signal:+.3f} R.")
    if walk.random_entry is not None and walk.random_entry.profit_factor is not None:
        share = walk.random_entry.profit_factor.percentile
        said.append(f"The signal's profit factor lies above {share:.1f} % of the random-entry runs.")
    said.append(
        f"Deflated Sharpe ratio for {walk.trials} configuration(s) ever tried"
        + ("." if walk.trials_stated else ": the default. State the true number with --trials, or it flatters.")
    )
    return said


def walk_dict(walk: WalkForward) -> dict[str, Any]:
    """Return one JSON object: pooled figures flat, folds and assumptions nested."""
    flat: dict[str, Any] = {
        "folds": len(walk.outcomes),
        "start": day(walk.outcomes[0].window.test_start),
        "end": day(walk.outcomes[-1].window.test_end),
        "trials": walk.trials,
        "trials_stated": walk.trials_stated,
        "labels": "; ".join(walk.labels),
    }
    for name in ("signal", "yardstick", "hold"):
        pooled: Pooled = getattr(walk, name)
        flat |= pooled.as_dict(name)
    for name, pooled in walk.variants.items():
        flat |= pooled.as_dict(f"with_{name}")
    if walk.random_entry is not None:
        flat |= walk.random_entry.as_dict()
    flat["assumptions"] = dict(walk.assumptions)
    flat["fold_list"] = [_fold_dict(outcome) for outcome in walk.outcomes]
    return flat


def _fold_dict(outcome: FoldOutcome) -> dict[str, Any]:
    window = outcome.window
    flat: dict[str, Any] = {
        "number": window.number,
        **{name: day(getattr(window, name)) for name in ("train_start", "train_end", "test_start", "test_end")},
        "train_cutoff": day(outcome.train_cutoff),
        "train_rows": outcome.train_rows,
        "bars": len(outcome.times),
        "untrained": dict(outcome.untrained),
    }
    legs = {
        "signal": outcome.signal,
        **{f"with_{name}": leg for name, leg in outcome.variants.items()},
        "yardstick": outcome.yardstick,
    }
    for name, leg in legs.items():
        flat |= {f"{name}_{key}": value for key, value in fold_figures(leg).as_dict().items()}
    hold = fold_figures(outcome.hold)
    return flat | {"hold_total_return": hold.total_return, "hold_max_drawdown": hold.max_drawdown}


def walk_html(walk: WalkForward, made: Provenance) -> str:
    """Return the test as one HTML text that needs neither network nor script."""
    first, last = walk.outcomes[0].window, walk.outcomes[-1].window
    title = "NOVOSKY walk-forward"
    sections = [
        f"<h1>{title}</h1>",
        f'<p class="sub">{len(walk.outcomes)} folds, {day(first.test_start)} to {day(last.test_end)}, every bar traded '
        "by models that had not seen it</p>",
        made.html(),
        f'<section class="warning">{"".join(f"<p>{html.escape(note)}</p>" for note in notes(walk))}</section>',
        f"<section><h2>All folds together</h2>{_table(POOLED_COLUMNS, pooled_rows(walk))}"
        '<p class="note">Trades of all folds; drawdown, return and Sharpe of their chained equity. Intervals: Wilson '
        "for the win rate, stationary block bootstrap for the profit factor, 5 % to 95 % of the runs for random "
        "entries. PSR is the probability that the true Sharpe ratio is above zero, deflated the same after counting "
        "the configurations tried.</p></section>",
        f"<section><h2>Chained equity</h2>{_equity_chart(walk)}</section>",
        f"<section><h2>Folds</h2>{_table(FOLD_COLUMNS, fold_rows(walk.outcomes), left=4)}"
        '<p class="note">Each fold trades a fresh account. A position still open at its end counts in the return, not '
        "among the trades.</p></section>",
        f"<section><h2>Assumptions</h2>{_table(('', ''), walk.assumptions, kind='pairs')}</section>",
    ]
    return plain_document(title, "\n".join(sections))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, kind: str = "dense") -> str:
    def cell(tag: str, at: int, text: str) -> str:
        align = ' style="text-align:left"' if at < left else ""
        return f"<{tag}{align}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", at, name) for at, name in enumerate(columns)) if any(columns) else ""
    body = "".join(f"<tr>{''.join(cell('td', at, text) for at, text in enumerate(row))}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _equity_chart(walk: WalkForward) -> str:
    every = walk.variants.get("all")
    lines: list[Line] = [
        ("signal", "var(--accent)", walk.signal.equity),
        *([] if every is None else [("all four models", "var(--loss)", every.equity)]),
        ("yardstick", "var(--gain)", walk.yardstick.equity),
        ("buy and hold", "var(--faint)", walk.hold.equity),
    ]
    return equity_chart(lines, [outcome.times for outcome in walk.outcomes])
