"""What the risk model learns from: an honest backtest of unseen answers, and its trades lived again on new accounts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from backtest.result import BacktestResult
from backtest.risk_history import (
    CompletedTrades,
    StateRecorder,
    completed_trades,
    out_of_fold_sequences,
    prepare_out_of_fold,
    replay_trades,
    resampled_sequences,
    unhindered,
)
from backtest.run import Prepared, simulate
from backtest.trade_results import net_results
from engine.bar import HOLD
from engine.gates import gate_names
from engine.inputs.parameters import build_params
from engine.records import Account, Guard, new_record
from ml.feature_engineering import add_all_features
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.stages.run import TradeHistory, TradeSequence
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.bars import epoch_seconds
from novosky.settings import MlSettings, Settings
from novosky.settings.brackets import bracket_ranges
from novosky.settings.equity_state import EQUITY_STATE
from tests.helpers.paper_runs import WARM_UP, scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredModel

BAR = 900
WEEK = 7 * 86_400
MONDAY = 4 * 86_400
HORIZON = 20
HISTORY: TradeHistory = out_of_fold_sequences


@dataclass(frozen=True, eq=False)
class Market:
    """Bars with what models might have said of them out of fold."""

    bars: pd.DataFrame
    signal: OutOfFold
    distances: OutOfFoldDistances
    settings: Settings
    ml_settings: MlSettings

    def until(self, time: int) -> Market:
        """The market as it was known before `time`."""
        rows = self.signal.times < time
        return replace(
            self,
            bars=self.bars[epoch_seconds(self.bars) < time],
            signal=OutOfFold(self.signal.times[rows], self.signal.probabilities[rows]),
            distances=OutOfFoldDistances(self.distances.times[rows], self.distances.distances[rows]),
        )

    def sequences(self, seed: int = 1, **settings: Any) -> list[TradeSequence]:
        chosen = self.settings.model_copy(update=settings)
        return list(HISTORY(self.bars, self.signal, self.distances, chosen, self.ml_settings, None, seed))


@dataclass(frozen=True, eq=False)
class Backtest:
    """The completed backtest of a market, with everything it left behind."""

    prepared: Prepared
    settings: Settings
    ml_settings: MlSettings
    result: BacktestResult
    states: dict[int, tuple[float, ...]]
    trades: CompletedTrades


@pytest.fixture(scope="module")
def market() -> Market:
    bars = synthetic_bars("planted", WARM_UP + 2_500, seed=11)
    ml_settings = scattered_ml_settings()
    features = add_all_features(bars)[list(ml_settings.features)].to_numpy()
    rows = np.arange(WARM_UP, len(bars))
    times = epoch_seconds(bars)[rows]
    distances = np.random.default_rng(4).uniform(0.4, 1.8, size=(len(rows), 2, 2))
    return Market(
        bars,
        OutOfFold(times, ScatteredModel().predict_proba(features[rows])),
        OutOfFoldDistances(times, distances),
        settings_with(
            costs={"commission_per_lot": 2.0}, risk_management={"atr_mult_range": {"least": 0.8, "most": 1.2}}
        ),
        ml_settings,
    )


@pytest.fixture(scope="module")
def done(market: Market) -> Backtest:
    settings, ml_settings = unhindered(market.settings, market.ml_settings)
    prepared = prepare_out_of_fold(market.bars, market.signal, market.distances, settings, ml_settings)
    recorder = StateRecorder(build_params(settings, ml_settings))
    result = simulate(prepared, settings, ml_settings, answers=recorder)
    trades = completed_trades(result, recorder.states)
    return Backtest(prepared, settings, ml_settings, result, recorder.states, trades)


def told_again(result: BacktestResult, trade: int) -> dict[str, float]:
    """The seven numbers at a trade's decision, from the equity curve and the trades file alone."""
    moment = int(result.trades["entry_time"][trade])
    closes = result.bars.time + BAR
    curve = result.equity[closes <= moment]
    week = (moment - MONDAY) // WEEK * WEEK + MONDAY
    # The week opens with the close of its first second; the account was flat or not, that close counts.
    in_week = result.equity[(closes >= week) & (closes <= moment)]
    net = net_results(result.trades)[:trade]
    recent = net[-20:]
    streak = next((k for k, value in enumerate(net[::-1]) if (value < 0) != (net[-1] < 0)), len(net))
    lost = len(net) > 0 and net[-1] < 0
    equity = curve[-1]
    return {
        "drawdown_pct": 100.0 * (1.0 - equity / max(curve.max(), result.start_balance)),
        "equity_ratio": equity / result.start_balance,
        "win_rate_recent": float((recent >= 0).mean()) if len(recent) else 0.5,
        "consecutive_losses": float(streak if lost else 0),
        "consecutive_wins": float(0 if lost else streak),
        "weekly_drawdown_pct": 100.0 * (1.0 - equity / in_week.max()),
        "equity_slope": 100.0 * float(recent.mean()) / equity if len(recent) else 0.0,
    }


