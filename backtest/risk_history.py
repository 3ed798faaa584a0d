"""What the risk model learns from: a completed backtest on out-of-fold answers, and its trades resampled.

The backtest runs the execution rules over the training window. It differs from trading in
what would keep states from being seen, and in nothing else:

- the breakers are lifted (losses in a row, daily, weekly and total limits, the pause on the
  equity curve), for a model that never saw a drawdown could not answer in one;
- the account is so large that neither the smallest lot nor the largest shapes a result;
  every number of the state is relative, so the scale does not matter;
- the position model is off, and the brackets are the SLTP models' out-of-fold distances.

Resampled sequences replay whole trades, with the floating equity at every close they were open
and the time between them, through the guard that trades: the states of both kinds come from
one formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from backtest.result import BacktestResult
from backtest.run import Prepared, prepare, simulate
from backtest.trade_results import net_results
from engine.bar import HOLD
from engine.breakers import judge_close, start_guard
from engine.candidates import likeliest_sides
from engine.equity import equity_state
from engine.inputs.parameters import build_params
from engine.inputs.selectivity import Selectivity, decided
from engine.records import Account, Guard, Params, new_record
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.stages.run import TradeSequence
from novosky.compiled import compiled
from novosky.errors import DataError
from novosky.market.bars import venue_seams
from novosky.market.news import NewsCalendar
from novosky.measures.statistics import stationary_bootstrap
from novosky.settings import MlSettings, Settings
from novosky.settings.equity_state import EQUITY_STATE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BALANCE = 1e9
"""USD: after 2,000 trades that lose half a percent each, the smallest lot still matters to nobody."""
_NO_LIMIT = 1e18


@dataclass(frozen=True, eq=False)
class CompletedTrades:
    """The trades of a backtest, ready to be replayed in any order.

    Attributes
    ----------
    start : int
        When the account was opened, UTC epoch seconds.
    states : ndarray, shape (n, 7)
        The account at each decision, as the backtest met it.
    returns : ndarray, shape (n,)
        Net result as a share of the equity before the trade.
    waits : ndarray of int64, shape (n,)
        Seconds from the close at which the trade before had ended (or `start`) to the decision.
    first : ndarray of int64, shape (n + 1,)
        Trade k was open at, or ended before, the closes first[k] to first[k + 1] - 1.
    seconds : ndarray of int64, shape (c,)
        From the decision to each of those closes.
    equity : ndarray, shape (c,)
        Floating equity there as a share of the equity before the trade; 1 + return at the last.
    """

    start: int
    states: FloatArray
    returns: FloatArray
    waits: IntArray
    first: IntArray
    seconds: IntArray
    equity: FloatArray


def out_of_fold_sequences(
    bars: pd.DataFrame,
    signal: OutOfFold,
    distances: OutOfFoldDistances,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None,
    seed: int,
) -> Sequence[TradeSequence]:
    """Return the completed backtest, then resampled sequences of its trades.

    Sequences are resampled until `risk_model.samples` states have a whole horizon after
    them. Implements `ml.stages.run.TradeHistory`.

    Parameters
    ----------
    bars : pandas.DataFrame
        The bars the signal and SLTP models were trained on, or their beginning.
    signal : OutOfFold
    distances : OutOfFoldDistances
        For the same bars as `signal`.
    settings, ml_settings : Settings, MlSettings
    news : NewsCalendar or None
    seed : int
        Of the resampling; same seed, same bytes.

    Returns
    -------
    sequence of TradeSequence
        The first alone when it has fewer trades than `risk_model.horizon_trades`.

    Raises
    ------
    DataError
        The answers do not belong to the bars or to each other.
    """
    # The threshold that these very answers give: the finished set will give no other.
    ml_settings = decided(ml_settings, Selectivity.of(signal.probabilities))
    settings, ml_settings = unhindered(settings, ml_settings)
    prepared = prepare_out_of_fold(bars, signal, distances, settings, ml_settings, news)
    recorder = StateRecorder(build_params(settings, ml_settings))
    result = simulate(prepared, settings, ml_settings, answers=recorder)
    trades = completed_trades(result, recorder.states, venue_seams(bars))
    return [
        TradeSequence(trades.states, trades.returns),
        *resampled_sequences(trades, result.params, ml_settings, np.random.default_rng(seed)),
    ]


def unhindered(settings: Settings, ml_settings: MlSettings) -> tuple[Settings, MlSettings]:
    """Return the settings of the completed backtest: see the top of this file for what differs and why."""
    sizing = settings.dynamic_position_sizing.model_copy(update={"max_lot": _NO_LIMIT})
    lifted = settings.model_copy(
        update={
            "dynamic_position_sizing": sizing,
            "broker": settings.broker.model_copy(update={"volume_max": _NO_LIMIT}),
            "max_consecutive_losses": int(_NO_LIMIT),
            "max_daily_loss": 100.0,
            "max_weekly_drawdown_pct": 100.0,
            "max_total_drawdown_pct": 100.0,
            "equity_curve_filter": settings.equity_curve_filter.model_copy(update={"enabled": False}),
            "risk_profile": settings.risk_profile.model_copy(update={"starting_balance_usd": BALANCE}),
            # Switched on to be asked at every candidate that has passed the gates.
            "risk_model": settings.risk_model.model_copy(update={"enabled": True}),
        }
    )
    return lifted, ml_settings.model_copy(
        update={
            "position_model": ml_settings.position_model.model_copy(update={"enabled": False}),
            "ml_sltp": ml_settings.ml_sltp.model_copy(update={"enabled": True}),
        }
    )


@dataclass(frozen=True)
class _Mute:
    """Holds the place of the signal model until its out-of-fold answers are put in."""

    train_cutoff: pd.Timestamp

    def predict_proba(self, features: FloatArray) -> FloatArray:
        return np.zeros((len(features), 1, 3))


def prepare_out_of_fold(
    bars: pd.DataFrame,
    signal: OutOfFold,
    distances: OutOfFoldDistances,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None = None,
) -> Prepared:
    """Prepare a backtest in which the models say what they said out of fold, and nothing elsewhere.

    Raises
    ------
    DataError
        The answers do not belong to the bars or to each other.
    """
    prepared = prepare(bars, settings, ml_settings, _Mute(bars["time"].iloc[-1]), news=news)
    if not np.array_equal(signal.times, distances.times):
        raise DataError(
            "the out-of-fold distances are not for the bars of the out-of-fold probabilities; "
            "train both anew with --ensemble --position --sltp --risk"
        )
    times = prepared.bars.time[prepared.signals.rows]
    rows = np.minimum(np.searchsorted(times, signal.times), len(times) - 1)
    strange = np.flatnonzero(times[rows] != signal.times)
    if len(strange):
        moment = pd.Timestamp(int(signal.times[strange[0]]), unit="s", tz="UTC")
        raise DataError(
            f"the signal set answered for a bar at {moment} that the given bars lack or whose features are not warm; "
            "give the bars it was trained on"
        )
    sides = likeliest_sides(signal.probabilities)
    # Where the likeliest class is HOLD there is no candidate, and nobody looks.
    brackets = distances.distances[np.arange(len(rows)), np.where(sides < 0, 1, 0)]
    return replace(prepared, signals=prepared.signals.answered(rows, signal.probabilities, brackets))


class StateRecorder:
    """Answers that leave every size as it is and note the account at each question.

    Parameters
    ----------
    params : Params

    Attributes
    ----------
    states : dict of int to tuple of 7 float
        By the close at which the risk model was asked, UTC epoch seconds.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self.states: dict[int, tuple[float, ...]] = {}

    def leave_position(self, bar: int, account: Account, guard: Guard) -> float:
        """Hold."""
        return HOLD

    def risk_multiplier(self, bar: int, account: Account, guard: Guard) -> float:
        """Note the state and leave the size as it is."""
        self.states[int(guard.time)] = equity_state(guard, self._params)
        return 1.0


