"""A server's clock set late or early: the true bars, or the fold that the rule states, and never a wrong rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novosky.errors import DataError
from novosky.market.clock_changes import Pass, bars_on_clock, place_stamps
from novosky.market.server_time import ServerClock
from tests.hosts.late_clock import LateServer, Minutes, change_of, random_minutes, true_bars

RULES = ["NewYork+7", "NewYork+2", "Europe/Athens", "Europe/London", "Australia/Sydney", "Australia/Lord_Howe"]
FRAMES = [60, 300, 900, 1800, 3600]
HOUR = 3_600
M15 = 900


def frame(rows: Minutes) -> pd.DataFrame:
    """Return rows as an import parses them: naive wall-clock times."""
    bars = pd.DataFrame({str(name): rows[name] for name in rows.dtype.names or ()})
    bars["time"] = rows["time"].astype("datetime64[s]")
    return bars


def read(rows: Minutes, rule: str, seconds: int, repeated: Pass = "later") -> tuple[Minutes, tuple[str, ...]]:
    """Return the UTC bars that come of a server's rows."""
    bars, remarks = bars_on_clock(frame(rows), ServerClock(rule), seconds, repeated)
    found = np.zeros(len(bars), dtype=rows.dtype)
    for name in rows.dtype.names or ():
        found[name] = bars[name]
    found["time"] = bars["time"].dt.as_unit("s").astype("int64")
    return found, remarks


def between(rows: Minutes, begin: int, end: int) -> Minutes:
    return rows[(rows["time"] >= begin) & (rows["time"] < end)]


def equal(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    return found.tolist() == expected.tolist()


@settings(max_examples=80, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    year=st.integers(2015, 2030),
    late=st.one_of(st.integers(-10, 10), st.just(0)),
    seconds=st.sampled_from(FRAMES[:4]),
    seed=st.integers(0, 99),
)
def test_a_spring_change_made_late_or_early_leaves_the_true_bars(
    rule: str, year: int, late: int, seconds: int, seed: int
) -> None:
    change = change_of(rule, year, "spring")
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, seed)
    rows = LateServer(ServerClock(rule), change, 60 * late).bars(minutes, seconds)
    if change.slack < seconds and late < 0:
        return  # A bar longer than half the change begins in its first half, whatever is in it.
    found, remarks = read(rows, rule, seconds)
    assert equal(found, true_bars(minutes, seconds))
    assert len(remarks) == (late != 0)
    assert all(("late" if late > 0 else "early") in remark for remark in remarks)


@settings(max_examples=60, deadline=None)
@given(rule=st.sampled_from(RULES[:5]), year=st.integers(2015, 2030), late=st.integers(0, 10), seed=st.integers(0, 99))
def test_hours_too_where_the_clock_is_set_late(rule: str, year: int, late: int, seed: int) -> None:
    change = change_of(rule, year, "spring")
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, seed)
    rows = LateServer(ServerClock(rule), change, 60 * late).bars(minutes, HOUR)
    assert equal(read(rows, rule, HOUR)[0], true_bars(minutes, HOUR))


@settings(max_examples=80, deadline=None)
@given(
    rule=st.sampled_from(RULES),
    year=st.integers(2015, 2030),
    late=st.integers(-10, 10),
    seconds=st.sampled_from(FRAMES),
    seed=st.integers(0, 99),
)
def test_an_autumn_hour_that_is_kept_twice_leaves_the_true_bars(
    rule: str, year: int, late: int, seconds: int, seed: int
) -> None:
    change = change_of(rule, year, "autumn")
    if seconds > 2 * change.slack or (seconds == 2 * change.slack and late == 0):
        return  # The passes follow one another in the same bar: it is kept once.
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, seed)
    rows = LateServer(ServerClock(rule), change, 60 * late).bars(minutes, seconds)
    found, remarks = read(rows, rule, seconds)
    assert equal(found, true_bars(minutes, seconds))
    assert any("both passes: told apart by their order" in remark for remark in remarks)


@pytest.mark.parametrize("seconds", FRAMES[:4])
@pytest.mark.parametrize("rule", RULES[:5])
def test_an_autumn_hour_kept_twice_but_sorted_by_its_stamps_leaves_the_true_bars(rule: str, seconds: int) -> None:
    change = change_of(rule, 2024, "autumn")
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, 3)
    rows = LateServer(ServerClock(rule), change).bars(minutes, seconds)
    rows = rows[np.argsort(rows["time"], kind="stable")]
    assert equal(read(rows, rule, seconds)[0], true_bars(minutes, seconds))


