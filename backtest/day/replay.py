"""Replay one live day through the backtest, from the account the day began with, and compare.

The rules, the models and the bars are those the bot is said to run on; whatever the journal tells
otherwise is drift, and is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from backtest.day.differences import Comparison, Difference, Replayed
from backtest.day.live_day import (
    OPEN,
    Held,
    JournalDay,
    Quoted,
    exact_usd,
    exit_quote,
    live_positions,
    opening_state,
    read_journal_day,
    since_opening,
)
from backtest.model_answers import model_answers
from backtest.result import BacktestResult
from backtest.run import Opening, prepare, simulate
from engine.fills import floating_profit
from engine.inputs.models import Models
from engine.inputs.parameters import build_params
from engine.outputs.tables import utc_text
from engine.records import Params, Trade
from ml.feature_engineering import live_window_bars
from novosky.errors import DataError
from novosky.in_sample import in_sample_notice
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from trading.journal import Journal


@dataclass(frozen=True)
class ReplaySetup:
    """What the day is replayed with.

    Attributes
    ----------
    history : pandas.DataFrame
        Bars of the day and, for the features' warm-up, before it.
    settings, ml_settings, models, news
        As the bot runs on them.
    m1 : pandas.DataFrame or None
        M1 bars that decide bars which touch both levels.
    fixed_spread : bool
        True when `costs.spread` replaces the bars' own.
    """

    history: pd.DataFrame
    settings: Settings
    ml_settings: MlSettings
    models: Models
    news: NewsCalendar | None = None
    m1: pd.DataFrame | None = None
    fixed_spread: bool = False


@dataclass(frozen=True)
class DayReport:
    """How far a live day was what the backtest says it should have been.

    Attributes
    ----------
    day : int
        Its midnight, UTC epoch seconds.
    start, end : int
        The part of it that the journal covers.
    bars, bars_missed : int
        Bars of that part, and how many of them the bot did not process.
    live, replay : tuple of Held
        The positions.
    live_r, replay_r : Fraction
        The results in risks.
    differences : tuple of Difference
        They add up to the live result minus the replay's.
    in_sample : str or None
        What to say where the models learned from bars of the day.
    """

    day: int
    start: int
    end: int
    bars: int
    bars_missed: int
    live: tuple[Held, ...]
    replay: tuple[Held, ...]
    live_r: Fraction
    replay_r: Fraction
    differences: tuple[Difference, ...]
    in_sample: str | None = None

    @property
    def live_usd(self) -> Decimal:
        """What the bot's positions earned within the day, open ones at the last close."""
        return sum((held.net for held in self.live), Decimal(0))

    @property
    def replay_usd(self) -> Decimal:
        """The same of the replay."""
        return sum((held.net for held in self.replay), Decimal(0))

    def part(self, category: str) -> tuple[Decimal, Fraction, int]:
        """Return a category's USD, its R and how many differences it has."""
        found = [each for each in self.differences if each.category == category]
        return sum((each.usd for each in found), Decimal(0)), sum((each.r for each in found), Fraction(0)), len(found)


def replay_day(journal: Journal, day: int, setup: ReplaySetup) -> DayReport:
    """Replay a day of a journal and split the difference.

    Parameters
    ----------
    journal : Journal
        Open for reading.
    day : int
        Midnight of the day, UTC epoch seconds.
    setup : ReplaySetup

    Raises
    ------
    DataError
        The journal has nothing of the day, or the bars do not cover it.
    StorageError
        The journal cannot be read.
    UsageError
        A model is switched on and not there.
    """
    params = build_params(setup.settings, setup.ml_settings)
    told = read_journal_day(journal, day, int(params.bar_seconds))
    opening = opening_state(told, params)
    result = _simulated(told, setup, opening)
    last = Quoted(float(result.bars.close[-1]), float(result.bars.spread[-1]))
    live = live_positions(told, params, opening, last)
    replayed = _replayed(told, params, opening, result, last, live)
    comparison = Comparison(told, live, replayed, params)
    return DayReport(
        day=day,
        start=told.start,
        end=told.end,
        bars=len(replayed.closes),
        bars_missed=sum(close not in told.decisions for close in replayed.closes),
        live=tuple(live),
        replay=tuple(replayed.positions),
        live_r=comparison.live_r,
        replay_r=comparison.replay_r,
        differences=tuple(comparison.differences),
        in_sample=in_sample_notice(
            pd.Series(pd.to_datetime(result.bars.time, unit="s", utc=True)),
            result.train_cutoff,
            "Replay the day with the set that traded it.",
        ),
    )


