"""Sessions follow their city's clock through daylight saving."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from novosky.market.sessions import ASIAN, LONDON, NEW_YORK, SESSIONS, session_mask


def mask_at(moment: str) -> int:
    """Return the mask of one UTC moment."""
    return int(session_mask(np.array([pd.Timestamp(moment, tz="UTC").timestamp()], dtype=np.int64))[0])


@pytest.mark.parametrize(
    ("moment", "bit", "is_open"),
    [
        # London: 08:00-16:30 local; GMT in winter, BST (UTC+1) from 2024-03-31 to 2024-10-27.
        ("2024-03-28 07:45", LONDON, False),
        ("2024-03-28 08:00", LONDON, True),
        ("2024-03-28 16:15", LONDON, True),
        ("2024-03-28 16:30", LONDON, False),
        ("2024-04-01 06:45", LONDON, False),
        ("2024-04-01 07:00", LONDON, True),
        ("2024-04-01 15:15", LONDON, True),
        ("2024-04-01 15:30", LONDON, False),
        ("2024-10-28 07:45", LONDON, False),
        ("2024-10-28 08:00", LONDON, True),
        # New York: 09:30-16:00 local; daylight saving from 2024-03-10 to 2024-11-03.
        ("2024-03-08 14:15", NEW_YORK, False),
        ("2024-03-08 14:30", NEW_YORK, True),
        ("2024-03-08 20:45", NEW_YORK, True),
        ("2024-03-08 21:00", NEW_YORK, False),
        ("2024-03-11 13:15", NEW_YORK, False),
        ("2024-03-11 13:30", NEW_YORK, True),
        ("2024-03-11 20:00", NEW_YORK, False),
        ("2024-11-04 14:30", NEW_YORK, True),
        ("2024-11-04 14:15", NEW_YORK, False),
        # Tokyo has no daylight saving: 00:00-09:00 UTC all year.
        ("2024-01-15 00:00", ASIAN, True),
        ("2024-07-15 00:00", ASIAN, True),
        ("2024-07-15 08:45", ASIAN, True),
        ("2024-07-15 09:00", ASIAN, False),
        ("2024-07-14 23:45", ASIAN, False),
    ],
)
def test_a_session_opens_and_closes_on_local_time(moment: str, bit: int, is_open: bool) -> None:
    assert bool(mask_at(moment) & bit) is is_open


def test_between_the_two_clock_changes_the_overlap_is_an_hour_longer() -> None:
    quarter_hours = pd.date_range("2024-03-20", periods=96, freq="15min", tz="UTC")
    in_both = session_mask(np.asarray(quarter_hours.as_unit("s").asi8)) & (LONDON | NEW_YORK) == LONDON | NEW_YORK
    assert in_both.sum() == 12


@pytest.mark.parametrize("day", ["2024-06-08", "2024-06-09"])
def test_no_session_is_open_at_the_weekend(day: str) -> None:
    moments = pd.date_range(day, periods=96, freq="15min", tz="UTC")
    assert not session_mask(np.asarray(moments.as_unit("s").asi8)).any()


def test_mask_equals_the_city_clock_asked_at_every_quarter_hour_of_three_years() -> None:
    moments = pd.date_range("2021-01-01", "2024-01-01", freq="15min", tz="UTC")
    expected = np.zeros(len(moments), dtype=np.uint8)
    for session in SESSIONS:
        local = moments.tz_convert(session.zone)
        minute = local.hour * 60 + local.minute
        opens = session.opens.hour * 60 + session.opens.minute
        closes = session.closes.hour * 60 + session.closes.minute
        expected += np.where((local.day_of_week < 5) & (minute >= opens) & (minute < closes), session.bit, 0).astype(
            np.uint8
        )
    np.testing.assert_array_equal(session_mask(np.asarray(moments.as_unit("s").asi8)), expected)


def test_moments_may_come_in_any_order() -> None:
    moments = np.asarray(pd.date_range("2024-03-29", periods=400, freq="15min", tz="UTC").as_unit("s").asi8)
    shuffled = np.random.default_rng(1).permutation(len(moments))
    np.testing.assert_array_equal(session_mask(moments[shuffled]), session_mask(moments)[shuffled])


def test_no_moments_give_an_empty_mask() -> None:
    assert session_mask(np.empty(0, dtype=np.int64)).shape == (0,)
