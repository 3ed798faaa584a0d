"""Server clocks: rules of time zones, exact across every daylight-saving switch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.errors import DataError, SettingsError
from novosky.market.server_time import ServerClock


def epoch(text: str) -> int:
    return int(pd.Timestamp(text, tz="UTC").timestamp())


def wall(*texts: str) -> pd.Series[pd.Timestamp]:
    return pd.Series(pd.to_datetime(list(texts)))


@pytest.mark.parametrize(
    ("rule", "server", "utc"),
    [
        ("UTC", "2024-07-01 12:00", "2024-07-01 12:00"),
        ("NewYork+7", "2024-01-02 00:00", "2024-01-01 22:00"),
        ("NewYork+7", "2024-07-02 00:00", "2024-07-01 21:00"),
        # The United States switch on 2024-03-10, Europe three weeks later.
        ("NewYork+7", "2024-03-10 08:59", "2024-03-10 06:59"),
        ("NewYork+7", "2024-03-10 10:00", "2024-03-10 07:00"),
        ("NewYork+7", "2024-03-20 12:00", "2024-03-20 09:00"),
        ("Europe/Athens", "2024-03-20 12:00", "2024-03-20 10:00"),
        ("Europe/Athens", "2024-03-31 02:59", "2024-03-31 00:59"),
        ("Europe/Athens", "2024-03-31 04:00", "2024-03-31 01:00"),
        # Back again: Europe on 2024-10-27, the United States on 2024-11-03.
        ("Europe/Athens", "2024-10-27 02:59", "2024-10-26 23:59"),
        ("Europe/Athens", "2024-10-27 04:00", "2024-10-27 02:00"),
        ("NewYork+7", "2024-10-30 12:00", "2024-10-30 09:00"),
        ("NewYork+7", "2024-11-03 07:59", "2024-11-03 04:59"),
        ("NewYork+7", "2024-11-03 09:00", "2024-11-03 07:00"),
        ("NewYork-1", "2024-01-02 00:00", "2024-01-02 06:00"),
    ],
)
def test_wall_time_and_utc_convert_both_ways(rule: str, server: str, utc: str) -> None:
    clock = ServerClock(rule)
    assert clock.to_utc(wall(server)).iloc[0] == pd.Timestamp(utc, tz="UTC")
    assert clock.from_utc(pd.Series([pd.Timestamp(utc, tz="UTC")])).iloc[0] == pd.Timestamp(server)


def test_epoch_seconds_convert_like_timestamps() -> None:
    clock = ServerClock("NewYork+7")
    faces = np.array([epoch("2024-01-02 00:00"), epoch("2024-07-02 00:00")])
    assert clock.to_utc(faces).tolist() == [epoch("2024-01-01 22:00"), epoch("2024-07-01 21:00")]
    assert clock.from_utc(clock.to_utc(faces)).tolist() == faces.tolist()


@given(seconds=st.lists(st.integers(epoch("2007-01-01"), epoch("2037-01-01")), min_size=1, max_size=50))
def test_every_utc_instant_outside_the_repeated_hour_survives_the_round_trip(seconds: list[int]) -> None:
    clock = ServerClock("NewYork+7")
    utc = np.array(seconds, dtype=np.int64)
    face = clock.from_utc(utc)
    # Inside the repeated hour one of the two answers is the instant; elsewhere both are.
    earlier, later = clock.to_utc(face, repeated="earlier"), clock.to_utc(face, repeated="later")
    assert np.all((earlier == utc) | (later == utc))
    assert set((later - earlier).tolist()) <= {0, 3600}


def test_the_index_and_name_of_a_series_are_kept() -> None:
    stamps = pd.Series(pd.to_datetime(["2024-01-02"]), index=[17], name="time")
    utc = ServerClock("NewYork+7").to_utc(stamps)
    assert (utc.index.tolist(), utc.name, str(utc.dtype)) == ([17], "time", "datetime64[ns, UTC]")


def test_a_skipped_hour_is_an_error_naming_the_row() -> None:
    with pytest.raises(DataError, match=r"row 1 \(2024-03-10 09:15:00\).*skipped"):
        ServerClock("NewYork+7").to_utc(wall("2024-03-10 08:45", "2024-03-10 09:15"))


def test_a_repeated_hour_is_an_error_naming_the_row() -> None:
    with pytest.raises(DataError, match=r"row 2 \(2024-11-03 08:30:00\).*occurred twice.*2 such row"):
        ServerClock("NewYork+7").to_utc(
            wall("2024-11-03 07:30", "2024-11-03 07:45", "2024-11-03 08:30", "2024-11-03 08:45")
        )


@pytest.mark.parametrize(("repeated", "utc"), [("earlier", "2024-11-03 05:30"), ("later", "2024-11-03 06:30")])
def test_the_owner_of_the_data_can_say_which_pass_a_repeated_hour_is(repeated: str, utc: str) -> None:
    stamps = wall("2024-11-03 08:30")
    converted = ServerClock("NewYork+7").to_utc(stamps, repeated=repeated)  # type: ignore[arg-type]
    assert converted.iloc[0] == pd.Timestamp(utc, tz="UTC")


def test_choosing_a_pass_does_not_excuse_a_skipped_hour() -> None:
    with pytest.raises(DataError, match="skipped"):
        ServerClock("NewYork+7").to_utc(wall("2024-03-10 09:15"), repeated="earlier")


def test_a_missing_time_is_an_error_naming_the_row() -> None:
    with pytest.raises(DataError, match="row 1: the time is missing"):
        ServerClock("NewYork+7").to_utc(pd.Series([pd.Timestamp("2024-01-02"), pd.NaT]))


def test_times_of_the_wrong_kind_are_refused() -> None:
    aware = pd.Series([pd.Timestamp("2024-01-02", tz="UTC")])
    with pytest.raises(DataError, match="naive"):
        ServerClock("UTC").to_utc(aware)
    with pytest.raises(DataError, match="UTC timestamps"):
        ServerClock("UTC").from_utc(aware.dt.tz_localize(None))


@pytest.mark.parametrize("rule", ["UTC+2", "NewYork", "NewYork+24", "NewYork+7 ", "", "Mars/Olympus", "../etc/passwd"])
def test_an_unknown_rule_is_a_settings_error_that_names_it(rule: str) -> None:
    with pytest.raises(SettingsError, match="not a known rule"):
        ServerClock(rule)


def test_clocks_with_the_same_rule_are_equal() -> None:
    assert ServerClock("NewYork+7") == ServerClock("NewYork+7") != ServerClock("UTC")


def test_midnights_follow_the_switch_and_name_the_day_that_ended() -> None:
    # Friday 2024-03-08 to Tuesday 2024-03-12: the switch is on Sunday the 10th.
    nights = ServerClock("NewYork+7").midnights(epoch("2024-03-08 00:00"), epoch("2024-03-11 21:00"))
    assert nights.utc.tolist() == [
        epoch("2024-03-08 22:00"),
        epoch("2024-03-09 22:00"),
        epoch("2024-03-10 21:00"),
        epoch("2024-03-11 21:00"),
    ]
    assert nights.weekday.tolist() == [4, 5, 6, 0]


def test_midnights_exclude_the_start_and_include_the_end() -> None:
    clock = ServerClock("UTC")
    day = 86_400
    assert clock.midnights(0, 3 * day).utc.tolist() == [day, 2 * day, 3 * day]
    assert clock.midnights(day, day + 1).utc.tolist() == []
    assert clock.midnights(day - 1, day).utc.tolist() == [day]
    assert clock.midnights(5 * day, 5 * day).utc.tolist() == []
    assert clock.midnights(5 * day, day).utc.tolist() == []


def test_adjoining_windows_count_every_midnight_once() -> None:
    clock = ServerClock("NewYork+7")
    start, end = epoch("2020-01-01"), epoch("2024-01-01")
    edges = np.arange(start, end + 1, 900)
    windows = zip(edges[:-97:97], edges[97::97], strict=True)
    sample = np.concatenate([clock.midnights(int(first), int(last)).utc for first, last in windows])
    whole = clock.midnights(start, int(edges[-1])).utc
    assert sample.tolist() == whole[whole <= sample[-1]].tolist()
    assert len(whole) == 4 * 365 + 1


def test_a_skipped_midnight_is_the_first_instant_of_the_day() -> None:
    # Beirut's clock went from 2022-03-26 24:00 straight to 01:00 on the 27th.
    nights = ServerClock("Asia/Beirut").midnights(epoch("2022-03-26 12:00"), epoch("2022-03-27 12:00"))
    assert nights.utc.tolist() == [epoch("2022-03-26 22:00")]
    assert nights.weekday.tolist() == [5]


def test_a_repeated_midnight_is_counted_once_at_its_first_pass() -> None:
    # The Azores' clock went from 2024-10-27 01:00 back to 00:00.
    nights = ServerClock("Atlantic/Azores").midnights(epoch("2024-10-26 12:00"), epoch("2024-10-27 12:00"))
    assert nights.utc.tolist() == [epoch("2024-10-27 00:00")]
    assert nights.weekday.tolist() == [5]
