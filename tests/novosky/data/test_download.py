"""Downloads against a local server that speaks the venues' formats."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from commands.data import download_data
from novosky.data.candle_sources import BinanceCandles, BitstampCandles, CandleSource
from novosky.data.download import PAGES_PER_SAVE, RetryPolicy, download_bars
from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, NetworkError, UsageError
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import USUAL

Reply = tuple[int, dict[str, str], str]
BARS = 2_500
DAY = 86_400


class Venue:
    """Serves `bars` as Binance and Bitstamp do; the last bar is still open at `now`."""

    def __init__(self, bars: pd.DataFrame) -> None:
        self.bars = bars
        self.opens = epoch_seconds(bars)
        self.now = int(self.opens[-1]) + 450
        self.requests: list[dict[str, str]] = []
        self.disturb: Callable[[int], Reply | None] = lambda number: None
        self.sleeps: list[float] = []
        venue = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = venue.answer(self.path)
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, target: str) -> Reply:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(query)
        disturbance = self.disturb(len(self.requests))
        if disturbance is not None:
            return disturbance
        if parts.path == "/api/v3/klines":
            return 200, {}, json.dumps(self.klines(query))
        if parts.path == "/api/v2/ohlc/btcusd/":
            return 200, {}, json.dumps(self.ohlc(query))
        return 404, {}, "no such path"

    def klines(self, query: dict[str, str]) -> list[list[object]]:
        assert (query["symbol"], query["interval"]) == ("BTCUSDT", "15m")
        opens = self.opens * 1000
        rows = np.flatnonzero((opens >= int(query["startTime"])) & (opens <= int(query["endTime"])))
        answer: list[list[object]] = []
        for row in rows[: int(query["limit"])]:
            bar = self.bars.iloc[row]
            prices = [f"{bar[name]:.8f}" for name in ("open", "high", "low", "close", "volume")]
            stamp = int(opens[row])
            answer.append([stamp, *prices, stamp + 899_999, "1.0", 42, "3.5", "1.0", "0"])
        return answer

    def ohlc(self, query: dict[str, str]) -> dict[str, object]:
        assert query["step"] == "900"
        # With both ends given the venue counts back from the end and may reach before the start.
        rows = np.flatnonzero(self.opens <= int(query["end"]))[-int(query["limit"]) :]
        candles = [
            {"timestamp": str(self.opens[row])}
            | {name: f"{self.bars[name].iloc[row]:.8f}" for name in ("open", "high", "low", "close", "volume")}
            for row in rows
        ]
        return {"data": {"pair": "BTC/USD", "ohlc": candles}}


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return synthetic_bars("null", BARS, seed=5)


@pytest.fixture
def venue(market: pd.DataFrame) -> Iterator[Venue]:
    venue = Venue(market)
    thread = threading.Thread(target=venue.server.serve_forever, args=(0.01,))
    thread.start()
    yield venue
    venue.server.shutdown()
    venue.server.server_close()
    thread.join()


def fetch(venue: Venue, path: Path, source: CandleSource | None = None, **options: object) -> pd.DataFrame:
    settings = {
        "now": venue.now,
        "start": int(venue.opens[0]),
        "seconds": USUAL.seconds,
        "retry": RetryPolicy(attempts=4, timeout=2.0, sleep=venue.sleeps.append),
        **options,
    }
    return download_bars(source or BinanceCandles(base_url=venue.url), path, **settings)  # type: ignore[arg-type]


def closed(market: pd.DataFrame) -> pd.DataFrame:
    bars = market.iloc[:-1].reset_index(drop=True)
    bars.attrs.clear()
    return bars


def test_binance_history_is_stored_without_the_open_candle(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    bars = fetch(venue, tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(bars[closed(market).columns], closed(market), check_exact=True)
    assert bars["trades"].eq(42).all() and bars["taker_buy_volume"].eq(3.5).all()
    assert bars.attrs == {"symbol": "BTCUSD", "source": "binance BTCUSDT"}
    pd.testing.assert_frame_equal(load_bars(tmp_path / "b.parquet"), bars)


def test_bitstamp_history_is_stored_without_the_open_candle(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    bars = fetch(venue, tmp_path / "b.parquet", BitstampCandles(base_url=venue.url))
    pd.testing.assert_frame_equal(bars, closed(market), check_exact=True)
    assert bars.attrs == {"symbol": "BTCUSD", "source": "bitstamp btcusd"}


def test_a_candle_counts_as_closed_shortly_after_its_end(venue: Venue, tmp_path: Path) -> None:
    end = int(venue.opens[-1])
    fetch(venue, tmp_path / "b.parquet", now=end + 4)
    assert epoch_seconds(load_bars(tmp_path / "b.parquet"))[-1] == end - 1800
    fetch(venue, tmp_path / "b.parquet", now=end + 5)
    assert epoch_seconds(load_bars(tmp_path / "b.parquet"))[-1] == end - 900


def test_start_and_end_limit_what_is_fetched(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    start, end = int(venue.opens[100]), int(venue.opens[200])
    bars = fetch(venue, tmp_path / "b.parquet", start=start + 1, end=end)
    assert epoch_seconds(bars).tolist() == venue.opens[101:200].tolist()


def test_the_next_run_asks_only_for_what_is_new(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    fetch(venue, path, end=int(venue.opens[2_000]))
    venue.requests.clear()
    bars = fetch(venue, path, start=None)
    assert [int(query["startTime"]) // 1000 for query in venue.requests] == [venue.opens[1_999]]
    assert len(bars) == BARS - 1


def test_a_store_that_is_up_to_date_is_left_alone(venue: Venue, tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    fetch(venue, path)
    before, asked = path.stat().st_mtime_ns, len(venue.requests)
    assert len(fetch(venue, path)) == BARS - 1
    assert (path.stat().st_mtime_ns, len(venue.requests)) == (before, asked)


def test_earlier_history_is_added_in_front(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    fetch(venue, path, start=int(venue.opens[2_300]))
    bars = fetch(venue, path)
    pd.testing.assert_frame_equal(bars[closed(market).columns], closed(market))


@pytest.mark.parametrize("first_stored", [0, 2_400])
def test_an_interrupted_download_goes_on_where_it_stopped(
    venue: Venue, market: pd.DataFrame, tmp_path: Path, first_stored: int
) -> None:
    path = tmp_path / "b.parquet"
    if first_stored:
        fetch(venue, path, start=int(venue.opens[first_stored]))
    asked = len(venue.requests)
    venue.disturb = lambda number: (500, {}, "down") if number > asked + 2 else None
    with pytest.raises(NetworkError):
        fetch(venue, path)
    kept = len(load_bars(path))
    assert 1_000 <= kept < BARS - 1
    venue.disturb = lambda number: None
    bars = fetch(venue, path)
    pd.testing.assert_frame_equal(bars[closed(market).columns], closed(market))


def test_a_stop_by_the_user_keeps_what_was_received(venue: Venue, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 2_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(venue, tmp_path / "b.parquet", progress=stop)
    assert len(load_bars(tmp_path / "b.parquet")) == 2_000


def test_long_downloads_save_at_intervals(tmp_path: Path) -> None:
    long = Venue(synthetic_bars("null", (PAGES_PER_SAVE + 2) * 1000, seed=6))
    thread = threading.Thread(target=long.server.serve_forever, args=(0.01,))
    thread.start()
    path, seen = tmp_path / "b.parquet", []
    try:
        fetch(long, path, progress=lambda done, total: seen.append(len(load_bars(path))))
    finally:
        long.server.shutdown()
        long.server.server_close()
        thread.join()
    assert seen == [1_000] * PAGES_PER_SAVE + [(PAGES_PER_SAVE + 1) * 1000] * 2


def test_progress_rises_to_the_total(venue: Venue, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(venue, tmp_path / "b.parquet", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1_000, BARS - 1), (2_000, BARS - 1), (BARS - 1, BARS - 1)]


@pytest.mark.parametrize(
    ("reply", "waits"),
    [
        ((429, {"Retry-After": "7"}, "slow down"), [7.0]),
        ((418, {"Retry-After": "30"}, "banned"), [30.0]),
        ((429, {}, "slow down"), [1.0]),
        ((503, {}, "busy"), [1.0]),
        (
            (
                503,
                {"Date": "Wed, 03 Jan 2024 00:00:00 GMT", "Retry-After": "Wed, 03 Jan 2024 00:00:09 GMT"},
                "maintenance",
            ),
            [9.0],
        ),
    ],
)
def test_a_passing_failure_is_waited_out(venue: Venue, tmp_path: Path, reply: Reply, waits: list[float]) -> None:
    venue.disturb = lambda number: reply if number == 2 else None
    assert len(fetch(venue, tmp_path / "b.parquet")) == BARS - 1
    assert venue.sleeps == waits


def test_the_wait_doubles_until_the_attempts_are_used_up(venue: Venue, tmp_path: Path) -> None:
    venue.disturb = lambda number: (500, {}, "down")
    with pytest.raises(NetworkError, match=r"http://127\.0\.0\.1.*klines.*failed 4 times, last with HTTP 500"):
        fetch(venue, tmp_path / "b.parquet")
    assert venue.sleeps == [1.0, 2.0, 4.0]
    assert not (tmp_path / "b.parquet").exists()


def test_a_venue_that_asks_for_a_long_pause_ends_the_download(venue: Venue, tmp_path: Path) -> None:
    venue.disturb = lambda number: (418, {"Retry-After": "86400"}, "banned") if number == 2 else None
    with pytest.raises(NetworkError, match="asks to wait 86400 s"):
        fetch(venue, tmp_path / "b.parquet")
    assert venue.sleeps == []
    assert len(load_bars(tmp_path / "b.parquet")) == 1_000


def test_a_refused_request_is_not_repeated(venue: Venue, tmp_path: Path) -> None:
    venue.disturb = lambda number: (400, {}, '{"code":-1121,"msg":"Invalid symbol."}')
    with pytest.raises(NetworkError, match=r"HTTP 400 Bad Request: .*Invalid symbol.*check --symbol"):
        fetch(venue, tmp_path / "b.parquet")
    assert len(venue.requests) == 1


def test_a_venue_that_cannot_be_reached_is_a_network_error(venue: Venue, tmp_path: Path) -> None:
    # Port 9 (discard) is not listened on; the connection is refused at once.
    with pytest.raises(NetworkError, match=r"http://127\.0\.0\.1:9/.*ConnectError"):
        fetch(venue, tmp_path / "b.parquet", BinanceCandles(base_url="http://127.0.0.1:9"))
    with pytest.raises(NetworkError, match="no web address"):
        fetch(venue, tmp_path / "b.parquet", BinanceCandles(base_url="ftp://127.0.0.1"))


@pytest.mark.parametrize(
    "body",
    [
        "<html>maintenance</html>",
        '[[1641168000000, "30000.0"',
        "[[1, 2]]",
        '{"code": 0}',
        '{"data": {"ohlc": [{"open": "1"}]}}',
        '[["x", "1", "1", "1", "1", "1", 0, "0", 1, "1"]]',
        "[[1e400, 1, 1, 1, 1, 1, 0, 0, 1, 1]]",
    ],
)
@pytest.mark.parametrize("kind", [BinanceCandles, BitstampCandles])
def test_an_answer_that_is_not_candles_is_a_network_error_naming_the_address(
    venue: Venue, tmp_path: Path, body: str, kind: type[BinanceCandles | BitstampCandles]
) -> None:
    venue.disturb = lambda number: (200, {}, body)
    with pytest.raises(NetworkError, match=r"http://127\.0\.0\.1:\d+/api/.* not the candles it documents"):
        fetch(venue, tmp_path / "b.parquet", kind(base_url=venue.url))


def test_candles_that_break_a_rule_of_bars_are_not_stored(venue: Venue, market: pd.DataFrame, tmp_path: Path) -> None:
    venue.bars = market.assign(high=np.where(np.arange(BARS) == 1_500, 1.0, market["high"]))
    with pytest.raises(DataError, match=r"klines.*row 500 .*high is below low"):
        fetch(venue, tmp_path / "b.parquet")
    assert len(load_bars(tmp_path / "b.parquet")) == 1_000


def test_a_venue_that_tells_the_last_bar_differently_is_noticed_at_once(
    venue: Venue, market: pd.DataFrame, tmp_path: Path
) -> None:
    stored = closed(market).iloc[:500].reset_index(drop=True)
    stored.loc[499, "volume"] += 1.0
    save_bars(tmp_path / "b.parquet", stored)
    before = (tmp_path / "b.parquet").read_bytes()
    with pytest.raises(DataError, match=r"row 0 .*volume is"):
        fetch(venue, tmp_path / "b.parquet", start=None)
    assert len(venue.requests) == 1
    assert (tmp_path / "b.parquet").read_bytes() == before


def test_another_venues_store_is_not_extended(venue: Venue, tmp_path: Path) -> None:
    fetch(venue, tmp_path / "b.parquet", end=int(venue.opens[500]))
    with pytest.raises(DataError, match="source=binance BTCUSDT but the new ones source=bitstamp btcusd"):
        fetch(venue, tmp_path / "b.parquet", BitstampCandles(base_url=venue.url))


def test_a_window_without_any_candle_is_an_error(venue: Venue, tmp_path: Path) -> None:
    first = int(venue.opens[0])
    with pytest.raises(NetworkError, match="has no candles in the window"):
        fetch(venue, tmp_path / "b.parquet", start=first - 5 * DAY, end=first - DAY)
    with pytest.raises(UsageError, match="holds no closed candle"):
        fetch(venue, tmp_path / "b.parquet", start=venue.now + DAY)


def test_a_timeframe_the_venue_does_not_serve_is_a_usage_error(venue: Venue, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no 1000-second bars; choose one of 60, 300, 900"):
        fetch(venue, tmp_path / "b.parquet", seconds=1000)


def test_the_command_downloads_from_another_address_and_can_start_over(
    venue: Venue, market: pd.DataFrame, tmp_path: Path
) -> None:
    def call(*more: str) -> str:
        ends = (str(market["time"].iloc[at].tz_localize(None))[:16] for at in (0, 1_200))
        start, end = ends
        store = str(tmp_path / "b.parquet")
        arguments = ["--source", "binance", "--base-url", venue.url, "--start", start, "--end", end, "--output", store]
        result = CliRunner().invoke(download_data, [*arguments, *more])
        assert result.exception is None, result.exception
        return result.output

    assert "1,200 M15 bars" in call()
    first = load_bars(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(first[market.columns], market.iloc[:1_200], check_exact=True)
    venue.bars = market.assign(volume=market["volume"] + 1.0)
    assert "1,200 M15 bars" in call("--replace")
    assert load_bars(tmp_path / "b.parquet")["volume"].sub(first["volume"]).round(6).eq(1.0).all()
    assert not (tmp_path / "b.new.parquet").exists()