def test_there_is_something_to_see(done: Backtest) -> None:
    states = dict(zip(EQUITY_STATE, done.trades.states.T, strict=True))
    assert len(done.trades.returns) > 150
    assert states["drawdown_pct"].max() > 5.0
    assert states["consecutive_losses"].max() >= 5
    assert states["weekly_drawdown_pct"].max() > 3.0
    assert set(done.result.trades["side"]) == {1, -1}


def test_recorded_states_are_what_trades_and_equity_curve_tell(done: Backtest) -> None:
    for trade, state in enumerate(done.trades.states):
        expected = told_again(done.result, trade)
        assert dict(zip(EQUITY_STATE, state, strict=True)) == pytest.approx(expected, rel=1e-9, abs=1e-9), trade


def test_a_return_is_the_net_result_over_the_equity_before(done: Backtest) -> None:
    net = net_results(done.result.trades)
    before = np.concatenate(([done.result.start_balance], done.result.trades["balance"][:-1]))
    np.testing.assert_allclose(done.trades.returns, net / before, rtol=1e-12)
    assert (done.result.trades["commission"] < 0).all(), "costs are in it"


def test_only_candidates_that_became_trades_count(done: Backtest) -> None:
    asked = np.array(sorted(done.states))
    decided = done.result.trades["entry_time"]
    assert set(decided) <= set(asked.tolist())
    assert len(done.trades.states) == len(decided) < len(asked)


def test_brackets_are_the_distances_of_the_side_within_the_profiles_range(market: Market, done: Backtest) -> None:
    (least, most), _ = bracket_ranges(market.settings, market.ml_settings)
    candidates = done.result.candidates
    opens = done.result.bars.time[candidates["bar"]]
    rows = np.searchsorted(market.distances.times, opens)
    of_side = market.distances.distances[rows, np.where(candidates["side"] > 0, 0, 1)]
    np.testing.assert_array_equal(candidates["sl_mult"], of_side[:, 0].clip(least, most))
    np.testing.assert_array_equal(candidates["tp_mult"], of_side[:, 1].clip(least, most))
    assert candidates["sl_mult"].min() == least
    assert candidates["sl_mult"].max() == most


def test_no_breaker_silences_the_window(done: Backtest) -> None:
    reasons = {name for block in done.result.blocks for name in gate_names(int(block.gates))}
    breakers = {"circuit_breaker", "daily_loss", "equity_curve", "weekly_drawdown", "hard_halt", "volume"}
    assert not reasons & breakers
    assert reasons & {"model_agreement", "session_conf", "probability_gap"}, "every other gate is as it was"


