"""How the newest closed trades of an account did, and whether that is still good enough."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from engine.outputs.tables import TRADE_COLUMNS, utc_text
from engine.records import Trade, from_text
from novosky.errors import DataError
from novosky.measures.sequential import FALSE_ALARMS, Reference, Trial, lower_bound, trial_of
from novosky.measures.statistics import drawdowns, longest_run, profit_factor, wilson_interval

APPROVING_TRADES = 20
"""Fewer trades approve nothing."""
LEAST_TRADES = 10
"""With fewer trades rates say nothing; only a run of losses is judged."""

Verdict = Literal["healthy", "degraded", "too few trades"]


@dataclass(frozen=True)
class ClosedTrade:
    """What is judged of a trade.

    Attributes
    ----------
    exit_time : int
        UTC epoch seconds.
    net : float
        Profit with commission and swap, USD.
    balance : float
        After the trade, USD.
    r : float or None
        Net result in multiples of what the trade risked; None where that is not known.
    """

    exit_time: int
    net: float
    balance: float
    r: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Performance:
    """Figures of the newest trades; shares are fractions, money USD, None means unknown.

    Attributes
    ----------
    lookback : int
        Trades that were asked for.
    trades, wins : int
        Trades that there were; those that earned more than nothing.
    win_rate, win_rate_low, win_rate_high : float or None
        With its Wilson 95 % interval.
    profit_factor : float or None
        Capped at 10.
    longest_losing_run, current_losing_run : int
        Within these trades; at their end.
    max_drawdown : float or None
        Deepest fall of the sum of these trades from its high, over the balance before them; None
        when that was not above zero.
    net : float
    first_exit, last_exit : str or None
        ISO 8601 UTC.
    """

    lookback: int
    trades: int
    wins: int
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None
    profit_factor: float | None
    longest_losing_run: int
    current_losing_run: int
    max_drawdown: float | None
    net: float
    first_exit: str | None
    last_exit: str | None


@dataclass(frozen=True)
class Limits:
    """What a person asks for: win rate as a fraction, profit factor, losses in a row; None asks for nothing."""

    min_win_rate: float | None = None
    min_profit_factor: float | None = None
    most_losses: int | None = None

    @property
    def asked(self) -> bool:
        """True where anything was asked for."""
        return any(value is not None for value in (self.min_win_rate, self.min_profit_factor, self.most_losses))


@dataclass(frozen=True)
class Judgement:
    """Figures, the limits they were held against, and what came of it.

    Attributes
    ----------
    reasons : tuple of str
        What is below its limit; empty unless degraded.
    notes : tuple of str
        What the reader must know beside it.
    trial : Trial or None
        The test against what the set was approved with; None where limits were asked for instead.
    """

    performance: Performance
    limits: Limits
    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    trial: Trial | None = None

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return one flat JSON object; reasons and notes are joined by ``; ``."""
        return {
            **asdict(self.performance),
            **asdict(self.limits),
            **self._trial_values(),
            "verdict": self.verdict,
            "reasons": "; ".join(self.reasons),
            "notes": "; ".join(self.notes),
        }

    def _trial_values(self) -> dict[str, float | int | str | None]:
        trial = self.trial
        return {
            "claimed_r": None if trial is None else trial.reference.least_r,
            "approved_r": None if trial is None else trial.reference.mean_r,
            "approved_by": None if trial is None else trial.reference.source or None,
            "tested_trades": None if trial is None else trial.trades,
            "mean_r": None if trial is None else trial.mean_r,
            "evidence": None if trial is None else trial.evidence,
            "highest_evidence": None if trial is None else trial.highest,
        }


def trades_of_records(records: Iterable[str]) -> list[ClosedTrade]:
    """Return the trades of a journal (`Journal.trades`)."""
    trades = (from_text(Trade, content) for content in records)
    return [
        # Cents are summed in binary; without rounding a break-even trade could count as a win.
        ClosedTrade(
            int(trade.exit_time),
            net := round(float(trade.profit + trade.commission + trade.swap), 8),
            float(trade.balance),
            net / float(trade.risk) if trade.risk > 0.0 else None,
        )
        for trade in trades
    ]


