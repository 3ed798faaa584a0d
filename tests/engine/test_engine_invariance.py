"""What must not change the trades: the future, the pieces a run is cut into, idle bars, a mirror."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bar import ASK_MULTIPLIER, ASK_POSITION, hold_until
from engine.fills import EXIT_MODEL
from engine.records import Bars, Minutes, no_minutes, no_rollovers, to_bytes
from tests.engine.market import BAR, DAY, Market, begin, candidate_rows, neutral_params, play, realistic_params
from tests.engine.random_market import fixed_answers, random_bars, random_market
from tests.engine.random_play import on_random_markets, random_params, random_play, seeds, state_of


@on_random_markets
@given(seeds, st.integers(1, 399))
def test_past_does_not_know_the_future(seed: int, cut: int) -> None:
    """Everything after bar `cut - 1` is replaced by noise: what was done until then stays as it was."""
    done, market = random_play(seed)
    noise, noisy_minutes = random_bars(np.random.default_rng(seed + 1), market.bars.time)
    strangers = random_market(seed + 1).candidates
    own, their = market.candidates, strangers[strangers["bar"] >= cut]
    minute = market.minutes.begin[cut]
    other = Market(
        Bars(
            market.bars.time,
            np.concatenate((market.bars.open[:cut], noise.open[cut:])),
            np.concatenate((market.bars.high[:cut], noise.high[cut:])),
            np.concatenate((market.bars.low[:cut], noise.low[cut:])),
            np.concatenate((market.bars.close[:cut], noise.close[cut:])),
            np.concatenate((market.bars.spread[:cut], noise.spread[cut:])),
        ),
        np.concatenate((own[own["bar"] < cut], their)).view(np.recarray),
        Minutes(
            market.minutes.begin,
            np.concatenate((market.minutes.high[:minute], noisy_minutes.high[minute:])),
            np.concatenate((market.minutes.low[:minute], noisy_minutes.low[minute:])),
        ),
        market.rollovers,
    )
    changed = play(random_params(seed), other, answer=fixed_answers(seed))
    past = market.bars.time[cut - 1]
    assert done.trades[done.trades["exit_time"] <= past].tobytes() == (
        changed.trades[changed.trades["exit_time"] <= past].tobytes()
    )
    np.testing.assert_array_equal(done.equity[:cut], changed.equity[:cut])


@on_random_markets
@given(seeds, st.lists(st.integers(1, 399), min_size=1, max_size=12))
def test_history_in_pieces_is_history_in_one(seed: int, cuts: list[int]) -> None:
    whole, market = random_play(seed)
    pieces = begin(random_params(seed), market)
    for cut in sorted(set(cuts)):
        pieces.go(market.until(cut), fixed_answers(seed))
    pieces.go(market, fixed_answers(seed))
    assert state_of(pieces) == state_of(whole)
    assert to_bytes(pieces.run) == to_bytes(whole.run)


@settings(on_random_markets, max_examples=10)
@given(seeds)
def test_history_bar_by_bar_is_history_in_one(seed: int) -> None:
    """The bot lives like this, its records going through the journal after every bar."""
    whole, market = random_play(seed)
    bot = begin(random_params(seed), market)
    for count in range(1, len(market.bars.time) + 1):
        bot.go(market.until(count), fixed_answers(seed))
    assert state_of(bot) == state_of(whole)


@on_random_markets
@given(seeds)
def test_bars_without_candidates_may_be_skipped(seed: int) -> None:
    """A candidate that never passes, at every bar that has none, defeats the skipping and changes nothing."""
    market = random_market(seed, share=0.03)
    params = random_params(seed)
    whole = play(params, market, answer=fixed_answers(seed))
    empty = np.setdiff1d(np.arange(len(market.bars.time)), market.candidates["bar"])
    dummies = candidate_rows(len(empty))
    dummies["bar"], dummies["side"] = empty, 1
    dummies["market_open"] = 0
    crowd = np.concatenate((market.candidates, dummies))
    crowd = crowd[np.argsort(crowd["bar"], kind="stable")].view(np.recarray)
    crowded = Market(market.bars, crowd, market.minutes, market.rollovers)
    busy = play(random_params(seed), crowded, answer=fixed_answers(seed))
    assert busy.trades.tobytes() == whole.trades.tobytes()
    assert to_bytes(busy.guard) == to_bytes(whole.guard)
    assert to_bytes(busy.account) == to_bytes(whole.account)
    np.testing.assert_array_equal(busy.equity, whole.equity)
    assert (busy.run.max_drawdown, busy.run.bars_in_market) == (whole.run.max_drawdown, whole.run.bars_in_market)


@on_random_markets
@given(seeds)
def test_model_that_always_holds_is_no_model(seed: int) -> None:
    holding, _ = random_play(seed, position_model=0, risk_model=0)
    market = random_market(seed)
    asked: list[int] = []

    def hold(question: int, bar: int) -> float:
        asked.append(bar)
        return 0.0 if question == ASK_POSITION else 1.0

    done = play(random_params(seed, position_model=1, risk_model=1), market, answer=hold)
    assert state_of(done) == state_of(holding)
    assert asked


@on_random_markets
@given(seeds)
def test_multiplier_changes_sizes_and_nothing_else(seed: int) -> None:
    """Without limits that look at money, every answer gives the same trades at other sizes."""
    market = random_market(seed)
    free = {
        "leverage": np.inf,
        "stop_out_level": 0.0,
        "max_daily_loss": np.inf,
        "max_weekly_drawdown": np.inf,
        "max_total_drawdown": np.inf,
        "equity_curve": 0,
        "max_consecutive_losses": 10**9,
        "position_model": 0,
        "volume_min": 1e-4,
        "volume_max": 1e9,
        "volume_scale": 1e4,
        "max_risk_fraction": 0.5,
        "half_kelly": 0,
    }
    plain = play(random_params(seed, risk_model=0, **free), market, balance=1e5)
    scaled = play(random_params(seed, risk_model=1, **free), market, balance=1e5, answer=fixed_answers(seed))
    for name in ("entry_time", "exit_time", "side", "reason", "entry_price", "exit_price", "sl", "tp"):
        np.testing.assert_array_equal(plain.trades[name], scaled.trades[name])
    assert plain.blocks.tobytes() == scaled.blocks.tobytes()
    if len(plain.trades):
        assert scaled.trades["volume"][0] != plain.trades["volume"][0]


@on_random_markets
@given(seeds)
def test_an_answer_for_many_closes_is_as_good_as_one_for_each(seed: int) -> None:
    market = random_market(seed)
    params = random_params(seed, position_model=1)
    answers = fixed_answers(seed)
    asked: list[int] = []

    def foresee(question: int, bar: int) -> float:
        if question != ASK_POSITION:
            return answers(question, bar)
        asked.append(bar)
        until = bar
        while until < len(market.bars.time) and answers(question, until) == 0.0:
            until += 1
        return 1.0 if until == bar else hold_until(until)

    each = play(params, market, answer=answers)
    assert state_of(play(params, market, answer=foresee)) == state_of(each)
    # A trade that is never left is asked about once.
    assert len(asked) <= 2 * len(each.trades) + 2


@on_random_markets
@given(seeds)
def test_position_answers_change_exits_and_nothing_before_them(seed: int) -> None:
    held, market = random_play(seed, position_model=0)
    leave_at: list[int] = []
    answers = fixed_answers(seed)

    def leave(question: int, bar: int) -> float:
        answer = answers(question, bar)
        if question == ASK_POSITION and answer != 0.0:
            leave_at.append(bar)
        return answer

    left = play(random_params(seed, position_model=1), market, answer=leave)
    exits = left.trades[left.trades["reason"] == EXIT_MODEL]
    # Out at the very next open, never later, and only where the model said so.
    assert set(exits["exit_time"]) <= {market.bars.time[bar] + BAR for bar in leave_at}
    if leave_at:
        past = market.bars.time[leave_at[0]]
        early = held.trades[held.trades["exit_time"] <= past]
        assert left.trades[left.trades["exit_time"] <= past].tobytes() == early.tobytes()


@on_random_markets
@given(seeds)
def test_multiplier_is_asked_once_per_candidate_and_only_when_flat(seed: int) -> None:
    market = random_market(seed)
    answers = fixed_answers(seed)
    asked: list[int] = []

    def note(question: int, bar: int) -> float:
        if question == ASK_MULTIPLIER:
            asked.append(bar)
        return answers(question, bar)

    done = play(random_params(seed, risk_model=1), market, answer=note)
    assert len(asked) == len(set(asked))
    assert set(asked) <= set(market.candidates["bar"].tolist())
    for trade in done.trades:
        inside = market.bars.time[asked]
        assert not ((inside >= trade.entry_time) & (inside < trade.exit_time)).any()


def mirrored(market: Market) -> Market:
    """Return the market upside down around 50,000, buyers for sellers; there must be no spread."""
    bars = market.bars
    flipped = Bars(bars.time, 1e5 - bars.open, 1e5 - bars.low, 1e5 - bars.high, 1e5 - bars.close, bars.spread)
    candidates = market.candidates.copy()
    candidates["side"] *= -1
    candidates["ema_distance"] *= -1
    return Market(flipped, candidates, no_minutes(), no_rollovers())


@on_random_markets
@given(seeds)
def test_mirrored_market_gives_mirrored_trades(seed: int) -> None:
    """Without costs nothing may favour a side. Prices are whole dollars, so that both are exact."""
    market = random_market(seed)
    first, high, low, close = (np.round(column) for column in market.bars[1:5])
    bars = Bars(market.bars.time, first, high, low, close, np.zeros(len(first)))
    market.candidates["atr"] = np.round(np.nan_to_num(market.candidates["atr"], nan=50.0))
    market.candidates["sl_mult"] = market.candidates["tp_mult"] = 1.0
    flat = Market(bars, market.candidates)
    params = {"fixed_volume": 1.0, "stops_distance": 5.0, "ema_trend": 1, "min_adx": 10.0, "min_votes": 2}
    limits = {"max_consecutive_losses": 3, "max_daily_loss": 0.03, "max_weekly_drawdown": 0.1, "stop_out_level": 0.5}
    up = play(neutral_params(starting_balance=1e4, **params, **limits), flat)
    down = play(neutral_params(starting_balance=1e4, **params, **limits), mirrored(flat))
    for name in ("entry_time", "exit_time", "reason", "volume", "profit", "balance"):
        np.testing.assert_array_equal(up.trades[name], down.trades[name])
    for name in ("entry_price", "exit_price", "sl", "tp"):
        np.testing.assert_array_equal(up.trades[name], 1e5 - down.trades[name])
    np.testing.assert_array_equal(up.trades["side"], -down.trades["side"])
    assert up.blocks.tobytes() == down.blocks.tobytes()
    assert up.run.max_drawdown == down.run.max_drawdown


def test_no_bars_and_no_candidates() -> None:
    empty = Market(Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(5))), candidate_rows(0))
    done = play(realistic_params(), empty)
    assert (done.account.balance, len(done.trades), len(done.blocks), done.run.bar) == (10_000.0, 0, 0, 0)


def test_bars_without_a_candidate_are_judged_to_the_last() -> None:
    market = random_market(3)
    idle = Market(market.bars, candidate_rows(0), market.minutes, market.rollovers)
    done = play(realistic_params(), idle)
    assert done.guard.time == market.bars.time[-1] + BAR
    assert done.guard.next_day == ((market.bars.time[-1] + BAR) // DAY + 1) * DAY
    assert (done.equity == 10_000.0).all()
