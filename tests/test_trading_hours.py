"""When the broker deals: weekly hours on the server's own clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.market.server_time import ServerClock
from novosky.market.trading_hours import WEEKDAYS, Weekday, open_at, parse_hours


def is_open(moment: str, hours: dict[Weekday, str], clock: str = "UTC") -> bool:
    times = np.array([int(pd.Timestamp(moment, tz="UTC").timestamp())])
    return bool(open_at(times, hours, ServerClock(clock))[0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("closed", (0, 0)),
        ("00:00-24:00", (0, 86_400)),
        ("00:00-22:00", (0, 79_200)),
        ("09:30-16:05", (34_200, 57_900)),
    ],
)
def test_hours_are_read_as_seconds_of_the_day(text: str, seconds: tuple[int, int]) -> None:
    assert parse_hours(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "open", "9:00-17:00", "09:00", "09:00 - 17:00", "09.00-17.00", "09:00-17:00\n", "Closed"]
)
def test_unreadable_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither 'closed' nor 'HH:MM-HH:MM'"):
        parse_hours(text)


@pytest.mark.parametrize("text", ["17:00-09:00", "09:00-09:00", "00:00-24:01", "25:00-26:00", "09:60-17:00"])
def test_hours_must_end_after_they_begin_within_one_day(text: str) -> None:
    with pytest.raises(ValueError, match="does not end after it begins"):
        parse_hours(text)


def test_without_a_table_the_market_always_deals() -> None:
    assert is_open("2024-06-08 03:00", {})


@pytest.mark.parametrize(
    ("moment", "deals"),
    [
        ("2024-06-06 23:59", True),  # Thursday is not in the table
        ("2024-06-07 00:59", False),  # Friday
        ("2024-06-07 01:00", True),
        ("2024-06-07 21:59", True),
        ("2024-06-07 22:00", False),
        ("2024-06-08 12:00", False),  # Saturday
        ("2024-06-09 00:00", True),
    ],
)
def test_the_opening_minute_belongs_to_the_hours_and_the_closing_minute_does_not(moment: str, deals: bool) -> None:
    assert is_open(moment, {"friday": "01:00-22:00", "saturday": "closed"}) is deals


@pytest.mark.parametrize(
    ("moment", "deals"),
    [
        # The server (New York + 7) closes on Friday at 22:00: 20:00 UTC in winter, 19:00 UTC in summer.
        ("2024-01-05 19:59", True),
        ("2024-01-05 20:00", False),
        ("2024-07-05 18:59", True),
        ("2024-07-05 19:00", False),
        # Between the American and the European switch the American rule holds.
        ("2024-03-15 18:59", True),
        ("2024-03-15 19:00", False),
        ("2024-11-01 19:00", False),
        ("2024-11-08 19:00", True),
        ("2024-11-08 20:00", False),
        # The server's Saturday begins on Friday 21:00 or 22:00 UTC.
        ("2024-07-06 20:59", False),
        ("2024-07-06 21:00", True),
        ("2024-01-06 21:00", False),
        ("2024-01-06 22:00", True),
    ],
)
def test_hours_follow_the_servers_clock_through_daylight_saving(moment: str, deals: bool) -> None:
    assert is_open(moment, {"friday": "00:00-22:00", "saturday": "closed"}, "NewYork+7") is deals


@given(
    seconds=st.integers(0, 2**31),
    day=st.sampled_from(WEEKDAYS),
    begin=st.integers(0, 1438),
    length=st.integers(1, 1440),
)
def test_on_any_day_the_hours_are_those_of_the_table(seconds: int, day: Weekday, begin: int, length: int) -> None:
    end = min(begin + length, 1440)
    hours: dict[Weekday, str] = {day: f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"}
    moment = pd.Timestamp(seconds, unit="s", tz="UTC")
    inside = begin <= moment.hour * 60 + moment.minute < end
    expected = inside if moment.day_name().lower() == day else True
    assert bool(open_at(np.array([seconds]), hours, ServerClock("UTC"))[0]) is expected