def completed_trades(
    result: BacktestResult, states: dict[int, tuple[float, ...]], seams: IntArray | None = None
) -> CompletedTrades:
    """Return the closed trades of a backtest with the states of their decisions.

    States of candidates that did not become trades are left out, and so are trades over a
    change of venue, whose result is the step between two venues' prices.

    Parameters
    ----------
    result : BacktestResult
    states : dict of int to tuple
        From a `StateRecorder`; an entry fills at the very second of its decision.
    seams : ndarray of int64, optional
        First opens after each change of venue, UTC epoch seconds.
    """
    bars, trades, length = result.bars, result.trades, int(result.params.bar_seconds)
    decided = np.asarray(trades["entry_time"], dtype=np.int64)
    ended = np.asarray(trades["exit_time"], dtype=np.int64) + length
    # So long a resampled account waits too: its days and weeks turn over as they did.
    waits = decided - np.concatenate((bars.time[:1], ended[:-1]))
    net = net_results(trades)
    before = np.asarray(trades["balance"], dtype=np.float64) - net
    kept = np.flatnonzero(_within_one_venue(decided - length, ended - length, seams))
    begins, ends = np.searchsorted(bars.time, decided), np.searchsorted(bars.time, ended - length)
    first = np.concatenate(([0], np.cumsum(ends[kept] - begins[kept] + 1)))
    owner = np.repeat(kept, np.diff(first))
    rows = np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first)) + begins[owner]
    return CompletedTrades(
        start=int(bars.time[0]),
        states=np.array([states[int(moment)] for moment in decided[kept]]).reshape(-1, len(EQUITY_STATE)),
        returns=(net / before)[kept],
        waits=waits[kept],
        first=first.astype(np.int64),
        seconds=bars.time[rows] + length - decided[owner],
        equity=np.asarray(result.equity[rows] / before[owner]),
    )


