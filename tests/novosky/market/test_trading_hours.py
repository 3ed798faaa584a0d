"""When the broker deals: weekly hours on the server's own clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.market.server_time import ServerClock
from novosky.market.trading_hours import WEEKDAYS, Weekday, check_week, open_at, parse_hours


def is_open(moment: str, hours: dict[Weekday, str], clock: str = "UTC") -> bool:
    times = np.array([int(pd.Timestamp(moment, tz="UTC").timestamp())])
    return bool(open_at(times, hours, ServerClock(clock))[0])


DAY = 86_400


@pytest.mark.parametrize(
    ("text", "sessions"),
    [
        ("closed", []),
        ("00:00-24:00", [(0, 86_400)]),
        ("00:00-22:00", [(0, 79_200)]),
        ("09:30-16:05", [(34_200, 57_900)]),
        ("00:00-12:00, 13:00-22:00", [(0, 43_200), (46_800, 79_200)]),
        ("13:00-22:00,00:00-12:00", [(0, 43_200), (46_800, 79_200)]),
        ("00:00-12:00, 12:00-22:00", [(0, 43_200), (43_200, 79_200)]),
        ("01:00-02:00, 03:00-04:00, 05:00-06:00", [(3600, 7200), (10_800, 14_400), (18_000, 21_600)]),
        ("22:00-06:00", [(79_200, DAY + 21_600)]),
        ("22:00-00:00", [(79_200, DAY)]),
        ("08:00-12:00, 22:00-06:00", [(28_800, 43_200), (79_200, DAY + 21_600)]),
        ("23:59-23:58", [(86_340, DAY + 86_280)]),
    ],
)
def test_hours_are_read_as_sessions_in_seconds_of_the_day(text: str, sessions: list[tuple[int, int]]) -> None:
    assert list(parse_hours(text)) == sessions


@pytest.mark.parametrize(
    "text",
    [
        "",
        "open",
        "9:00-17:00",
        "09:00",
        "09:00 - 17:00",
        "09.00-17.00",
        "09:00-17:00\n",
        "Closed",
        "00:00-12:00,",
        "00:00-12:00; 13:00-22:00",
        "closed, 13:00-22:00",
        "00:00-12:00 13:00-22:00",
    ],
)
def test_unreadable_hours_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither 'closed' nor 'HH:MM-HH:MM'.*'00:00-12:00, 13:00-22:00'"):
        parse_hours(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("09:00-09:00", "09:00-09:00 is empty; write 00:00-24:00"),
        ("00:00-24:01", "holds no time of day"),
        ("25:00-26:00", "holds no time of day"),
        ("24:00-06:00", "holds no time of day"),
        ("09:60-17:00", "holds no time of day"),
        ("00:00-12:00, 11:00-22:00", "00:00-12:00 and 11:00-22:00 overlap"),
        ("08:00-09:00, 08:00-09:00", "08:00-09:00 and 08:00-09:00 overlap"),
        ("20:00-06:00, 22:00-23:00", "overlap"),
        ("\u0660\u0660:00-12:00", "neither 'closed' nor"),
    ],
)
def test_nonsense_is_refused_saying_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hours(text)


def test_a_session_over_midnight_must_not_meet_the_next_day_s_own() -> None:
    with pytest.raises(ValueError, match=r"monday '22:00-06:00' goes on until 06:00 of tuesday.*'05:00-12:00'"):
        check_week({"monday": "22:00-06:00", "tuesday": "05:00-12:00"})
    with pytest.raises(ValueError, match=r"sunday .* until 06:00 of monday"):
        check_week({"sunday": "22:00-06:00", "monday": "00:00-12:00"})
    check_week({"monday": "22:00-06:00", "tuesday": "06:00-12:00"})
    check_week({"friday": "22:00-06:00", "saturday": "closed"})
    check_week({"friday": "22:00-06:00"})


@pytest.mark.parametrize(
    ("moment", "deals"),
    [
        ("2024-06-07 12:59", False),  # Friday's pause
        ("2024-06-07 11:59", True),
        ("2024-06-07 12:00", False),
        ("2024-06-07 13:00", True),
        ("2024-06-07 21:59", False),
        ("2024-06-07 22:00", True),  # Friday's last session goes on into Saturday, which is closed
        ("2024-06-08 05:59", True),
        ("2024-06-08 06:00", False),
        ("2024-06-08 23:59", False),
        ("2024-06-09 21:59", False),  # Sunday
        ("2024-06-09 22:00", True),
        ("2024-06-10 05:59", True),  # Monday, by Sunday's session
        ("2024-06-10 06:00", False),
        ("2024-06-10 08:00", True),
        ("2024-06-10 16:59", True),
        ("2024-06-10 17:00", False),
        ("2024-06-11 00:00", True),  # Tuesday is left out
    ],
)
def test_several_sessions_pauses_and_sessions_over_midnight(moment: str, deals: bool) -> None:
    week: dict[Weekday, str] = {
        "friday": "00:00-12:00, 13:00-21:00, 22:00-06:00",
        "saturday": "closed",
        "sunday": "22:00-06:00",
        "monday": "08:00-17:00",
    }
    assert is_open(moment, week) is deals


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


@given(
    minute=st.integers(0, 7 * 1440 - 1),
    week=st.dictionaries(
        st.sampled_from(WEEKDAYS),
        st.lists(st.tuples(st.integers(0, 1439), st.integers(0, 1440)), max_size=3),
        max_size=7,
    ),
)
def test_every_minute_of_a_week_is_open_when_a_session_that_began_today_or_yesterday_holds_it(
    minute: int, week: dict[Weekday, list[tuple[int, int]]]
) -> None:
    written = {
        day: ", ".join(f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in sessions) or "closed"
        for day, sessions in week.items()
    }
    try:
        check_week(written)
    except ValueError:
        return
    index, today = divmod(minute, 1440)

    def holds(day: Weekday, at: int) -> bool:
        if day not in week:
            return at < 1440
        return any(a <= at < (b if b > a else b + 1440) for a, b in week[day])

    expected = holds(WEEKDAYS[index], today) or holds(WEEKDAYS[index - 1], today + 1440)
    monday = 4 * DAY
    assert bool(open_at(np.array([monday + 60 * minute]), written, ServerClock("UTC"))[0]) is expected
