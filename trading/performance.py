"""How the newest closed trades of an account did, and whether that is still good enough."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from backtest.statistics import drawdowns, longest_run, profit_factor, wilson_interval
from novosky.errors import DataError
from trading.engine.records import Trade, from_bytes
from trading.exports import TRADE_COLUMNS, utc_text

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
    """

    exit_time: int
    net: float
    balance: float


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
    """What is still good enough: win rate as a fraction, profit factor, losses in a row."""

    min_win_rate: float
    min_profit_factor: float
    most_losses: int


@dataclass(frozen=True)
class Judgement:
    """Figures, the limits they were held against, and what came of it.

    Attributes
    ----------
    reasons : tuple of str
        What is below its limit; empty unless degraded.
    notes : tuple of str
        What the reader must know beside it.
    """

    performance: Performance
    limits: Limits
    verdict: Verdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, float | int | str | None]:
        """Return one flat JSON object; reasons and notes are joined by ``; ``."""
        return {
            **asdict(self.performance),
            **asdict(self.limits),
            "verdict": self.verdict,
            "reasons": "; ".join(self.reasons),
            "notes": "; ".join(self.notes),
        }


def trades_of_records(records: Iterable[bytes]) -> list[ClosedTrade]:
    """Return the trades of a journal (`Journal.trades`)."""
    trades = (from_bytes(Trade, content) for content in records)
    return [
        # Cents are summed in binary; without rounding a break-even trade could count as a win.
        ClosedTrade(
            int(trade.exit_time), round(float(trade.profit + trade.commission + trade.swap), 8), float(trade.balance)
        )
        for trade in trades
    ]


def read_trades(path: Path) -> list[ClosedTrade]:
    """Read a trades file as backtest and bot write it (`trading.exports.TRADE_COLUMNS`).

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
            return [_parsed(path, number, row) for number, row in enumerate(reader, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a trades file ({error}); name another or export it anew") from error


def _parsed(path: Path, line: int, row: Mapping[str | None, str | None]) -> ClosedTrade:
    try:
        exit_time = datetime.fromisoformat(str(row["exit_time"]))
        profit, commission, swap, balance = (float(str(row[k])) for k in ("profit", "commission", "swap", "balance"))
        if exit_time.tzinfo is None or not np.isfinite([profit, commission, swap, balance]).all():
            raise ValueError("a time without a zone, or a sum that is no number")
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {error}; export the file anew") from error
    return ClosedTrade(int(exit_time.timestamp()), round(profit + commission + swap, 8), balance)


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


def judge(performance: Performance, limits: Limits) -> Judgement:
    """Hold figures against limits.

    A figure equal to its limit is good enough. With fewer than `LEAST_TRADES` trades there is
    no verdict, unless more trades than allowed were lost in a row: that needs no more trades to
    be true.
    """
    enough = performance.trades >= LEAST_TRADES
    reasons = _rate_reasons(performance, limits) if enough else []
    if performance.longest_losing_run > limits.most_losses:
        reasons.append(f"{performance.longest_losing_run} losses in a row, allowed are {limits.most_losses}")
    notes = []
    if performance.trades < performance.lookback:
        notes.append(f"only {performance.trades} of the {performance.lookback} trades asked for were closed so far")
    win_rate_high = performance.win_rate_high
    if enough and win_rate_high is not None and any(reason.startswith("win rate") for reason in reasons):
        sure = win_rate_high < limits.min_win_rate
        notes.append(
            f"the win rate's 95 % interval {performance.win_rate_low:.1%} to {win_rate_high:.1%} "
            + ("lies wholly below the limit" if sure else "reaches the limit: this may be chance")
        )
    verdict: Verdict = "degraded" if reasons else "healthy" if enough else "too few trades"
    return Judgement(performance, limits, verdict, tuple(reasons), tuple(notes))


def _rate_reasons(performance: Performance, limits: Limits) -> list[str]:
    reasons = []
    if performance.win_rate is not None and performance.win_rate < limits.min_win_rate:
        reasons.append(f"win rate {performance.win_rate:.1%}, at least {limits.min_win_rate:.1%} is asked for")
    factor = performance.profit_factor
    if factor is not None and factor < limits.min_profit_factor:
        reasons.append(f"profit factor {factor:.2f}, at least {limits.min_profit_factor:.2f} is asked for")
    return reasons
