"""The live window around a change of the server's clock: the bars that an import of the same server gives."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.feature_engineering import add_all_features, live_window_bars
from novosky.errors import BrokerError
from novosky.market.bars import epoch_seconds, validate_bars
from novosky.market.clock_changes import bars_on_clock
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL
from tests.helpers.mt5.stage import stage
from tests.hosts.late_clock import Keeping, LateServer, Minutes, change_of, random_minutes, true_bars
from tests.novosky.market.test_clock_changes import frame
from trading.brokers.mt5.bars.reader import _EMPTY, BarReader
from trading.brokers.mt5.clock import OffsetCheck, ServerTime
from trading.brokers.mt5.terms import Timing
from trading.brokers.mt5_package.constants import ModuleConstants as C

M15, HOUR, DAY = 900, 3_600, 86_400
WINDOW = 100
COLUMNS = ["time", "open", "high", "low", "close", "volume"]
CHANGES = [
    ("NewYork+7", "spring", 1),
    ("NewYork+7", "spring", 20),
    ("NewYork+7", "spring", -2),
    ("Europe/Athens", "spring", 3),
    ("Europe/London", "spring", 0),
    ("Australia/Sydney", "spring", 10),
    ("NewYork+7", "autumn", 0),
    ("NewYork+7", "autumn", 1),
    ("Europe/Athens", "autumn", 10),
    ("Australia/Sydney", "autumn", -3),
]


class Database:
    """A terminal over one server's bars, as far as the reader asks it; the clock stands at `moment`."""

    def __init__(self, server: LateServer, minutes: Minutes) -> None:
        self.server, self.minutes = server, minutes
        self.moment = float(minutes["time"][0])

    def now(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Nothing trickles in."""

    def rows(self) -> np.ndarray[Any, Any]:
        """Return the bars of all minutes that have begun, the forming one last."""
        begun = self.minutes[self.minutes["time"] <= self.moment]
        return rates(self.server.bars(begun, M15))

    def read(self, name: str, *args: Any, **_: Any) -> Any:
        if name == "terminal_info":
            return SimpleNamespace(maxbars=100_000)
        _, _, start, count = args
        rows = self.rows()
        end = len(rows) - start
        return rows[max(0, end - count) : end]


def rates(rows: Minutes) -> np.ndarray[Any, Any]:
    result = np.zeros(len(rows), dtype=_EMPTY.dtype)
    for name in ("time", "open", "high", "low", "close", "spread"):
        result[name] = rows[name]
    result["tick_volume"] = rows["volume"]
    return result


def reader(database: Database) -> BarReader:
    rule = ServerTime(database.server.clock.rule)
    return BarReader(database, rule, database, Timing(), 1.0, USUAL)  # type: ignore[arg-type]


def imported(server: LateServer, minutes: Minutes) -> pd.DataFrame:
    bars, _ = bars_on_clock(frame(server.bars(minutes, M15)), server.clock, M15)
    return validate_bars(bars, source="export")[COLUMNS]


def world(rule: str, season: Any, late: int, keeping: Keeping, hours: int = 8) -> tuple[LateServer, Minutes]:
    change = change_of(rule, 2024, season)
    minutes = random_minutes(change.utc - 28 * HOUR, change.utc + hours * HOUR, 5)
    return LateServer(ServerClock(rule), change, 60 * late, keeping), minutes


@pytest.mark.parametrize(("rule", "season", "late"), CHANGES)
def test_at_every_close_the_window_ends_with_the_true_bar_that_has_just_closed(
    rule: str, season: str, late: int
) -> None:
    server, minutes = world(rule, season, late, "in order")
    database = Database(server, minutes)
    live = reader(database)
    history = pd.DataFrame({str(name): true_bars(minutes, M15)[name] for name in COLUMNS})
    for close in range(server.change.utc - 3 * HOUR, server.change.utc + 7 * HOUR, M15):
        for moment in (close - 1, close + 1):
            database.moment = float(moment)
            window = live.closed("BTCUSD", WINDOW)
            stamps = epoch_seconds(window)
            expected = history[history["time"] <= stamps[-1]].iloc[-WINDOW:]
            assert stamps[-1] + M15 <= moment + 2
            assert stamps.tolist() == expected["time"].tolist()
            assert np.array_equal(window[COLUMNS[1:]], expected[COLUMNS[1:]])
        assert stamps[-1] + M15 == close


@pytest.mark.parametrize("keeping", ["in order", "merged", "first", "last"])
@pytest.mark.parametrize(("rule", "season", "late"), CHANGES)
def test_once_the_hour_is_over_the_window_is_what_an_import_of_that_server_gives(
    rule: str, season: str, late: int, keeping: Keeping
) -> None:
    server, minutes = world(rule, season, late, keeping)
    database = Database(server, minutes)
    going_on = reader(database)
    for close in range(server.change.utc - 3 * HOUR, server.change.utc + 7 * HOUR, M15):
        database.moment = float(close)
        windows = [going_on.closed("BTCUSD", WINDOW)]
        if close < server.change.utc + 2 * HOUR:
            continue
        windows.append(reader(database).closed("BTCUSD", WINDOW))
        history = imported(server, minutes[minutes["time"] < close]).iloc[-WINDOW:]
        for window in windows:
            assert epoch_seconds(window).tolist() == epoch_seconds(history).tolist()
            assert np.array_equal(window[COLUMNS[1:]], history[COLUMNS[1:]])


@pytest.mark.parametrize(
    ("season", "late", "keeping"), [("spring", 1, "in order"), ("autumn", 2, "in order"), ("autumn", 0, "merged")]
)
def test_for_three_weeks_after_a_change_live_features_equal_the_history_s(
    season: str, late: int, keeping: Keeping
) -> None:
    change = change_of("NewYork+7", 2024, season)  # type: ignore[arg-type]
    minutes = random_minutes(change.utc - 25 * DAY, change.utc + 22 * DAY, 5)
    server = LateServer(ServerClock("NewYork+7"), change, 60 * late, keeping)
    history = imported(server, minutes)
    features = add_all_features(history)
    database = Database(server, minutes)
    for after in (2 * HOUR, 8 * DAY, 21 * DAY):
        database.moment = float(change.utc + after)
        window = reader(database).closed("BTCUSD", live_window_bars(USUAL))
        assert len(window) == live_window_bars(USUAL)
        row = int(np.searchsorted(epoch_seconds(history), epoch_seconds(window)[-1]))
        live, known = add_all_features(window).iloc[-1], features.iloc[row]
        for name in features.columns.drop("time", errors="ignore"):
            assert math.isclose(live[name], known[name], rel_tol=1e-9, abs_tol=1e-12), name


def test_what_a_change_asked_for_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    server, minutes = world("NewYork+7", "spring", 1, "in order")
    database = Database(server, minutes)
    live = reader(database)
    for close in range(server.change.utc, server.change.utc + 7 * HOUR, M15):
        database.moment = float(close)
        live.closed("BTCUSD", WINDOW)
        if close % HOUR == 0:
            live.forget()
    said = [message for message in caplog.messages if "set late" in message]
    assert said[-1].endswith("1 folded into the bar of the same time") and len(said) <= 2


def test_a_server_of_another_clock_is_still_refused() -> None:
    server, minutes = world("NewYork+7", "spring", 0, "in order")
    database = Database(server, minutes)
    database.moment = float(server.change.utc + 2 * HOUR)
    other = LateServer(ServerClock("NewYork+7"), server.change, 30 * DAY)
    database.server = other
    with pytest.raises(BrokerError, match=r"contradict broker\.server_clock: .*skipped by the spring clock change"):
        reader(database).closed("BTCUSD", WINDOW)


@pytest.mark.parametrize(("rule", "season", "late"), [each for each in CHANGES if each[2] > 0])
def test_quotes_of_a_clock_set_late_do_not_end_the_bot(rule: str, season: str, late: int) -> None:
    server, _ = world(rule, season, late, "in order")
    time = ServerTime(rule)
    check = OffsetCheck(time)
    for moment in range(server.change.utc - 60, server.change.utc + 60 * late + 60, 5):
        stamp = int(server.stamps(np.array([moment]))[0])
        check.observe(1000 * stamp, float(moment))
        assert check.confirmed
        assert time.utc(stamp, float(moment)) == moment


def test_a_clock_not_set_for_an_hour_is_refused() -> None:
    server, _ = world("NewYork+7", "autumn", 90, "in order")
    check = OffsetCheck(ServerTime("NewYork+7"))
    with pytest.raises(BrokerError, match=r"\+1 h from what broker\.server_clock"):
        for moment in range(server.change.utc - 60, server.change.utc + HOUR, 5):
            check.observe(1000 * int(server.stamps(np.array([moment]))[0]), float(moment))


@pytest.mark.parametrize(("rule", "year"), [("NewYork+7", 2024), ("Europe/Athens", 2023), ("Australia/Sydney", 2025)])
def test_over_the_simulated_terminal_the_repeated_hour_is_what_an_import_of_its_bars_gives(
    rule: str, year: int
) -> None:
    """This is where ATR differed: the terminal keeps four bars for eight, and only imports refused to place them."""
    change = change_of(rule, year, "autumn")
    minutes = random_minutes(change.utc - 4 * HOUR, change.utc + 5 * HOUR, 9)
    true = true_bars(minutes, M15)
    rows = [tuple(bar) for bar in true[["open", "high", "low", "close"]].tolist()]
    play = stage(rows, start=int(true["time"][0]), rule=rule)
    while not play.server.at_end:
        play.go_on()
    shown = play.mt5.copy_rates_from_pos("BTCUSD", C.TIMEFRAME_M15, 1, 100)
    table = pd.DataFrame({name: shown[name] for name in ("open", "high", "low", "close", "spread")})
    table = table.assign(time=shown["time"].astype("datetime64[s]"), volume=shown["tick_volume"].astype(np.float64))
    history, remarks = bars_on_clock(table, ServerClock(rule), M15)
    live = play.broker.closed_bars(100)
    history = history[history["time"] <= live["time"].iloc[-1]]
    assert epoch_seconds(live).tolist() == epoch_seconds(history).tolist()
    assert np.array_equal(live[COLUMNS[1:]], history[COLUMNS[1:]])
    assert "4 bar(s) stamped" in remarks[0] and "taken for the later pass" in remarks[0]
    first, second = (true[(true["time"] >= at) & (true["time"] < at + HOUR)] for at in (change.utc - HOUR, change.utc))
    kept = live[(epoch_seconds(live) >= change.utc) & (epoch_seconds(live) < change.utc + HOUR)]
    assert kept["open"].tolist() == first["open"].tolist() and kept["close"].tolist() == second["close"].tolist()
    assert kept["high"].tolist() == np.maximum(first["high"], second["high"]).tolist()
    assert not ((epoch_seconds(live) >= change.utc - HOUR) & (epoch_seconds(live) < change.utc)).any()