def test_bars_without_an_unseen_answer_are_not_traded(market: Market) -> None:
    cut = int(market.signal.times[1_000])
    rows = market.signal.times < cut
    some = replace(
        market,
        signal=OutOfFold(market.signal.times[rows], market.signal.probabilities[rows]),
        distances=OutOfFoldDistances(market.distances.times[rows], market.distances.distances[rows]),
    )
    found, known = some.sequences()[0], market.until(cut + 200 * BAR).sequences()[0]
    assert 0 < len(found.returns) < len(known.returns)


def test_the_beginning_of_a_window_is_the_beginning_of_its_backtest(market: Market) -> None:
    whole, early = market.sequences()[0], market.until(int(market.signal.times[1_500])).sequences()[0]
    count = len(early.returns)
    assert 50 < count < len(whole.returns)
    assert early.returns.tobytes() == whole.returns[:count].tobytes()
    assert early.states.tobytes() == whole.states[:count].tobytes()


def test_the_account_in_the_settings_does_not_matter(market: Market) -> None:
    profile = market.settings.risk_profile.model_copy(update={"starting_balance_usd": 73.0})
    tight = market.sequences(risk_profile=profile, max_consecutive_losses=1, max_daily_loss=0.1)
    for one, other in zip(tight, market.sequences(), strict=True):
        assert one.states.tobytes() == other.states.tobytes()


def test_trades_in_their_own_order_meet_the_states_the_backtest_met(done: Backtest) -> None:
    again = replay_trades(done.trades, np.arange(len(done.trades.returns)), done.result.params)
    np.testing.assert_allclose(again.states, done.trades.states, rtol=1e-9, atol=1e-9)
    assert again.returns.tobytes() == done.trades.returns.tobytes()


def test_enough_states_have_a_whole_horizon_after_them(market: Market) -> None:
    sequences = market.sequences()
    labelled = [max(len(sequence.returns) - HORIZON + 1, 0) for sequence in sequences]
    assert sum(labelled) >= market.ml_settings.risk_model.samples >= 5_000
    assert sum(labelled[:-1]) < market.ml_settings.risk_model.samples, "and not more sequences than that takes"
    assert {len(sequence.returns) for sequence in sequences} == {len(sequences[0].returns)}
    assert np.isfinite(np.concatenate([sequence.states for sequence in sequences])).all()


def test_every_resampled_account_is_fresh(market: Market) -> None:
    for sequence in market.sequences():
        assert sequence.states[0].tolist() == [0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0]


def test_the_same_seed_gives_the_same_sequences(market: Market) -> None:
    first, again, other = market.sequences(seed=1), market.sequences(seed=1), market.sequences(seed=2)
    assert [s.states.tobytes() for s in first] == [s.states.tobytes() for s in again]
    assert first[0].states.tobytes() == other[0].states.tobytes()
    assert first[1].returns.tobytes() != other[1].returns.tobytes()


def test_trades_that_followed_each_other_mostly_still_do(market: Market) -> None:
    sequences = market.sequences()
    place = {float(value): at for at, value in enumerate(sequences[0].returns)}
    assert len(place) > 0.9 * len(sequences[0].returns)
    order = np.array([place[float(value)] for value in np.concatenate([s.returns for s in sequences[1:]])])
    kept = float((np.diff(order) == 1).mean())
    assert kept == pytest.approx(1.0 - 1.0 / market.ml_settings.risk_model.block_trades, abs=0.03)


def test_resampled_states_spread_as_widely_as_the_original(market: Market) -> None:
    sequences = market.sequences()
    resampled = np.concatenate([sequence.states for sequence in sequences[1:]])
    for column in (2, 3, 4, 6):
        assert resampled[:, column].mean() == pytest.approx(sequences[0].states[:, column].mean(), rel=0.5, abs=0.2)


def hand_made(returns: npt.NDArray[np.float64]) -> CompletedTrades:
    """Trades of one bar each, an hour after one another."""
    count = len(returns)
    return CompletedTrades(
        start=MONDAY,
        states=np.zeros((count, len(EQUITY_STATE))),
        returns=returns,
        waits=np.full(count, 3_600),
        first=np.arange(count + 1),
        seconds=np.full(count, BAR),
        equity=1.0 + returns,
    )


