"""Server stamps and UTC across every change of the clocks; offsets measured, wrong rules refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novosky.errors import BrokerError
from novosky.market.bars import epoch_seconds
from novosky.market.server_time import ServerClock
from tests.contracts.broker import BAR, QUIET, buy
from tests.helpers.mt5.stage import stage
from trading.brokers.mt5.clock import OffsetCheck, ServerTime
from trading.brokers.port import Outcome

RULES = ["NewYork+7", "Europe/Athens", "Etc/GMT-3", "UTC"]
SWITCHES = {
    "US spring": 1_710_054_000,
    "EU spring": 1_711_846_800,
    "EU autumn": 1_729_990_800,
    "US autumn": 1_730_613_600,
}
"""2024's, UTC epoch seconds."""
DAY = 86_400
DAYS_AROUND = st.sampled_from(sorted(SWITCHES.values())).flatmap(lambda at: st.integers(at - 3 * DAY, at + 3 * DAY))
ANY_TIME = st.integers(1_262_304_000, 1_893_456_000)


@settings(max_examples=300, deadline=None)
@given(utc=st.one_of(DAYS_AROUND, ANY_TIME), rule=st.sampled_from(RULES))
def test_19_a_moment_just_now_survives_the_round_trip(utc: int, rule: str) -> None:
    time = ServerTime(rule)
    assert time.stamp(utc) == int(ServerClock(rule).from_utc(np.array([utc]))[0])
    assert time.utc(time.stamp(utc), now=utc) == utc


@settings(max_examples=50, deadline=None)
@given(start=DAYS_AROUND, rule=st.sampled_from(RULES))
def test_19_a_history_of_stamps_converts_as_each_of_them_does(start: int, rule: str) -> None:
    time = ServerTime(rule)
    begin = start // BAR * BAR
    moments = np.arange(begin, begin + 300 * BAR, BAR, dtype=np.int64)
    stamps = np.unique(ServerClock(rule).from_utc(moments))
    now = float(moments[-1])
    converted = time.bars(stamps, now + BAR, BAR, np.ones(len(stamps))).utc
    assert converted.tolist() == [time.utc(int(stamp), now) for stamp in stamps]
    assert np.isin(converted, moments).all()


@pytest.mark.parametrize("rule", RULES)
def test_19_zero_stays_zero(rule: str) -> None:
    assert ServerTime(rule).utc(0, 1.7e9) == 0
    assert ServerTime(rule).stamp(0) == 0


@pytest.mark.parametrize("rule", ["NewYork+7", "Europe/Athens", "UTC"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_19_bars_quotes_positions_and_deals_are_utc_across_a_switch(rule: str, switch: str) -> None:
    # The hours that can share their stamps are closed, as for currencies; nothing could tell them apart later.
    slots = [*range(4), *range(12, 24)]
    begin = SWITCHES[switch] - 8 * BAR
    play = stage([QUIET] * len(slots), slots=slots, start=begin, rule=rule)
    play.broker.send(buy(sl=49_000.0, tp=51_000.0))
    opened = play.broker.positions()[0].time
    assert opened == begin + BAR
    for _ in range(len(slots) - 1):
        play.go_on()
    assert epoch_seconds(play.broker.closed_bars(50)).tolist() == [begin + BAR * slot for slot in slots]
    assert play.broker.quote().time == begin + BAR * (slots[-1] + 1)
    assert play.broker.positions()[0].time == opened
    assert [deal.time for deal in play.broker.deals(0)] == [begin, begin + BAR]


def test_18_dates_are_asked_for_in_whole_seconds_of_the_server_so_no_zone_of_this_host_can_shift_them() -> None:
    play = stage()
    asked: list[tuple[Any, ...]] = []
    for name in ("history_deals_get", "history_orders_get", "copy_rates_from_pos"):
        original = getattr(play.mt5, name)
        noted = lambda *args, original=original, **named: (asked.append(args), original(*args, **named))[1]  # noqa: E731
        setattr(play.mt5, name, noted)
    order = buy(comment="e6595a2c4")
    play.broker.outcome_of(order, int(play.clock.now()))
    play.broker.send(order)
    play.broker.deals(0)
    play.broker.closed_bars(1)
    values = [value for args in asked for value in args]
    assert len(values) > 10 and {type(value) for value in values} == {int, str}


def test_19_in_the_hour_that_is_repeated_bars_ascend_and_none_is_from_the_future() -> None:
    begin = SWITCHES["US autumn"] - 6 * BAR
    play = stage([QUIET] * 20, start=begin)
    for _ in range(18):
        play.go_on()
        stamps = epoch_seconds(play.broker.closed_bars(50))
        assert (np.diff(stamps) > 0).all()
        assert stamps[-1] + BAR <= play.clock.now()
    assert stamps[-1] + BAR == play.clock.now(), "after the hour the newest bar is the newest again"


def test_a_quote_from_the_future_contradicts_the_rule() -> None:
    with pytest.raises(BrokerError, match=r"\+2 h from what broker\.server_clock"):
        stage(rule="NewYork+7", settings={"broker": {"server_clock": "UTC"}})


def test_an_old_quote_proves_nothing_but_two_fresh_ones_with_old_stamps_do() -> None:
    now = 1_704_283_200.0
    check = OffsetCheck(ServerTime("NewYork+7"))
    behind = int((now + 7_200 - 3_600) * 1000)
    check.observe(behind, now)
    assert not check.confirmed, "the market may be closed"
    check.observe(behind, now + 60.0)
    assert not check.confirmed
    check.observe(behind + 60_000, now + 61.0)
    assert not check.confirmed
    with pytest.raises(BrokerError, match="-1 h from what"):
        check.observe(behind + 61_000, now + 62.0)


def test_the_last_quote_of_a_market_that_closed_during_an_outage_does_not_contradict_the_rule() -> None:
    now = 1_704_283_200.0
    check = OffsetCheck(ServerTime("UTC"))
    check.observe(int(now * 1000), now)
    check.observe(int(now * 1000), now + 1_740.0)
    # The line is back; the market had closed ten minutes after it was lost.
    for look in range(3):
        check.observe(int((now + 600.0) * 1000), now + 1_800.0 + 60.0 * look)
    assert check.confirmed


def test_a_quote_after_an_outage_is_not_taken_for_a_fresh_one() -> None:
    now = 1_704_283_200.0
    check = OffsetCheck(ServerTime("UTC"))
    check.observe(int(now * 1000), now)
    check.observe(int((now + 600.0) * 1000), now + 4_000.0)
    check.observe(int((now + 600.0) * 1000), now + 4_060.0)
    assert check.confirmed


def test_without_a_quote_that_confirms_the_rule_no_entry_leaves() -> None:
    play = stage(rule="UTC", settings={"broker": {"server_clock": "NewYork+7"}})
    assert play.broker.send(buy()).outcome == Outcome.NOT_SENT
    assert play.sends() == 0


def test_23_frozen_quotes_age_by_the_receivers_clock_and_block_entries() -> None:
    play = stage()
    play.server.freeze_quotes()
    play.go_on()
    assert play.broker.send(buy()).outcome == Outcome.NOT_SENT
    assert play.sends() == 0
    play.server.thaw_quotes()
    assert play.broker.send(buy()).outcome == Outcome.FILLED


def test_23_frozen_quotes_do_not_keep_a_position_from_being_closed() -> None:
    from tests.contracts.broker import close

    play = stage()
    play.broker.send(buy())
    play.server.freeze_quotes()
    play.go_on()
    assert play.broker.send(close(play.broker.positions()[0])).outcome == Outcome.FILLED
    assert play.broker.positions() == []
