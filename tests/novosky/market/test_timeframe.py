"""Time frames: the grid on which bars open, whatever their length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.market.timeframe import TIMEFRAMES, TRADED, USUAL, Timeframe, timeframe, timeframe_name

FRAMES = st.sampled_from(list(TIMEFRAMES.values()))
MOMENTS = st.integers(0, 4_102_444_800)


@given(FRAMES, MOMENTS)
def test_a_moment_lies_in_the_bar_it_is_floored_to(frame: Timeframe, moment: int) -> None:
    opened = frame.floor(moment)
    assert opened <= moment < frame.close(opened)
    assert frame.is_open(opened)
    assert frame.floor(opened) == opened
    assert frame.floor(frame.close(opened)) == frame.close(opened), "the close of a bar opens the next"


@given(FRAMES, MOMENTS)
def test_every_longer_bar_is_made_of_whole_bars_of_the_shorter(frame: Timeframe, moment: int) -> None:
    for longer in TIMEFRAMES.values():
        if longer.seconds >= frame.seconds:
            assert frame.is_open(longer.floor(moment))


@pytest.mark.parametrize("day", ["2024-03-10", "2024-03-31", "2024-10-27", "2024-11-03", "2024-02-29"])
@pytest.mark.parametrize("name", list(TIMEFRAMES))
def test_a_day_of_a_change_of_the_clock_has_as_many_bars_as_any(day: str, name: str) -> None:
    import pandas as pd

    frame = TIMEFRAMES[name]
    midnight = int(pd.Timestamp(day, tz="UTC").timestamp())
    opens = {frame.floor(midnight + minute * 60) for minute in range(24 * 60)}
    assert len(opens) == frame.bars_per_day
    assert min(opens) == midnight


def test_a_fraction_of_a_second_before_the_close_is_still_this_bar() -> None:
    frame = TIMEFRAMES["H1"]
    assert frame.floor(frame.close(0) - 0.001) == 0


def test_names_are_metatrader_s_and_unknown_ones_are_refused() -> None:
    assert [frame.name for frame in TIMEFRAMES.values()] == ["M1", "M5", "M15", "M30", "H1", "H4", "D1"]
    assert all(timeframe(name) is frame and frame.name == name for name, frame in TIMEFRAMES.items())
    assert all(timeframe_name(frame.seconds) == name for name, frame in TIMEFRAMES.items())
    assert timeframe_name(7) == "7 s"
    with pytest.raises(ValueError, match="'m15' is no time frame; choose one of M1, M5"):
        timeframe("m15")
    assert USUAL.name in TRADED