def test_the_guard_sees_floating_equity_and_the_week(market: Market) -> None:
    params = build_params(*unhindered(market.settings, market.ml_settings))
    trades = CompletedTrades(
        start=MONDAY,
        states=np.zeros((2, 7)),
        returns=np.array([0.0, -0.1]),
        waits=np.array([BAR, WEEK]),
        first=np.array([0, 2, 3]),
        seconds=np.array([BAR, 2 * BAR, BAR]),
        equity=np.array([1.25, 1.0, 0.9]),
    )
    states = replay_trades(trades, np.array([0, 0, 1, 0]), params).states
    by_name = [dict(zip(EQUITY_STATE, row, strict=True)) for row in states]
    assert by_name[1]["drawdown_pct"] == by_name[1]["weekly_drawdown_pct"] == pytest.approx(20.0)
    assert by_name[2]["drawdown_pct"] == pytest.approx(20.0)
    assert by_name[2]["weekly_drawdown_pct"] == 0.0, "a week later"
    assert by_name[3]["drawdown_pct"] == pytest.approx(28.0)
    assert by_name[3]["consecutive_losses"] == 1.0


def test_an_account_that_lost_everything_makes_no_more_trades(market: Market) -> None:
    params = build_params(*unhindered(market.settings, market.ml_settings))
    trades = hand_made(np.array([0.1, -1.5, 0.1, 0.1]))
    assert replay_trades(trades, np.arange(4), params).returns.tolist() == [0.1, -1.5]


def test_too_few_trades_are_not_resampled(market: Market) -> None:
    params = build_params(*unhindered(market.settings, market.ml_settings))
    few = hand_made(np.full(HORIZON - 1, 0.01))
    assert resampled_sequences(few, params, market.ml_settings, np.random.default_rng(1)) == []


def test_a_trade_across_a_change_of_venue_is_left_out(market: Market, done: Backtest) -> None:
    trade = int(np.argmax(done.result.trades["exit_time"] > done.result.trades["entry_time"]))
    seam = int(done.result.trades["exit_time"][trade])
    kept = completed_trades(done.result, done.states, np.array([seam]))
    assert len(kept.returns) == len(done.trades.returns) - 1
    assert kept.returns.tolist() == np.delete(done.trades.returns, trade).tolist()
    at_the_bars_open = completed_trades(done.result, done.states, np.array([seam + BAR]))
    assert trade < len(at_the_bars_open.returns)
    assert done.trades.returns[trade] == at_the_bars_open.returns[trade], "it had ended before"
    bars = market.bars.copy()
    bars.attrs["seams"] = (seam,)
    assert len(replace(market, bars=bars).sequences()[0].returns) == len(kept.returns)


def test_distances_of_other_bars_are_refused(market: Market) -> None:
    shifted = OutOfFoldDistances(market.distances.times + BAR, market.distances.distances)
    with pytest.raises(DataError, match="not for the bars of the out-of-fold probabilities"):
        replace(market, distances=shifted).sequences()


@pytest.mark.parametrize("shift", [60, 10_000 * BAR, -2 * WARM_UP * BAR])
def test_answers_for_bars_that_are_not_there_are_refused(market: Market, shift: int) -> None:
    times = market.signal.times + shift
    other = replace(
        market,
        signal=OutOfFold(times, market.signal.probabilities),
        distances=OutOfFoldDistances(times, market.distances.distances),
    )
    with pytest.raises(DataError, match="that the given bars lack or whose features are not warm"):
        other.sequences()


def test_the_recorder_changes_nothing(done: Backtest) -> None:
    recorder = StateRecorder(done.result.params)
    guard, account = new_record(Guard), new_record(Account)
    guard.time = 123
    assert recorder.risk_multiplier(5, account, guard) == 1.0
    assert recorder.leave_position(5, account, guard) == HOLD
    assert list(recorder.states) == [123]
