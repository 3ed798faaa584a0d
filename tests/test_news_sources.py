"""News while the bot runs: the same releases from a file and from the host, whatever the host does."""

from __future__ import annotations

import itertools
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from calendar_host import CalendarHost, Row, calendar_host, dripping, endless, reply, row, rows_of, truncated
from contracts.news import NOW, OTHERS, PLACEHOLDER, RELEASES, NewsContract, at

from ml.feature_engineering import add_all_features, get_feature_names, latest_bar, live_window_bars
from novosky.data.calendar_store import append_week
from novosky.data.forex_factory import parse_week
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.news import load_calendar
from novosky.settings import Settings, load_ml_settings, load_settings
from novosky.settings.runtime import News
from trading.context import market_context
from trading.news import CACHE_NAME, HISTORY_NAME, FileNews, FixedNews, LiveNews, NewsSource
from trading.signal_source import SignalSource

PROTECTED = (
    "is_news_near",
    "news_minutes_away",
    "news_count_today",
    "is_news_risk_window",
    "is_london_session",
    "is_ny_session",
    "is_asian_session",
)
HOUR, DAY = 3600.0, 86_400.0


def week_rows() -> list[Row]:
    table = pd.DataFrame(
        [(text, "High", "USD", "Core CPI m/m") for text in RELEASES]
        + [(PLACEHOLDER, "High", "USD", "President Speaks")]
        + [(OTHERS[0], "Medium", "USD", "Claims"), (OTHERS[1], "High", "GBP", "Official Bank Rate")],
        columns=["time", "impact", "currency", "event"],
    )
    table["time"] = pd.to_datetime(table["time"], format="mixed", utc=True)
    return rows_of(table)


@pytest.fixture
def host() -> Iterator[CalendarHost]:
    with calendar_host() as host:
        host.rows = week_rows()
        yield host


@dataclass
class Desk:
    """A live source that can be closed and opened again."""

    host: CalendarHost
    folder: Path
    history: Path | None = None

    def open(self, timeout: float = 5.0, seed: int = 1) -> LiveNews:
        return LiveNews(self.folder, News(base_url=self.host.url), Random(seed), history=self.history, timeout=timeout)


@pytest.fixture
def news_desk(host: CalendarHost, tmp_path: Path) -> Desk:
    return Desk(host, tmp_path / "news")


class TestFileNews(NewsContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> NewsSource:
        path = tmp_path / "calendar.parquet"
        append_week(path, parse_week(json.dumps(week_rows()).encode()))
        return FileNews(path, News())


class TestLiveNews(NewsContract):
    @pytest.fixture
    def source(self, news_desk: Desk) -> NewsSource:
        return news_desk.open()


def known(source: NewsSource, now: float = NOW) -> list[int]:
    calendar = source.calendar(now)
    return [] if calendar is None else [int(time) for time in calendar.event_times]


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
        json.dumps([row("2024-05-06T10:00:00-04:00"), row("2024-05-14T10:00:00-04:00")]).encode(),
        json.dumps([row("2024-05-06T10:00:00-04:00"), row("never")]).encode(),
    ],
)
def test_nonsense_is_no_week(body: bytes) -> None:
    with pytest.raises(DataError):
        parse_week(body)


# Politeness.


def test_the_host_is_asked_once_an_hour_and_sends_the_week_only_when_it_changed(news_desk: Desk) -> None:
    source = news_desk.open()
    for minutes in range(0, 121, 10):
        source.refresh(NOW + minutes * 60)
    first, second, third = news_desk.host.requests
    assert "if-none-match" not in first
    assert second["if-none-match"] == third["if-none-match"]
    assert second["if-modified-since"] == "Sun, 05 May 2024 04:00:00 GMT"
    assert source.state(NOW + 2 * HOUR).age == 0, "a 304 confirms what is known"


def test_a_restarted_bot_asks_no_more_often_than_one_that_runs(news_desk: Desk) -> None:
    for restart in range(20):
        source = news_desk.open()
        source.refresh(NOW + restart * 60)
        assert len(known(source)) == len(RELEASES)
    assert len(news_desk.host.requests) == 1


def test_failures_are_repeated_less_and_less_often(news_desk: Desk) -> None:
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


