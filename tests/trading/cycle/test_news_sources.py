"""News while the bot runs: the same releases from a file and from the host, over weeks and restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from engine.inputs.context import market_context
from ml.feature_engineering import add_all_features, get_feature_names, latest_bar, live_window_bars
from novosky.data.calendar.download import CACHE_NAME
from novosky.data.calendar.forex_factory import parse_week
from novosky.data.calendar.store import append_week
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.bar_arrays import BarArrays
from novosky.market.news import load_calendar
from novosky.market.timeframe import USUAL
from novosky.settings import Settings, load_ml_settings, load_settings
from novosky.settings.runtime import News
from tests.contracts.news import NOW, OTHERS, RELEASES, NewsContract, at
from tests.helpers.news_desk import DAY, HOUR, NewsDesk, known, next_week, week_rows
from tests.hosts.calendar_host import CalendarHost, calendar_host, reply, row, rows_of
from trading.cycle.news import HISTORY_NAME, FileNews, FixedNews, LiveNews, NewsSource
from trading.cycle.signal_source import SignalSource

PROTECTED = (
    "is_news_near",
    "news_minutes_away",
    "news_count_today",
    "is_news_risk_window",
    "is_london_session",
    "is_ny_session",
    "is_asian_session",
)


@pytest.fixture
def host() -> Iterator[CalendarHost]:
    with calendar_host() as host:
        host.rows = week_rows()
        yield host


@pytest.fixture
def news_desk(host: CalendarHost, tmp_path: Path) -> NewsDesk:
    return NewsDesk(host, tmp_path / "news")


class TestFileNews(NewsContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> NewsSource:
        path = tmp_path / "calendar.parquet"
        append_week(path, parse_week(json.dumps(week_rows()).encode()))
        return FileNews(path, News())


class TestLiveNews(NewsContract):
    @pytest.fixture
    def source(self, news_desk: NewsDesk) -> NewsSource:
        return news_desk.open()


def test_when_the_week_turns_the_last_one_stays_known(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    news_desk.host.rows = next_week()
    source.refresh(at("2024-05-12 05:00"))
    assert known(source) == [int(at(text)) for text in (*RELEASES, "2024-05-14 12:30", "2024-05-15 12:30")]
    assert known(news_desk.open()) == known(source), "also by a bot that starts now"


def test_a_release_that_was_moved_is_at_its_new_time_only(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    news_desk.host.rows[1] = row("2024-05-09T08:30:00-04:00")
    source.refresh(NOW + 2 * HOUR)
    assert known(source) == [int(at(text)) for text in (RELEASES[0], "2024-05-09 12:30", RELEASES[2])]


def test_a_week_that_is_over_is_stale_however_often_the_host_confirms_it(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    for day in range(8):
        source.refresh(NOW + day * DAY)
    state = source.state(NOW + 7 * DAY)
    assert state.freshness == "stale"
    assert state.detail == "its week is over"


def test_a_bot_killed_between_fetching_and_keeping_loses_nothing(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    source.refresh(NOW)
    (news_desk.folder / HISTORY_NAME).unlink()
    assert known(news_desk.open()) == known(source)


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"url": 5}', b"\xff"])
def test_a_damaged_cache_is_reported_and_fetched_anew(
    news_desk: NewsDesk, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    news_desk.open().refresh(NOW)
    (news_desk.folder / CACHE_NAME).write_bytes(content)
    source = news_desk.open()
    assert CACHE_NAME in caplog.text
    assert len(known(source)) == len(RELEASES), "the history file has them"
    source.refresh(NOW)
    assert source.state(NOW).freshness == "fresh"


def test_a_damaged_history_is_set_aside_not_overwritten(news_desk: NewsDesk, caplog: pytest.LogCaptureFixture) -> None:
    news_desk.open().refresh(NOW)
    (news_desk.folder / HISTORY_NAME).write_bytes(b"half a file")
    source = news_desk.open()
    assert len(known(source)) == len(RELEASES)
    assert (news_desk.folder / "forexfactory_weeks.damaged").read_bytes() == b"half a file"
    assert "set aside" in caplog.text or "kept as" in caplog.text


def test_the_answer_of_another_host_is_not_believed(news_desk: NewsDesk) -> None:
    news_desk.open().refresh(NOW)
    with calendar_host() as other:
        other.rows = next_week()
        source = NewsDesk(other, news_desk.folder).open()
        source.refresh(NOW)
        assert "if-none-match" not in other.requests[0]


def test_which_releases_count_is_configured(news_desk: NewsDesk) -> None:
    settings = News(base_url=news_desk.host.url, currencies=("USD", "GBP"), impacts=("high", "medium"))
    source = LiveNews(news_desk.folder, settings, Random(1))
    source.refresh(NOW)
    assert known(source) == sorted(int(at(text)) for text in (*RELEASES, *OTHERS))


def test_the_named_releases_are_those_that_count(news_desk: NewsDesk) -> None:
    source = news_desk.open()
    assert source.releases() == ()
    source.refresh(NOW)
    assert [(release.time, release.event) for release in source.releases()] == [
        (int(at(text)), "Core CPI m/m") for text in RELEASES
    ]


def test_of_a_file_or_a_bare_calendar_only_times_are_known(tmp_path: Path) -> None:
    path = tmp_path / "calendar.parquet"
    append_week(path, parse_week(json.dumps(week_rows()).encode()))
    assert FileNews(path, News()).releases() == ()
    assert FixedNews(load_calendar(path)).releases() == ()


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
    count = live_window_bars(USUAL) + 7 * 96
    start = pd.Timestamp(first, tz="UTC") - pd.Timedelta(minutes=15 * live_window_bars(USUAL))
    bars = synthetic_bars("null", count, seed=3, start=start.isoformat())
    from_file, from_host = protected_features(bars, file, now), protected_features(bars, live, now)
    pd.testing.assert_frame_equal(from_host, from_file, check_exact=True)
    columns = get_feature_names()
    for end in range(count - 96, count, 13):
        newest = latest_bar(
            bars.iloc[end - live_window_bars(USUAL) + 1 : end + 1].reset_index(drop=True), live.calendar(now)
        )
        row = newest.features[[columns.index(name) for name in PROTECTED]]
        assert row.tolist() == from_file.iloc[end].tolist()
    return from_file.iloc[-7 * 96 :]


def test_the_protected_features_are_those_of_the_history_file(news_desk: NewsDesk, tmp_path: Path) -> None:
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


def test_the_news_gate_sees_the_live_calendar_as_the_history_file(news_desk: NewsDesk, tmp_path: Path) -> None:
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
    shared_data: Path, news_desk: NewsDesk, tmp_path: Path
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
    root = Path(__file__).resolve().parents[3]
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


def test_the_bot_sees_a_release_as_soon_as_it_is_fetched(news_desk: NewsDesk, root: Path) -> None:
    settings, ml_settings = load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json")
    ml_settings = ml_settings.model_copy(update={"ml_sltp": ml_settings.ml_sltp.model_copy(update={"enabled": False})})
    count, close = live_window_bars(USUAL), int(at("2024-05-08 12:15"))
    start = pd.Timestamp(close - 900 * count, unit="s", tz="UTC")
    bars = BarArrays.from_bars(synthetic_bars("null", count, seed=3, start=start.isoformat()))
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