@settings(max_examples=60, deadline=None)
@given(
    rule=st.sampled_from(RULES[:5]),
    year=st.integers(2015, 2030),
    late=st.integers(0, 10),
    seconds=st.sampled_from(FRAMES[:4]),
    keeping=st.sampled_from(["merged", "first", "last"]),
    repeated=st.sampled_from(["earlier", "later"]),
)
def test_an_autumn_hour_kept_once_is_one_pass_and_all_else_is_true(
    rule: str, year: int, late: int, seconds: int, keeping: Any, repeated: Pass
) -> None:
    change = change_of(rule, year, "autumn")
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, 7)
    rows = LateServer(ServerClock(rule), change, 60 * late, keeping).bars(minutes, seconds)
    found, remarks = read(rows, rule, seconds, repeated)
    true = true_bars(minutes, seconds)
    first, last = int(true["time"][0]), int(true["time"][-1]) + 1
    # One bar after the hour holds, besides its own, what the late clock stamped there.
    end = change.utc + HOUR + (seconds * -(-60 * late // seconds))
    assert equal(between(found, first, change.utc - HOUR), between(true, first, change.utc - HOUR))
    assert equal(between(found, end, last), between(true, end, last))
    kept = change.utc - HOUR if repeated == "earlier" else change.utc
    inside = between(rows, change.first_face, change.last_face)
    passed = between(found, kept, kept + HOUR)
    inside["time"] += kept - change.first_face
    assert equal(passed, inside)
    assert len(between(found, change.utc - HOUR, change.utc + HOUR)) == len(inside)
    assert [f"once: taken for the {repeated} pass" in remark for remark in remarks] == [True]


@settings(max_examples=60, deadline=None)
@given(
    written=st.sampled_from(["UTC", "Etc/GMT-2", "Etc/GMT-3", "Europe/Athens", "NewYork+7", "Europe/London"]),
    read_by=st.sampled_from(RULES[:5]),
    year=st.integers(2015, 2030),
    seconds=st.sampled_from(FRAMES[:4]),
)
def test_bars_of_another_clock_round_the_clock_are_refused(written: str, read_by: str, year: int, seconds: int) -> None:
    change = change_of(read_by, year, "spring")
    minutes = random_minutes(change.utc - 30 * HOUR, change.utc + 30 * HOUR, 1)
    rows = true_bars(minutes, seconds)
    rows["time"] = ServerClock(written).from_utc(rows["time"])
    local = change.utc + ServerClock(written).offset(change.utc - 1)
    changed = ServerClock(written).changes(change.utc - 40 * HOUR, change.utc + 40 * HOUR)
    if changed:
        return  # The two clocks change in the same night; a difference of hours shows elsewhere.
    assert rows["time"][0] < change.first_face <= local + 12 * HOUR
    with pytest.raises(DataError, match=r"row \d+ .*skipped by the spring clock change, so the rule does not fit"):
        read(rows, read_by, seconds)


def test_hours_of_another_clock_are_told_by_their_volume() -> None:
    change = change_of("NewYork+7", 2024, "spring")
    rows = true_bars(random_minutes(change.utc - 30 * HOUR, change.utc + 30 * HOUR, 1), HOUR)
    rows["time"] += 2 * HOUR
    with pytest.raises(DataError, match="skipped by the spring clock change"):
        read(rows, "NewYork+7", HOUR)


def test_many_years_are_said_in_one_line_with_first_stamp_and_count() -> None:
    rows = []
    for year in range(2015, 2025):
        change = change_of("NewYork+7", year, "spring")
        minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, year)
        rows.append(LateServer(ServerClock("NewYork+7"), change, 60).bars(minutes, M15))
    _, remarks = read(np.concatenate(rows), "NewYork+7", M15)
    assert remarks == (
        "server clock NewYork+7: 10 bar(s) stamped (first 2015-03-08 09:00:00) by a clock set late: converted with "
        "the offset before the change, 10 folded into the bar of the same time",
    )


def test_doubled_lines_near_a_change_stay_an_error_of_the_file() -> None:
    from novosky.market.bars import validate_bars

    change = change_of("NewYork+7", 2024, "spring")
    minutes = random_minutes(change.utc - 6 * HOUR, change.utc + 6 * HOUR, 1)
    rows = LateServer(ServerClock("NewYork+7"), change, 60).bars(minutes, M15)
    doubled = np.concatenate((rows[:4], rows[3:]))
    bars, _ = bars_on_clock(frame(doubled), ServerClock("NewYork+7"), M15)
    with pytest.raises(DataError, match="duplicate time"):
        validate_bars(bars, source="file")


@given(moment=st.integers(1_420_070_400, 1_924_905_600), rule=st.sampled_from([*RULES, "UTC"]))
@settings(max_examples=80, deadline=None)
def test_no_stamp_of_the_present_is_placed_in_the_future(moment: int, rule: str) -> None:
    clock = ServerClock(rule)
    stamp = clock.from_utc(np.array([moment]))
    assert place_stamps(clock, stamp, newest=moment + 5).utc.tolist() == [moment]