def test_jitter_keeps_two_bots_apart(news_desk: Desk, tmp_path: Path) -> None:
    news_desk.host.misbehave = reply(500, b"")
    waits = []
    for seed in (1, 2):
        source = Desk(news_desk.host, tmp_path / str(seed)).open(seed=seed)
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
def test_the_wait_the_host_asks_for_is_kept(news_desk: Desk, headers: dict[str, str], wait: float) -> None:
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


def test_a_clock_set_back_does_not_silence_the_source(news_desk: Desk) -> None:
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
def test_without_any_answer_the_calendar_is_missing_and_the_reason_is_known(news_desk: Desk, outage: str) -> None:
    news_desk.host.misbehave = OUTAGES[outage]
    source = news_desk.open(timeout=0.3)
    source.refresh(NOW)
    assert source.calendar(NOW) is None
    state = source.state(NOW)
    assert (state.freshness, state.age) == ("missing", None)
    assert len(state.detail) > 20


@pytest.mark.parametrize("outage", [name for name in OUTAGES if not name.startswith("304")])
def test_an_outage_leaves_what_was_known_and_ends_by_itself(news_desk: Desk, outage: str) -> None:
    source = news_desk.open(timeout=0.3)
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


def test_each_state_is_logged_once(news_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trading.news")
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


def test_a_broken_row_is_reported_by_log_and_state(news_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    news_desk.host.rows = [*week_rows(), row("soon", title="Federal Funds Rate")]
    source = news_desk.open()
    source.refresh(NOW)
    assert "Federal Funds Rate" in caplog.text
    assert "Federal Funds Rate" in source.state(NOW).detail
    assert len(known(source)) == len(RELEASES)


# The turn of the week, and restarts.


def next_week() -> list[Row]:
    return [row("2024-05-14T08:30:00-04:00", title="PPI m/m"), row("2024-05-15T08:30:00-04:00")]


def test_when_the_week_turns_the_last_one_stays_known(news_desk: Desk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    news_desk.host.rows = next_week()
    source.refresh(at("2024-05-12 05:00"))
    assert known(source) == [int(at(text)) for text in (*RELEASES, "2024-05-14 12:30", "2024-05-15 12:30")]
    assert known(news_desk.open()) == known(source), "also by a bot that starts now"


def test_a_release_that_was_moved_is_at_its_new_time_only(news_desk: Desk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    news_desk.host.rows[1] = row("2024-05-09T08:30:00-04:00")
    source.refresh(NOW + 2 * HOUR)
    assert known(source) == [int(at(text)) for text in (RELEASES[0], "2024-05-09 12:30", RELEASES[2])]


def test_a_week_that_is_over_is_stale_however_often_the_host_confirms_it(news_desk: Desk) -> None:
    source = news_desk.open()
    for day in range(8):
        source.refresh(NOW + day * DAY)
    state = source.state(NOW + 7 * DAY)
    assert state.freshness == "stale"
    assert state.detail == "its week is over"


def test_a_bot_killed_between_fetching_and_keeping_loses_nothing(news_desk: Desk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    (news_desk.folder / HISTORY_NAME).unlink()
    assert known(news_desk.open()) == known(source)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"url": 5}', b"\xff"])
def test_a_damaged_cache_is_reported_and_fetched_anew(
    news_desk: Desk, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    news_desk.open().refresh(NOW)
    (news_desk.folder / CACHE_NAME).write_bytes(content)
    source = news_desk.open()
    assert CACHE_NAME in caplog.text
    assert len(known(source)) == len(RELEASES), "the history file has them"
    source.refresh(NOW)
    assert source.state(NOW).freshness == "fresh"


def test_a_damaged_history_is_set_aside_not_overwritten(news_desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    news_desk.open().refresh(NOW)
    (news_desk.folder / HISTORY_NAME).write_bytes(b"half a file")
    source = news_desk.open()
    assert len(known(source)) == len(RELEASES)
    assert (news_desk.folder / "forexfactory_weeks.damaged").read_bytes() == b"half a file"
    assert "set aside" in caplog.text or "kept as" in caplog.text


def test_the_answer_of_another_host_is_not_believed(news_desk: Desk) -> None:
    news_desk.open().refresh(NOW)
    with calendar_host() as other:
        other.rows = next_week()
        source = Desk(other, news_desk.folder).open()
        source.refresh(NOW)
        assert "if-none-match" not in other.requests[0]


def test_which_releases_count_is_configured(news_desk: Desk) -> None:
    settings = News(base_url=news_desk.host.url, currencies=("USD", "GBP"), impacts=("high", "medium"))
    source = LiveNews(news_desk.folder, settings, Random(1))
    source.refresh(NOW)
    assert known(source) == sorted(int(at(text)) for text in (*RELEASES, *OTHERS))


# Files.


def test_a_file_is_read_again_when_it_changes_and_kept_when_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "calendar.parquet"
    append_week(path, parse_week(json.dumps(week_rows()).encode()))
    source = FileNews(path, News())
    append_week(path, parse_week(json.dumps(next_week()).encode()))
    source.refresh(NOW)
    assert len(known(source)) == len(RELEASES) + 2
    path.write_bytes(b"broken")
    source.refresh(NOW)
    assert len(known(source)) == len(RELEASES) + 2
    assert source.state(NOW).freshness == "stale"
    assert "calendar.parquet" in source.state(NOW).detail


def test_a_file_that_was_named_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such calendar"):
        FileNews(tmp_path / "none.parquet", News())


def test_weeks_are_appended_to_a_history_with_more_columns(tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    old = parse_week(json.dumps(week_rows()).encode()).table().assign(actual="0.4%")
    old.to_parquet(path)
    stored = append_week(path, parse_week(json.dumps(next_week()).encode()))
    assert len(stored) == len(old) + 2
    assert stored["actual"].notna().sum() == len(old)
    assert load_calendar(path).event_times[-1] == at("2024-05-15 12:30")


# What it is all for.


def protected_features(bars: pd.DataFrame, source: NewsSource, now: float) -> pd.DataFrame:
    return add_all_features(bars, source.calendar(now))[list(PROTECTED)]


def check_the_same(live: NewsSource, file: NewsSource, now: float, first: str) -> pd.DataFrame:
    """Compare the protected features bar by bar, then those of the live window alone."""
    count = live_window_bars() + 7 * 96
    start = pd.Timestamp(first, tz="UTC") - pd.Timedelta(minutes=15 * live_window_bars())
    bars = synthetic_bars("null", count, seed=3, start=start.isoformat())
    from_file, from_host = protected_features(bars, file, now), protected_features(bars, live, now)
    pd.testing.assert_frame_equal(from_host, from_file, check_exact=True)
    columns = get_feature_names()
    for end in range(count - 96, count, 13):
        newest = latest_bar(
            bars.iloc[end - live_window_bars() + 1 : end + 1].reset_index(drop=True), live.calendar(now)
        )
        row = newest.features[[columns.index(name) for name in PROTECTED]]
        assert row.tolist() == from_file.iloc[end].tolist()
    return from_file.iloc[-7 * 96 :]


def test_the_protected_features_are_those_of_the_history_file(news_desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    for rows in (week_rows(), next_week()):
        append_week(path, parse_week(json.dumps(rows).encode()))
    live = news_desk.open()
    live.refresh(NOW)
    news_desk.host.rows = next_week()
    now = at("2024-05-13 09:00")
    live.refresh(now)
    compared = check_the_same(live, FileNews(path, News()), now, "2024-05-07")
    assert (compared.nunique() > 1).all(), "every one of the seven is put to the test"


def test_the_news_gate_sees_the_live_calendar_as_the_history_file(news_desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "history.parquet"
    append_week(path, parse_week(json.dumps(week_rows()).encode()))
    live = news_desk.open()
    live.refresh(NOW)
    opens = np.arange(int(at("2024-05-05 00:00")), int(at("2024-05-12 00:00")), 900)
    flat = np.ones(len(opens))
    costs = {"spread": 1.0, "commission_per_lot": 0.0, "slippage": 0.0, "swap_long": 0.0, "swap_short": 0.0}
    limits = {"max_daily_loss": 5.0, "max_weekly_drawdown_pct": 10.0, "max_total_drawdown_pct": 20.0}
    settings = Settings.model_validate({"costs": costs, **limits})
    minutes = [
        market_context(opens, flat, flat, flat, settings, source.calendar(NOW)).news_minutes
        for source in (live, FileNews(path, News()))
    ]
    assert np.array_equal(minutes[0], minutes[1])
    assert (minutes[0] <= settings.news_block_minutes).sum() == 3 * 5


def test_real_weeks_give_the_same_features_over_http_as_from_the_file(
    shared_data: Path, news_desk: Desk, tmp_path: Path
) -> None:
    file = shared_data / "calendar" / "forexfactory_high_impact.parquet"
    table = pd.read_parquet(file)
    live = news_desk.open()
    now = at("2024-01-07 06:00")
    for sunday in pd.date_range("2024-01-07", "2024-03-17", freq="7D", tz="America/New_York"):
        chosen = table.loc[(table["time"] >= sunday) & (table["time"] < sunday + pd.DateOffset(days=7))]
        news_desk.host.rows = rows_of(chosen)
        now = (sunday + pd.Timedelta(hours=2)).timestamp()
        live.refresh(now)
        assert live.state(now).freshness == "fresh"
    compared = check_the_same(live, FileNews(file, News()), now, "2024-03-07")
    assert (compared.nunique() > 1).all()


# The command.


def run_command(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [
            sys.executable,
            str(root / "scripts" / "download_calendar.py"),
            "--config",
            str(root / "config.json"),
            *arguments,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_command_adds_the_week_and_asks_only_once(host: CalendarHost, tmp_path: Path) -> None:
    for _ in range(2):
        code, said = run_command(tmp_path, "--base-url", host.url)
        assert (code, "6 releases" in said) == (0, True), said
    assert len(host.requests) == 1
    stored = load_calendar(tmp_path / "data" / "calendar" / HISTORY_NAME)
    assert stored.event_times.tolist() == [int(at(text)) for text in RELEASES]


def test_the_command_imports_a_saved_export_and_names_what_it_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "week.json").write_text(json.dumps([*week_rows(), row("soon", title="Federal Funds Rate")]))
    code, said = run_command(tmp_path, "--input", "week.json", "--output", "weeks.parquet")
    assert code == 0
    assert "Federal Funds Rate" in said
    (tmp_path / "week.json").write_text("<html>")
    code, said = run_command(tmp_path, "--input", "week.json", "--output", "weeks.parquet")
    assert (code, "week.json" in said) == (4, True)


def test_the_command_fails_with_the_networks_code(host: CalendarHost, tmp_path: Path) -> None:
    host.misbehave = reply(503, b"")
    code, said = run_command(tmp_path, "--base-url", host.url)
    assert (code, "503" in said) == (10, True)
    code, said = run_command(tmp_path, "--output", "weeks.csv")
    assert code == 2


# Where the bot asks.


class Watching:
    """A signal model that keeps the protected features it is shown."""

    train_cutoff = pd.Timestamp("2020-01-01", tz="UTC")

    def __init__(self, columns: list[int]) -> None:
        self.columns = columns
        self.shown: list[list[float]] = []

    def predict_proba(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        self.shown.append(features[0, self.columns].tolist())
        return np.tile([0.1, 0.8, 0.1], (len(features), 3, 1))


def test_the_bot_sees_a_release_as_soon_as_it_is_fetched(news_desk: Desk, root: Path) -> None:
    settings, ml_settings = load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json")
    ml_settings = ml_settings.model_copy(update={"ml_sltp": ml_settings.ml_sltp.model_copy(update={"enabled": False})})
    count, close = live_window_bars(), int(at("2024-05-08 12:15"))
    start = pd.Timestamp(close - 900 * count, unit="s", tz="UTC")
    bars = synthetic_bars("null", count, seed=3, start=start.isoformat())
    model = Watching([list(ml_settings.features).index(name) for name in PROTECTED[:4]])
    live = news_desk.open()
    source = SignalSource(model, settings, ml_settings, live)
    before, _ = source.candidate(bars)
    assert before is not None
    assert np.isinf(before.news_minutes)
    live.refresh(close)
    after, _ = source.candidate(bars)
    assert after is not None
    assert after.news_minutes == 15.0
    assert model.shown == [[0.0, 1.0, 0.0, 0.0], [1.0, 15 / 1440, 1.0, 1.0]]
    known = FixedNews(load_calendar(news_desk.folder / HISTORY_NAME))
    fixed, _ = SignalSource(model, settings, ml_settings, known).candidate(bars)
    assert fixed is not None
    assert fixed.tobytes() == after.tobytes()