def _simulated(told: JournalDay, setup: ReplaySetup, opening: Opening) -> BacktestResult:
    times = epoch_seconds(setup.history)
    length, known = setup.settings.frame.seconds, set(times.tolist())
    lacking = [close for close in told.decisions if close > told.start and close - length not in known]
    if lacking:
        raise DataError(
            f"the bot acted on {len(lacking)} bar(s) of the day that the bars do not have, the first closed at "
            f"{utc_text(lacking[0])}; give bars that cover the day with --data"
        )
    first, last = np.searchsorted(times, [told.start, told.end])
    window = setup.history.iloc[max(0, int(first) - live_window_bars(setup.settings.frame)) : int(last)].reset_index(
        drop=True
    )
    prepared = prepare(
        window,
        setup.settings,
        setup.ml_settings,
        setup.models.signal,
        start=pd.Timestamp(told.start, unit="s", tz="UTC"),
        news=setup.news,
        m1=setup.m1,
        fixed_spread=setup.fixed_spread,
        sltp=setup.models.sltp,
    )
    answers = model_answers(setup.models, prepared, setup.settings, setup.ml_settings)
    return simulate(prepared, setup.settings, setup.ml_settings, answers=answers, opening=opening)


def _replayed(
    told: JournalDay, params: Params, opening: Opening, result: BacktestResult, last: Quoted, live: list[Held]
) -> Replayed:
    closes = [int(time) + int(params.bar_seconds) for time in result.bars.time]
    candidates = {closes[int(each.bar)]: each for each in result.candidates}
    numbers = [int(each.bar) for each in result.candidates]
    blocks = {
        told.start if block.candidate < 0 else closes[numbers[int(block.candidate)]]: int(block.gates)
        for block in result.blocks
    }
    # An order is decided at the close before its fill; one carried into the day, where live says.
    decided = sorted([told.start, *candidates])
    carried = {held.entry_time: held.decided for held in live if held.entry_time < told.start}

    def decision_of(entry: int) -> int:
        return carried.get(entry) or decided[int(np.searchsorted(decided, entry, side="right")) - 1]

    positions = [_closed_position(trade, decision_of(int(trade.entry_time)), params) for trade in result.trades]
    if result.account.side != 0:
        positions.append(_open_position(result, params, decision_of(int(result.account.entry_time)), last))
    booked = opening.account.commission if opening.account.side != 0 else 0.0
    today = [since_opening(held, opening, told, params) for held in positions]
    return Replayed(closes, candidates, blocks, [_without_booked(held, opening, booked, params) for held in today])


def _without_booked(held: Held, opening: Opening, commission: float, params: Params) -> Held:
    """Take the commission of an entry before the day out of its position."""
    if opening.account.side == 0 or held.entry_time != opening.account.entry_time:
        return held
    return Held(**{**held.__dict__, "commission": held.commission - exact_usd(commission, params.money_scale)})


def _closed_position(trade: Trade, decided: int, params: Params) -> Held:
    return Held(
        decided=decided,
        side=int(trade.side),
        volume=float(trade.volume),
        entry_time=int(trade.entry_time),
        entry_price=float(trade.entry_price),
        sl=float(trade.sl),
        tp=float(trade.tp),
        exit_time=int(trade.exit_time),
        exit_price=float(trade.exit_price),
        reason=int(trade.reason),
        profit=exact_usd(trade.profit, params.money_scale),
        commission=exact_usd(trade.commission, params.money_scale),
        swap=exact_usd(trade.swap, params.money_scale),
    )


def _open_position(result: BacktestResult, params: Params, decided: int, last: Quoted) -> Held:
    account = result.account
    return Held(
        decided=decided,
        side=int(account.side),
        volume=float(account.volume),
        entry_time=int(account.entry_time),
        entry_price=float(account.entry_price),
        sl=float(account.sl),
        tp=float(account.tp),
        exit_time=None,
        exit_price=exit_quote(account, last),
        reason=OPEN,
        profit=exact_usd(floating_profit(account, params, last.bid, last.spread), params.money_scale),
        commission=exact_usd(account.commission, params.money_scale),
        swap=exact_usd(account.swap, params.money_scale),
    )
