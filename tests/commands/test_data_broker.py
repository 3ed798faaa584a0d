"""`--source mt5`: bars from a terminal, through the package's functions or the bridge, into the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from commands.data_sources.broker import download_from, with_broker
from commands.data_sources.request import Request
from novosky.data.identity import BarsIdentity, bars_identity
from novosky.data.store import load_bars
from novosky.errors import BrokerError, DataError
from novosky.market.server_time import ServerClock
from tests.commands.test_data import output_of
from tests.contracts.broker import BAR, START
from tests.helpers.bridge_module import TOKEN, bridged, serving
from tests.helpers.mt5.stage import ACCESS, HEDGING, Mt5Stage, stage
from trading.brokers.mt5.bars import history as bar_history
from trading.brokers.mt5.entry import TerminalReach
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.functions.views import Installation

COUNT = 60
Through = Callable[[Any], Any]


@pytest.fixture(params=["package", "bridge"])
def through(request: pytest.FixtureRequest) -> Iterator[Through]:
    """Give a terminal's module as it is, or the bridge's client to it."""
    with ExitStack() as opened:
        if request.param == "package":
            yield lambda terminal: terminal
        else:
            yield lambda terminal: opened.enter_context(bridged(terminal, any_terminal=True))


def rows_of(count: int) -> list[tuple[float, float, float, float]]:
    generator = np.random.default_rng(5)
    closes = 43_000.0 + np.round(np.cumsum(generator.normal(0, 20, count)), 2)
    opens = np.concatenate(([43_000.0], closes[:-1]))
    return [(o, max(o, c) + 5.0, min(o, c) - 5.0, c) for o, c in zip(opens.tolist(), closes.tolist(), strict=True)]


def market_of(count: int = COUNT, **more: Any) -> Mt5Stage:
    """Return a market that has gone through all but the last of its bars."""
    play = stage(rows_of(count), **more)
    for _ in range(count - 2):
        play.go_on()
    return play


def asked(folder: Path, **changes: Any) -> Request:
    known: dict[str, Any] = {
        "source": "mt5",
        "output": folder / "b.parquet",
        "timeframe": "M15",
        "start": None,
        "end": None,
        "replace": False,
        "join": (),
        "config": folder / "none.json",
        "resample": False,
        "input": None,
        "symbol": "BTCUSD",
        "server_clock": "NewYork+7",
        "repeated_hour": None,
        "base_url": None,
        "kind": "planted",
        "bars": 1,
        "seed": 1,
    }
    return Request(**{**known, **changes})


def load_from(play: Mt5Stage, through: Through, request: Request) -> tuple[str, ...]:
    module = through(play.mt5)
    return download_from(request, TerminalReach(ACCESS, lambda: module, renewable=False), play.clock).notes


def closed(play: Mt5Stage) -> list[pd.Timestamp]:
    feed = play.server.feeds["BTCUSD"]
    return [pd.Timestamp(int(t), unit="s", tz="UTC") for t in feed.bars.time[: feed.closed]]


def test_closed_bars_are_stored_in_utc_with_all_that_the_broker_says_of_them(tmp_path: Path, through: Through) -> None:
    play = market_of()
    notes = load_from(play, through, asked(tmp_path))
    bars = load_bars(tmp_path / "b.parquet")
    assert bars["time"].tolist() == closed(play)
    expected = np.array(rows_of(COUNT))[: len(bars)]
    np.testing.assert_array_equal(bars[["open", "high", "low", "close"]].to_numpy(), expected)
    assert (bars["spread"] > 0).all() and (bars["volume"] > 0).all()
    assert bars_identity(tmp_path / "b.parquet") == BarsIdentity("BTCUSD", "mt5 Simulated-Demo", "M15", 0.01, 2)
    assert notes == ()


def test_the_next_download_asks_only_for_what_is_new(
    tmp_path: Path, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar_history, "PAGE", 10)
    play = market_of(COUNT)
    load_from(play, through, asked(tmp_path, end=datetime.fromtimestamp(START + 30 * BAR, UTC)))
    assert len(load_bars(tmp_path / "b.parquet")) == 30
    play.mt5.calls.clear()
    load_from(play, through, asked(tmp_path))
    assert load_bars(tmp_path / "b.parquet")["time"].tolist() == closed(play)
    # Thirty bars back in pages of ten, and not one page more than reaches the stored ones.
    assert play.mt5.calls["copy_rates_from_pos"] == 3
    assert load_from(play, through, asked(tmp_path)) == ()


def test_a_long_history_is_read_in_pages_that_fit_without_a_seam(
    tmp_path: Path, through: Through, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar_history, "PAGE", 7)
    play = market_of()
    load_from(play, through, asked(tmp_path))
    assert load_bars(tmp_path / "b.parquet")["time"].tolist() == closed(play)


def test_what_the_terminal_no_longer_has_is_said(tmp_path: Path) -> None:
    play = market_of(installation=Installation(maxbars=20))
    notes = load_from(play, lambda module: module, asked(tmp_path, start=datetime.fromtimestamp(START, UTC)))
    assert len(load_bars(tmp_path / "b.parquet")) == 20
    assert "Max bars in chart" in notes[0]


def test_symbol_and_clock_come_from_the_settings_where_nobody_gives_them(tmp_path: Path, root: Path) -> None:
    play = market_of()
    request = asked(tmp_path, symbol=None, server_clock=None, config=root / "config.json")
    notes = load_from(play, lambda module: module, request)
    assert [note.split(",")[0] for note in notes] == ["symbol BTCUSD", "server clock NewYork+7"]


@pytest.mark.parametrize("rule", ["UTC", "Europe/Athens"])
def test_every_servers_clock_gives_the_same_moments(rule: str, tmp_path: Path) -> None:
    play = market_of(rule=rule)
    load_from(play, lambda module: module, asked(tmp_path, server_clock=rule))
    assert load_bars(tmp_path / "b.parquet")["time"].tolist() == closed(play)


def test_a_clock_rule_that_puts_the_newest_quote_into_the_future_is_refused(tmp_path: Path) -> None:
    play = market_of(rule="NewYork+7")
    with pytest.raises(BrokerError, match="server_clock"):
        load_from(play, lambda module: module, asked(tmp_path, server_clock="UTC"))
    assert not (tmp_path / "b.parquet").exists()


def test_a_clock_rule_that_no_fresh_quote_confirms_is_said(tmp_path: Path) -> None:
    # The server keeps UTC, the rule says two hours more: the newest quote looks two hours old.
    play = market_of(rule="UTC")
    notes = load_from(play, lambda module: module, asked(tmp_path, server_clock="NewYork+7"))
    assert "no fresh quote of BTCUSD to check the server clock NewYork+7 with" in notes[0]


def test_another_brokers_bars_are_not_stitched_on(tmp_path: Path) -> None:
    play = market_of()
    bars = pd.DataFrame(rows_of(3), columns=["open", "high", "low", "close"]).assign(volume=1.0, spread=1.0)
    times = pd.Timestamp(START - 3 * BAR, unit="s", tz="UTC") + pd.Timedelta(minutes=15) * np.arange(3)
    bars.insert(0, "time", times)
    bars.attrs.update(symbol="BTCUSD", source="mt5 Other-Live")
    from novosky.data.store import save_bars

    save_bars(tmp_path / "b.parquet", bars)
    with pytest.raises(DataError, match="source=mt5 Other-Live but the new ones source=mt5 Simulated-Demo"):
        load_from(play, lambda module: module, asked(tmp_path))
    load_from(play, lambda module: module, asked(tmp_path, join=("sources",)))
    joined = load_bars(tmp_path / "b.parquet")
    assert joined.attrs["source"] == "mt5 Other-Live + mt5 Simulated-Demo"
    assert joined.attrs["seams"] == (START,)


def test_another_brokers_terminal_is_refused_and_no_number_is_shown(tmp_path: Path) -> None:
    play = market_of()
    elsewhere = TerminalReach(replace(ACCESS, login=987_654, server="Other-Live"), lambda: play.mt5, renewable=False)
    with pytest.raises(BrokerError, match="stands at 'Simulated-Demo', but bars of 'Other-Live'") as caught:
        download_from(asked(tmp_path), elsewhere, play.clock)
    assert "987654" not in str(caught.value)


def test_a_netting_account_has_the_same_bars(tmp_path: Path) -> None:
    play = market_of(account=replace(HEDGING, margin_mode=C.ACCOUNT_MARGIN_MODE_RETAIL_NETTING), connect=False)
    load_from(play, lambda module: module, asked(tmp_path))
    assert len(load_bars(tmp_path / "b.parquet")) == COUNT - 1


def test_an_unknown_symbol_is_the_brokers_to_refuse(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="lists no symbol NOPE"):
        load_from(market_of(), lambda module: module, asked(tmp_path, symbol="NOPE"))


def test_the_way_to_a_terminal_is_the_one_that_is_named() -> None:
    assert with_broker({"NOVOSKY_BROKER": "mt5"})["NOVOSKY_BROKER"] == "mt5"
    assert with_broker({"NOVOSKY_BRIDGE_URL": "https://x"})["NOVOSKY_BROKER"] == "bridge"
    assert with_broker({"NOVOSKY_BROKER": "paper", "NOVOSKY_BRIDGE_URL": "https://x"})["NOVOSKY_BROKER"] == "bridge"


def test_the_rule_of_the_clock_is_the_servers_not_an_offset(tmp_path: Path) -> None:
    # The New York spring switch of 2024 lies in the middle of these bars.
    start = int(pd.Timestamp("2024-03-10 01:00", tz="UTC").timestamp())
    play = market_of(start=start)
    load_from(play, lambda module: module, asked(tmp_path))
    bars = load_bars(tmp_path / "b.parquet")
    assert bars["time"].tolist() == closed(play)
    wall = ServerClock("NewYork+7").from_utc(bars["time"])
    assert len(set((wall - bars["time"].dt.tz_localize(None)).tolist())) == 2


def test_the_command_goes_to_the_bridge_that_the_environment_names(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_bytes((root / "config.json").read_bytes())
    play = market_of()
    with serving(play.mt5, any_terminal=True) as server:
        known = {"NOVOSKY_BRIDGE_URL": server.url, "NOVOSKY_BRIDGE_TOKEN": TOKEN, "NOVOSKY_BROKER": "bridge"}
        for name, value in {**known, "MT5_LOGIN": "1", "MT5_SERVER": "Simulated-Demo"}.items():
            monkeypatch.setenv(name, value)
        text = output_of("--source", "mt5")
    assert f"{len(closed(play))} M15 bars" in text and "note: server clock NewYork+7, from config.json" in text
    assert load_bars(tmp_path / "data" / "BTCUSD_M15.parquet")["time"].tolist() == closed(play)