def _within_one_venue(decided: IntArray, ended: IntArray, seams: IntArray | None) -> npt.NDArray[np.bool_]:
    """Tell for each trade whether no venue began after the bar of its decision, up to that of its exit."""
    known = np.empty(0, np.int64) if seams is None else seams
    before, after = (np.searchsorted(known, moments, side="right") for moments in (decided, ended))
    return np.asarray(before == after)


def resampled_sequences(
    trades: CompletedTrades, params: Params, ml_settings: MlSettings, rng: np.random.Generator
) -> list[TradeSequence]:
    """Resample trades onto fresh accounts until enough states have a whole horizon after them.

    Trades follow each other in blocks of random length (mean `risk_model.block_trades`), so
    that the streaks of the market stay streaks. Every account lives as long as the original
    one, or until a trade takes all of it.

    Parameters
    ----------
    trades : CompletedTrades
    params : Params
        With the starting balance.
    ml_settings : MlSettings
    rng : numpy.random.Generator

    Returns
    -------
    list of TradeSequence
        Empty when the original is shorter than a horizon, or alone has enough states.
    """
    model = ml_settings.risk_model
    count = len(trades.returns)
    missing = model.samples - (count - model.horizon_trades + 1)
    sequences: list[TradeSequence] = []
    while count >= model.horizon_trades and missing > 0:
        order = stationary_bootstrap(count, model.block_trades, 1, rng)[0]
        sequence = replay_trades(trades, order, params)
        sequences.append(sequence)
        missing -= max(len(sequence.returns) - model.horizon_trades + 1, 0)
    return sequences


def replay_trades(trades: CompletedTrades, order: IntArray, params: Params) -> TradeSequence:
    """Let a fresh account make these trades in this order and return the states it meets them in.

    Parameters
    ----------
    trades : CompletedTrades
    order : ndarray of int64
        Places in `trades`; any of them any number of times.
    params : Params
        With the starting balance.
    """
    states = np.empty((len(order), len(EQUITY_STATE)))
    account, guard = new_record(Account), new_record(Guard)
    account.balance = params.starting_balance
    start_guard(guard, params, trades.start, params.starting_balance)
    made = _replay(
        account, guard, params, order, trades.waits, trades.first, trades.seconds, trades.equity, trades.start, states
    )
    return TradeSequence(states[:made], trades.returns[order[:made]])


@compiled
def _replay(
    account: Account,
    guard: Guard,
    params: Params,
    order: npt.NDArray[Any],
    waits: npt.NDArray[Any],
    first: npt.NDArray[Any],
    seconds: npt.NDArray[Any],
    equity: npt.NDArray[Any],
    start: int,
    states: npt.NDArray[Any],
) -> int:
    """Fill the states row by row and return how many trades the account lived to make."""
    time = start
    for row in range(len(order)):
        trade = order[row]
        time += waits[trade]
        judge_close(account, guard, params, time, 0.0, 0.0)
        state = equity_state(guard, params)
        for place in range(len(state)):
            states[row, place] = state[place]
        before = account.balance
        last = first[trade + 1] - 1
        for close in range(first[trade], last):
            # Without a position on the account, its balance is what the guard takes for equity.
            account.balance = before * equity[close]
            judge_close(account, guard, params, time + seconds[close], 0.0, 0.0)
        account.balance = before * equity[last]
        account.last_net = account.balance - before
        account.closed += 1
        time += seconds[last]
        judge_close(account, guard, params, time, 0.0, 0.0)
        # Ruined: it makes no trade after this one.
        if account.balance <= 0.0:
            return row + 1
    return len(order)
