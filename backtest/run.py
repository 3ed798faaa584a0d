"""Drive the execution rules over history.

`prepare` asks the models once; `simulate` runs the rules over the prepared inputs and can
be repeated with other settings at no further cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from backtest.result import BacktestResult
from engine.bar import ASK_MULTIPLIER, ASK_POSITION, DONE, HOLD
from engine.breakers import start_guard
from engine.history import advance
from engine.inputs.bar_spreads import BarSpreads, bar_spreads
from engine.inputs.columns import bar_columns, minutes_of, window_rows
from engine.inputs.models import SignalModel, SltpModel
from engine.inputs.parameters import build_params, build_rollovers
from engine.inputs.signals import MeasuredBars, Signals, ask_signals, signal_candidates
from engine.records import (
    Account,
    Bars,
    Block,
    Guard,
    Minutes,
    Params,
    Run,
    Trade,
    Window,
    from_bytes,
    new_record,
    new_records,
    no_minutes,
    to_bytes,
)
from ml.feature_engineering import add_all_features
from novosky.errors import DataError, UsageError
from novosky.in_sample import in_sample_notice
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings


class StateAnswers(Protocol):
    """Answers that depend on the state of the account: position model and risk model."""

    def leave_position(self, bar: int, account: Account, guard: Guard) -> float:
        """Answer ASK_POSITION about the open position at the close of `bar`."""

    def risk_multiplier(self, bar: int, account: Account, guard: Guard) -> float:
        """Return the size multiplier for a candidate at the close of `bar`."""


class NeutralAnswers:
    """Hold to the bracket, size at 1.0: the answers while both models are off."""

    def leave_position(self, bar: int, account: Account, guard: Guard) -> float:
        """Hold."""
        return HOLD

    def risk_multiplier(self, bar: int, account: Account, guard: Guard) -> float:
        """Leave the size as it is."""
        return 1.0


@dataclass(frozen=True)
class Prepared:
    """A window of history with everything the models say about it.

    Attributes
    ----------
    frame : pandas.DataFrame
        The bars of the window.
    bars : Bars
        The same as columns.
    signals : Signals
        Of the bars with warmed-up features, by their row in `frame`.
    minutes : Minutes
    train_cutoff : pandas.Timestamp or None
    spreads : BarSpreads or None
        Where the spreads of `bars` come from, for whoever prints the costs.
    """

    frame: pd.DataFrame
    bars: Bars
    signals: Signals
    minutes: Minutes
    train_cutoff: pd.Timestamp | None
    spreads: BarSpreads | None = None

    @property
    def atr(self) -> npt.NDArray[np.float64]:
        """ATR(14) in USD of every bar, NaN where the model is mute: nothing else may trade there either."""
        return self.signals.atr_of_bars(len(self.frame))


def prepare(
    history: pd.DataFrame,
    settings: Settings,
    ml_settings: MlSettings,
    model: SignalModel,
    *,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    news: NewsCalendar | None = None,
    m1: pd.DataFrame | None = None,
    fixed_spread: bool = False,
    sltp: SltpModel | None = None,
) -> Prepared:
    """Compute features and model outputs for the bars that open in [start, end).

    Bars before `start` serve the features' warm-up only.

    Raises
    ------
    DataError
        When the window holds no bars, or no bar of it has warmed-up features.
    """
    first, last = window_rows(history, start, end)
    featured = add_all_features(history.iloc[:last].reset_index(drop=True), news, settings.frame)
    featured = featured.iloc[first:].reset_index(drop=True)
    frame = history.iloc[first:last].reset_index(drop=True)
    signals = ask_signals(_measured(featured, ml_settings), settings, model, sltp, news)
    if signals is None:
        raise DataError("no bar of the window has warmed-up features; give more history before --start")
    return Prepared(
        frame=frame,
        bars=bar_columns(frame, settings, fixed_spread=fixed_spread),
        signals=signals,
        minutes=no_minutes() if m1 is None else minutes_of(frame, m1, settings.frame),
        train_cutoff=model.train_cutoff,
        spreads=bar_spreads(frame, settings, fixed=fixed_spread),
    )


def _measured(featured: pd.DataFrame, ml_settings: MlSettings) -> MeasuredBars:
    return MeasuredBars(
        np.arange(len(featured), dtype=np.int64),
        epoch_seconds(featured),
        featured[list(ml_settings.features)].to_numpy(dtype=np.float64),
        *(featured[name].to_numpy(dtype=np.float64) for name in ("atr", "ema200_distance", "adx")),
    )


@dataclass(frozen=True)
class Opening:
    """An account that was already trading when the window began.

    Attributes
    ----------
    account : Account
        With its open position and the order on its way, if any. Trades are numbered on from
        `account.closed`.
    guard : Guard
    since : int
        Server midnights after this moment (UTC epoch seconds) are still to be charged.
    """

    account: Account
    guard: Guard
    since: int


def simulate(
    prepared: Prepared,
    settings: Settings,
    ml_settings: MlSettings,
    *,
    answers: StateAnswers | None = None,
    labels: tuple[str, ...] = (),
    progress: Callable[[int], None] | None = None,
    opening: Opening | None = None,
) -> BacktestResult:
    """Run the rules over a prepared window.

    Parameters
    ----------
    answers : StateAnswers or None
        Needed when `position_model.enabled`; the risk multiplier is 1.0 when None.
    labels : tuple of str
        Marks that every output must carry.
    progress : callable or None
        Called with the bar index at every question.
    opening : Opening or None
        Go on from this state, which is left as it is, instead of with a fresh account. An order
        on its way that is not filled is noted as a block of candidate -1.

    Raises
    ------
    UsageError
        The position model is on and `answers` is None, or the SLTP model is on and `prepared`
        has no distances.
    """
    if answers is None and ml_settings.position_model.enabled:
        raise UsageError("position_model.enabled is true in ml_config.json, but no position model answers this run")
    began = time.perf_counter()
    answers = answers or NeutralAnswers()
    params = build_params(settings, ml_settings)
    bars = prepared.bars
    candidates = signal_candidates(prepared.signals, settings, ml_settings)
    opening = opening or _fresh_account(settings, params, int(bars.time[0]))
    account = from_bytes(Account, to_bytes(opening.account))
    guard = from_bytes(Guard, to_bytes(opening.guard))
    run, balance, earlier = new_record(Run), float(account.balance), int(account.closed)
    run.peak, run.pending_candidate = guard.equity, -1
    trades = new_records(Trade, earlier + len(candidates) + 2)
    blocks = new_records(Block, len(candidates) + 1)
    equity = np.empty(len(bars.time))
    rollovers = build_rollovers(settings, opening.since, int(bars.time[-1]))
    window = Window(bars, prepared.minutes, rollovers, trades, blocks, equity)
    for bar in _answered(account, guard, params, run, candidates, window, answers):
        if progress is not None:
            progress(bar)
    return BacktestResult(
        bars=bars,
        candidates=candidates,
        trades=trades[earlier : account.closed],
        blocks=blocks[: run.blocks],
        equity=equity,
        params=params,
        account=account,
        guard=guard,
        run=run,
        start_balance=balance,
        seconds=time.perf_counter() - began,
        train_cutoff=prepared.train_cutoff,
        labels=labels,
        spread_floored=0 if prepared.spreads is None else prepared.spreads.floored,
        minutes=prepared.minutes,
        rollovers=rollovers,
    )


def _fresh_account(settings: Settings, params: Params, time: int) -> Opening:
    account, guard = new_record(Account), new_record(Guard)
    account.balance = settings.risk_profile.starting_balance_usd
    start_guard(guard, params, time, account.balance)
    return Opening(account, guard, time)


def _answered(
    account: Account,
    guard: Guard,
    params: Params,
    run: Run,
    candidates: npt.NDArray[Any],
    window: Window,
    answers: StateAnswers,
) -> Iterator[int]:
    """Run the rules to the end; yield the bar of every question that was answered on the way."""
    reply = 0.0
    while (question := advance(account, guard, params, run, candidates, window, reply)) != DONE:
        reply = _answer(question, answers, run, account, guard)
        yield run.bar


def _answer(question: int, answers: StateAnswers, run: Run, account: Account, guard: Guard) -> float:
    if question == ASK_POSITION:
        return answers.leave_position(run.bar, account, guard)
    assert question == ASK_MULTIPLIER
    return answers.risk_multiplier(run.bar, account, guard)


def overlap_warning(prepared: Prepared) -> str | None:
    """Return the warning for a window that the model has seen in training, or None."""
    return in_sample_notice(prepared.frame["time"], prepared.train_cutoff, "Use --oos-only.")


def candidate_prices(result: BacktestResult) -> npt.NDArray[Any]:
    """Return the closing bid at each candidate's decision, shape (len(candidates),)."""
    closes: npt.NDArray[Any] = result.bars.close[result.candidates["bar"]]
    return closes
