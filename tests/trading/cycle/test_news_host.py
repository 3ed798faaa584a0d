"""The calendar's host: what a response may hold, how politely it is asked, and what an outage leaves."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from novosky.data.calendar.download import CACHE_NAME
from novosky.data.calendar.forex_factory import parse_week
from novosky.errors import DataError
from novosky.market.news import load_calendar
from novosky.settings.runtime import News
from tests.contracts.news import NOW, RELEASES, at
from tests.helpers.news_desk import DAY, HOUR, NewsDesk, known, week_rows
from tests.hosts.calendar_host import CalendarHost, Row, calendar_host, dripping, endless, reply, row, truncated
from trading.cycle.news import HISTORY_NAME, LiveNews


@pytest.fixture
def host() -> Iterator[CalendarHost]:
    with calendar_host() as host:
        host.rows = week_rows()
        yield host


@pytest.fixture
def news_desk(host: CalendarHost, tmp_path: Path) -> NewsDesk:
    return NewsDesk(host, tmp_path / "news")


# What a response may hold.


def test_times_are_read_with_their_offset_on_both_sides_of_the_clock_change() -> None:
    week = parse_week(json.dumps([row("2024-03-08T08:30:00-05:00"), row("2024-03-09T08:30:00-05:00")]).encode())
    assert [release.time for release in week.releases] == [at("2024-03-08 13:30"), at("2024-03-09 13:30")]
    week = parse_week(json.dumps([row("2024-03-10T04:30:00-04:00"), row("2024-03-12T08:30:00-04:00")]).encode())
    assert [release.time for release in week.releases] == [at("2024-03-10 08:30"), at("2024-03-12 12:30")]
    assert (week.start, week.end) == (at("2024-03-10 05:00"), at("2024-03-17 04:00")), "an hour short"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"date": "2024-05-08T08:30:00"}, "without an offset"),
        ({"date": "Tentative"}, "cannot be read"),
        ({"date": "1924-05-08T08:30:00-04:00"}, "century"),
        ({"impact": "Huge"}, "unknown impact"),
        ({"country": "dollar"}, "no currency"),
        ({"title": "  "}, "title"),
        ({"title": None}, "title"),
        ({"forecast": 3.5}, "forecast"),
    ],
)
def test_a_broken_row_is_named_and_the_others_are_kept(change: Row, said: str) -> None:
    good = [row("2024-05-06T10:00:00-04:00") for _ in range(9)]
    week = parse_week(json.dumps([*good[:3], row("2024-05-08T08:30:00-04:00") | change, *good[3:]]).encode())
    assert len(week.releases) == 9
    assert len(week.problems) == 1
    assert week.problems[0].startswith("row 4: ")
    assert said in week.problems[0]


def test_numbers_may_be_absent_and_titles_are_unescaped() -> None:
    plain = row("2024-05-06T10:00:00-04:00", title="S&amp;P Global PMI") | {"forecast": None}
    del plain["previous"]
    (release,) = parse_week(json.dumps([plain]).encode()).releases
    assert (release.event, release.forecast, release.previous) == ("S&P Global PMI", "", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><title>Request Denied</title>",
        b"{}",
        b"[]",
        b"null",
        b"[1, 2, 3]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        json.dumps([row("never")]).encode(),
        json.dumps([row("2024-05-06T10:00:00-04:00"), row("never"), row("soon")]).encode(),
        b'[{"title": "CPI", "country": "USD", "date": "2024-05-06T10:00:00-04:00", "impact": "High"}',
    ],
)
def test_nonsense_is_no_week(body: bytes) -> None:
    with pytest.raises(DataError):
        parse_week(body)


ODD_ROWS: dict[str, str] = {
    "of another week": json.dumps(row("2024-05-14T10:00:00-04:00")),
    "of another century": json.dumps(row("0001-01-01T00:00:00-04:00")),
    "of year 9999": json.dumps(row("9999-12-31T23:59:59-04:00")),
    "never": json.dumps(row("never")),
    "no object": "7",
    "null": "null",
    "a list": "[1]",
    "not a number": '{"title": "x", "forecast": NaN}',
    "an endless number": '{"title": "x", "forecast": ' + "9" * 5000 + "}",
    "a doubled key": '{"title": "x", "title": "y"}',
    "deep": '{"title": ' + "[" * 500 + "]" * 500 + "}",
    "no title": json.dumps(row("2024-05-08T10:00:00-04:00", title="\x00\x01")),
}


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("odd", ODD_ROWS)
def test_one_odd_row_never_refuses_a_week(odd: str, count: int) -> None:
    good = [json.dumps(row(f"2024-05-06T10:{minute:02d}:00-04:00")) for minute in range(count)]
    week = parse_week(f"[{', '.join([good[0], ODD_ROWS[odd], *good[1:]])}]".encode())
    assert len(week.releases) == count
    assert len(week.problems) <= 1
    assert (week.start, week.end) == (at("2024-05-05 04:00"), at("2024-05-12 04:00"))


def test_words_of_the_host_are_made_whole() -> None:
    """A lone surrogate in a title ended the bot at every start of that week."""
    titles = ["CPI \ud83d y/y", "CPI\x00y/y", "CPI\ny/y\u202e", "&#xD800; CPI", "x" * 10_000]
    week = parse_week(json.dumps([row("2024-05-06T10:00:00-04:00", title=title) for title in titles]).encode())
    assert len(week.releases) == 5
    for release in week.releases:
        release.event.encode()
        assert release.event.isprintable() and len(release.event) <= 300


def test_a_title_of_half_a_character_ends_no_bot(news_desk: NewsDesk, host: CalendarHost) -> None:
    host.rows = [row("2024-05-08T08:30:00-04:00", title="CPI \ud800")]
    for _ in range(2):
        source = news_desk.open()
        source.refresh(NOW)
        assert known(source) == [at("2024-05-08 12:30")]
        assert [release.event for release in source.releases()] == ["CPI \ufffd"]


ALL_DAY = {
    "the last second of an hour": row("2024-05-08T18:59:59-04:00", title="G7 Meetings"),
    "midnight without numbers": row("2024-05-08T00:00:00-04:00", title="OPEC Meetings")
    | {"forecast": "", "previous": ""},
    "a date alone": row("2024-05-08", title="OPEC Meetings"),
    "in words": row("2024-05-08T00:00:00-04:00", title="Holiday") | {"time": "All Day"},
    "in words for a date": row("All Day", title="Holiday"),
}


@pytest.mark.parametrize("kind", ALL_DAY)
def test_an_all_day_row_is_no_release_live_and_in_history_alike(
    kind: str, news_desk: NewsDesk, host: CalendarHost
) -> None:
    host.rows = [row("2024-05-07T10:00:00-04:00"), ALL_DAY[kind]]
    source = news_desk.open()
    source.refresh(NOW)
    assert known(source) == [at("2024-05-07 14:00")]
    assert len(source.releases()) == 1
    assert source.state(NOW).detail == "", "it is no problem either"
    history = load_calendar(news_desk.folder / HISTORY_NAME)
    assert history.event_times.tolist() == known(source)
    assert known(news_desk.open()) == known(source), "also after a restart"


def test_a_release_at_midnight_with_its_numbers_counts(news_desk: NewsDesk, host: CalendarHost) -> None:
    host.rows = [row("2024-05-08T00:00:00-04:00", title="Leading Indicators")]
    source = news_desk.open()
    source.refresh(NOW)
    assert known(source) == [at("2024-05-08 04:00")]
    assert load_calendar(news_desk.folder / HISTORY_NAME).event_times.tolist() == known(source)


# Politeness.


def test_the_host_is_asked_once_an_hour_and_sends_the_week_only_when_it_changed(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    for minutes in range(0, 121, 10):
        source.refresh(NOW + minutes * 60)
    first, second, third = news_desk.host.requests
    assert "if-none-match" not in first
    assert second["if-none-match"] == third["if-none-match"]
    assert second["if-modified-since"] == "Sun, 05 May 2024 04:00:00 GMT"
    assert source.state(NOW + 2 * HOUR).age == 0, "a 304 confirms what is known"


def test_a_restarted_bot_asks_no_more_often_than_one_that_runs(news_desk: NewsDesk) -> None:
    for restart in range(20):
        source = news_desk.open()
        source.refresh(NOW + restart * 60)
        assert len(known(source)) == len(RELEASES)
    assert len(news_desk.host.requests) == 1


def test_failures_are_repeated_less_and_less_often(news_desk: NewsDesk) -> None:
    news_desk.host.misbehave = reply(503, b"maintenance")
    asked = []
    source = news_desk.open()
    for minute in range(24 * 60):
        if news_desk.host.requests:
            asked.append(len(news_desk.host.requests))
        source.refresh(NOW + minute * 60)
    first_times = [asked.index(count) for count in range(1, asked[-1] + 1)]
    gaps = np.diff(first_times)
    assert 5 <= gaps[0] <= 8
    assert all(1.4 < later / earlier < 2.8 for earlier, later in itertools.pairwise(gaps[:-1]))
    assert len(news_desk.host.requests) < 12, "a day of outage costs few requests"


def test_jitter_keeps_two_bots_apart(news_desk: NewsDesk, tmp_path: Path) -> None:
    news_desk.host.misbehave = reply(500, b"")
    waits = []
    for seed in (1, 2):
        source = NewsDesk(news_desk.host, tmp_path / str(seed)).open(seed=seed)
        source.refresh(NOW)
        waits.append(json.loads((tmp_path / str(seed) / CACHE_NAME).read_text())["next_ask"] - NOW)
    assert waits[0] != waits[1]
    assert all(300 <= wait <= 375 for wait in waits)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7200"}, 7200.0),
        ({"Retry-After": "Tue, 07 May 2024 12:00:00 GMT", "Date": "Tue, 07 May 2024 10:00:00 GMT"}, 7200.0),
        ({"Retry-After": "99999999"}, DAY),
    ],
)
def test_the_wait_the_host_asks_for_is_kept(news_desk: NewsDesk, headers: dict[str, str], wait: float) -> None:
    def refuse(handler: object) -> None:
        handler.send_response_only(429)  # type: ignore[attr-defined]
        for name, value in headers.items():
            handler.send_header(name, value)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]

    news_desk.host.misbehave = refuse  # type: ignore[assignment]
    source = news_desk.open()
    source.refresh(NOW)
    news_desk.host.misbehave = None
    source.refresh(NOW + wait - 1)
    assert len(news_desk.host.requests) == 1
    source.refresh(NOW + wait + 1)
    assert source.state(NOW + wait + 1).freshness == "fresh"


def test_a_clock_set_back_does_not_silence_the_source(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    source.refresh(NOW + 300 * DAY)
    source.refresh(NOW)
    assert len(news_desk.host.requests) == 2


# Outages.

OUTAGES = {
    "500": reply(500, b"oops"),
    "404": reply(404, b""),
    "429": reply(429, b"<html>Request Denied</html>"),
    "html": reply(200, b"<!DOCTYPE html><html>login to the hotel network</html>"),
    "empty": reply(200, b""),
    "no rows": reply(200, b"[]"),
    "304 out of the blue": reply(304, b""),
    "truncated": truncated,
    "slow": dripping,
    "huge": endless,
    "loop": reply(302, b"", {"Location": "/ff_calendar_thisweek.json"}),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_without_any_answer_the_calendar_is_missing_and_the_reason_is_known(news_desk: NewsDesk, outage: str) -> None:
    news_desk.host.misbehave = OUTAGES[outage]
    source = news_desk.open(timeout=1.0)
    source.refresh(NOW)
    assert source.calendar(NOW) is None
    state = source.state(NOW)
    assert (state.freshness, state.age) == ("missing", None)
    assert len(state.detail) > 20


@pytest.mark.parametrize("outage", [name for name in OUTAGES if not name.startswith("304")])
def test_an_outage_leaves_what_was_known_and_ends_by_itself(news_desk: NewsDesk, outage: str) -> None:
    source = news_desk.open(timeout=1.0)
    source.refresh(NOW)
    before = known(source)
    news_desk.host.misbehave = OUTAGES[outage]
    source.refresh(NOW + 2 * HOUR)
    assert known(source) == before
    during = source.state(NOW + 2 * HOUR)
    assert during.freshness == "fresh"
    assert during.age == 2 * HOUR
    assert during.detail, "said before it matters"
    assert source.state(NOW + 30 * HOUR).freshness == "stale"
    news_desk.host.misbehave = None
    source.refresh(NOW + 30 * HOUR)
    assert str(source.state(NOW + 30 * HOUR)) == "fresh (0 min old)"


def test_a_host_that_is_not_there_is_a_state(tmp_path: Path) -> None:
    source = LiveNews(tmp_path, News(base_url="http://127.0.0.1:9"), Random(1), timeout=1.0)
    source.refresh(NOW)
    assert source.state(NOW).freshness == "missing"
    assert "ConnectError" in source.state(NOW).detail


def test_each_state_is_logged_once(news_desk: NewsDesk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trading.cycle.news")
    source = news_desk.open()
    for minute in range(0, 600, 15):
        source.refresh(NOW + minute * 60)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    news_desk.host.misbehave = reply(500, b"")
    for minute in range(600, 1200, 15):
        source.refresh(NOW + minute * 60)
    assert [record.levelname for record in caplog.records] == ["INFO", "INFO"], "fresh still, with the failure said"
    news_desk.host.rows = news_desk.host.rows[:1]
    source.refresh(NOW + 40 * HOUR)
    assert caplog.records[-1].levelname == "WARNING"
    assert "stale" in caplog.messages[-1]


def test_a_broken_row_is_reported_by_log_and_state(news_desk: NewsDesk, caplog: pytest.LogCaptureFixture) -> None:
    news_desk.host.rows = [*week_rows(), row("soon", title="Federal Funds Rate")]
    source = news_desk.open()
    source.refresh(NOW)
    assert "Federal Funds Rate" in caplog.text
    assert "Federal Funds Rate" in source.state(NOW).detail
    assert len(known(source)) == len(RELEASES)