def read_trades(path: Path) -> list[ClosedTrade]:
    """Read a trades file as backtest and bot write it (`engine.outputs.tables.TRADE_COLUMNS`).

    Raises
    ------
    DataError
        It cannot be read, or a line of it is no closed trade; the line is named.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = [name for name in TRADE_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} is no trades file: it has no column {', '.join(missing)}; name another")
            return _with_r([_parsed(path, number, row) for number, row in enumerate(reader, 2)])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a trades file ({error}); name another or export it anew") from error


@dataclass(frozen=True)
class _Line:
    """A line of a trades file: the trade, and what its risk can be worked out from."""

    trade: ClosedTrade
    lots: float
    moved: float
    to_stop: float
    profit: float


def _parsed(path: Path, line: int, row: Mapping[str | None, str | None]) -> _Line:
    def number(name: str) -> float:
        return float(str(row[name]))

    try:
        exit_time = datetime.fromisoformat(str(row["exit_time"]))
        profit, commission, swap, balance = (number(name) for name in ("profit", "commission", "swap", "balance"))
        entry, left, stop, lots = (number(name) for name in ("entry_price", "exit_price", "sl", "volume"))
        if exit_time.tzinfo is None or not np.isfinite([profit, commission, swap, balance, entry, left, stop]).all():
            raise ValueError("a time without a zone, or a sum that is no number")
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}; export the file anew") from error
    trade = ClosedTrade(int(exit_time.timestamp()), round(profit + commission + swap, 8), balance)
    return _Line(trade, lots, abs(left - entry), abs(entry - stop) if stop > 0.0 else 0.0, abs(profit))


def _with_r(lines: Sequence[_Line]) -> list[ClosedTrade]:
    """Add to each trade what it earned in multiples of its risk.

    The file does not say what a lot earns for a move of one unit of the price; the trades do.
    """
    earned = [line.profit / (line.moved * line.lots) for line in lines if line.moved > 0.0 and line.lots > 0.0]
    usual = float(np.median(earned)) if earned else 0.0

    def with_r(line: _Line) -> ClosedTrade:
        risk = line.to_stop * line.lots * usual
        return replace(line.trade, r=line.trade.net / risk) if risk > 0.0 else line.trade

    return [with_r(line) for line in lines]


def measure(trades: Sequence[ClosedTrade], lookback: int) -> Performance:
    """Return the figures of the newest `lookback` trades.

    Parameters
    ----------
    trades : sequence of ClosedTrade
        In any order; judged in order of exit.
    lookback : int
        At least 1.
    """
    newest = sorted(trades, key=lambda trade: trade.exit_time)[-lookback:]
    net = np.array([trade.net for trade in newest], dtype=np.float64)
    count, wins = len(newest), int(np.count_nonzero(net > 0.0))
    low, high = wilson_interval(wins, count) if count else (None, None)
    return Performance(
        lookback=lookback,
        trades=count,
        wins=wins,
        win_rate=wins / count if count else None,
        win_rate_low=low,
        win_rate_high=high,
        profit_factor=profit_factor(net),
        longest_losing_run=longest_run(net < 0.0),
        current_losing_run=int(np.argmin(np.append(net[::-1] < 0.0, False))),
        max_drawdown=_max_drawdown(newest, net),
        net=float(net.sum()) + 0.0,
        first_exit=utc_text(newest[0].exit_time) if newest else None,
        last_exit=utc_text(newest[-1].exit_time) if newest else None,
    )


def _max_drawdown(newest: Sequence[ClosedTrade], net: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float | None:
    if not newest:
        return None
    # From the results, not the balances: a deposit is no gain and a withdrawal no loss.
    before = newest[0].balance - newest[0].net
    return float(drawdowns(before + np.cumsum(net), before).max()) if before > 0.0 else None


def judge(performance: Performance, limits: Limits, trial: Trial | None = None) -> Judgement:
    """Hold figures against the limits asked for, and what the set was approved with on trial.

    A figure equal to its limit is good enough. With fewer than `LEAST_TRADES` trades there is
    no verdict, unless more trades than allowed were lost in a row: that needs no more trades to
    be true.
    """
    enough = performance.trades >= LEAST_TRADES
    reasons = _rate_reasons(performance, limits) if enough else []
    if limits.most_losses is not None and performance.longest_losing_run > limits.most_losses:
        reasons.append(f"{performance.longest_losing_run} losses in a row, allowed are {limits.most_losses}")
    notes = [] if trial is None else _trial_notes(trial)
    if trial is not None and trial.failed:
        reasons.append(_trial_reason(trial))
    if performance.trades < performance.lookback:
        notes.append(f"only {performance.trades} of the {performance.lookback} trades asked for were closed so far")
    win_rate_high = performance.win_rate_high
    least = limits.min_win_rate
    if win_rate_high is not None and least is not None and any(reason.startswith("win rate") for reason in reasons):
        sure = win_rate_high < least
        notes.append(
            f"the win rate's 95 % interval {performance.win_rate_low:.1%} to {win_rate_high:.1%} "
            + ("lies wholly below the limit" if sure else "reaches the limit: this may be chance")
        )
    verdict: Verdict = "degraded" if reasons else "healthy" if enough else "too few trades"
    return Judgement(performance, limits, verdict, tuple(reasons), tuple(notes), trial)


def trial_since(trades: Sequence[ClosedTrade], reference: Reference) -> Trial:
    """Put a reference on trial with the trades that were closed since it holds, in order of exit."""
    ordered = sorted(trades, key=lambda trade: trade.exit_time)
    return trial_of([t.r for t in ordered if t.r is not None and t.exit_time >= reference.since], reference)


def reference_of_trades(trades: Sequence[ClosedTrade], source: str) -> Reference | None:
    """Return what the trades of an out-of-sample backtest promise, None with too few of them."""
    known = np.array([trade.r for trade in trades if trade.r is not None], dtype=np.float64)
    if len(known) < APPROVING_TRADES:
        return None
    return Reference(lower_bound(known), float(known.mean()), len(known), 0.0, source)


def _claim(reference: Reference) -> str:
    return f"at least {reference.least_r:+.3f} R a trade" if reference.source else "no loss in the mean"


def _trial_reason(trial: Trial) -> str:
    return (
        f"{trial.trades} trades with {trial.mean_r:+.3f} R in the mean speak against {_claim(trial.reference)}: "
        f"evidence {trial.highest:.0f}, {1.0 / FALSE_ALARMS:.0f} is enough"
    )


def _trial_notes(trial: Trial) -> list[str]:
    reference = trial.reference
    if not reference.source:
        return [
            "there is no record of what this set was approved with: it is held against breakeven (mean R of 0) alone, "
            f"by a sequential test with at most {FALSE_ALARMS:.0%} false alarms"
        ]
    approved = (
        "" if reference.mean_r is None else f", approved with {reference.mean_r:+.3f} R in {reference.trades} trades"
    )
    return [
        f"held against {_claim(reference)} ({reference.source}{approved}) by a sequential test with at most "
        f"{FALSE_ALARMS:.0%} false alarms"
    ]


def _rate_reasons(performance: Performance, limits: Limits) -> list[str]:
    reasons = []
    least, least_factor = limits.min_win_rate, limits.min_profit_factor
    if performance.win_rate is not None and least is not None and performance.win_rate < least:
        reasons.append(f"win rate {performance.win_rate:.1%}, at least {least:.1%} is asked for")
    factor = performance.profit_factor
    if factor is not None and least_factor is not None and factor < least_factor:
        reasons.append(f"profit factor {factor:.2f}, at least {least_factor:.2f} is asked for")
    return reasons
