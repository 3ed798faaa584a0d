"""Paper on real prices: bars happen when the feed has them, and trades are those of a replay of the same bars."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.notify import SilentNotifier
from engine.inputs.parameters import build_params
from engine.records import no_minutes
from novosky.errors import NetworkError, UsageError
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import USUAL
from tests.helpers.paper_runs import WARM_UP, Outcome, Scenario, planted_bars, replay_outcome, session_outcome
from tests.hosts.klines_host import KlinesHost, serving_klines
from trading.brokers.mt5.terms import Timing
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.opening import paper_server
from trading.brokers.simulated.server import TradeServer
from trading.paper.feed.binance import BinanceFeed, binance_symbol
from trading.paper.feed.market import GrowingMarket, check_same_market
from trading.paper.feed.port import BarFeed
from trading.paper.feed.terminal import TerminalFeed
from trading.paper.session import PaperSession, open_session

BARS = 300
AFTER = 6.0
"""Seconds after a close at which the bot looks."""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    bars = planted_bars(BARS).drop(columns="spread", errors="ignore").reset_index(drop=True)
    return Scenario(bars)


@pytest.fixture(scope="module")
def expected(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    # The last bar of the file is still forming when the feed's run ends.
    outcome = replay_outcome(scenario.until(len(scenario.bars) - 1), tmp_path_factory.mktemp("replay"))
    assert len(outcome.trade_rows) > 10
    return outcome


@pytest.fixture
def host(scenario: Scenario) -> Iterator[KlinesHost]:
    opens = epoch_seconds(scenario.bars)
    with serving_klines(KlinesHost(scenario.bars, float(opens[WARM_UP]) + AFTER)) as served:
        yield served


class Run:
    """A paper bot on a feed, in a time that the test moves."""

    def __init__(self, scenario: Scenario, feed: BarFeed, host: KlinesHost, journal: Path) -> None:
        self.scenario, self.host, self.said = scenario, host, [""][:0]
        self.market = GrowingMarket(feed, scenario.settings, lambda: host.now, self.said.append, fixed_spread=False)
        market = self.market.open(journal, WARM_UP)
        assert market is not None, self.said
        self.session: PaperSession = open_session(
            market,
            scenario.settings,
            scenario.ml_settings,
            scenario.models,
            journal,
            SilentNotifier(),
            news=None,
            frozen=lambda: False,
            durable=False,
            now=lambda: host.now,
        )

    def look(self, now: float) -> bool:
        """Look at a moment; return whether a bar was processed."""
        self.host.now = now
        self.market.catch_up(self.session.server, self.session.bot.cycle)
        return self.session.server.begun and self.session.bot.cycle()


def binance(scenario: Scenario, host: KlinesHost, journal: Path) -> Run:
    return Run(scenario, BinanceFeed("BTCUSD", USUAL, Seen(host), host.url), host, journal)


class Seen:
    """The host's time as a clock."""

    def __init__(self, host: KlinesHost) -> None:
        self._host = host

    def now(self) -> float:
        return self._host.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def closes(scenario: Scenario) -> list[float]:
    return [float(opened) + 900.0 for opened in epoch_seconds(scenario.bars)[WARM_UP:-1]]


def test_trades_over_a_feed_are_those_of_a_replay_of_its_bars(
    scenario: Scenario, expected: Outcome, host: KlinesHost, tmp_path: Path
) -> None:
    run = binance(scenario, host, tmp_path / "paper.sqlite")
    for close in closes(scenario):
        assert run.look(close + AFTER)
        assert not run.look(close + 300.0), "nothing new within a bar"
    outcome = session_outcome(run.session, scenario, tmp_path)
    run.session.close()
    assert outcome == expected
    assert run.said == []
    asked = [query for query in host.asked if query["symbol"] != "BTCUSDT"]
    assert asked == []
    assert len(host.asked) < 3 * BARS, "about one request a bar"


def test_a_bot_killed_between_any_two_looks_goes_on_with_the_same_account(
    scenario: Scenario, expected: Outcome, host: KlinesHost, tmp_path: Path
) -> None:
    journal = tmp_path / "paper.sqlite"
    run = binance(scenario, host, journal)
    for number, close in enumerate(closes(scenario)):
        run.look(close + AFTER)
        if number % 41 == 0:
            # Nothing is told to anybody: as by kill -9 only what is stored stays.
            run.session.close()
            run = binance(scenario, host, journal)
            run.look(close + AFTER + 1.0)
    outcome = session_outcome(run.session, scenario, tmp_path)
    run.session.close()
    assert outcome == expected


def test_bars_that_passed_unseen_are_missed_and_nothing_is_entered_at_a_price_of_before(
    scenario: Scenario, host: KlinesHost, tmp_path: Path
) -> None:
    run = binance(scenario, host, tmp_path / "paper.sqlite")
    moments = closes(scenario)
    for close in moments[:100:10]:
        # Ten minutes after the close: whatever is decided now is too late.
        run.look(close + 600.0)
    status = run.session.bot.status
    assert (status.bars_processed, status.bars_missed) == (10, 81)
    assert run.session.journal.trades() == []
    blocked = run.session.journal.blocks()
    assert blocked, "the models named sides"
    assert all("market_closed" in row["gates"].split() for row in blocked)
    run.session.close()


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (503, b"", "HTTP 503"),
        (429, b"", "HTTP 429"),
        (200, b"<html>", "no list of klines"),
        (200, b"[[1,2]]", "no list of klines"),
        (200, b'[[1,"x"', "no list of klines"),
    ],
)
def test_an_outage_is_said_once_waited_for_and_invents_nothing(
    scenario: Scenario, host: KlinesHost, tmp_path: Path, status: int, body: bytes, word: str
) -> None:
    run = binance(scenario, host, tmp_path / "paper.sqlite")
    moments = closes(scenario)
    assert run.look(moments[0] + AFTER)
    host.status, host.body = status, body
    for close in moments[1:4]:
        assert not run.look(close + AFTER)
    assert len(run.said) == 1
    assert word in run.said[0]
    assert run.session.server.now == moments[0]
    host.status, host.body = 200, b""
    assert run.look(moments[3] + AFTER + 5.0)
    assert run.said[1] == "prices of binance BTCUSDT are back"
    assert run.session.bot.status.bars_missed == 2
    run.session.close()


def test_a_price_that_breaks_a_rule_is_waited_out(scenario: Scenario, host: KlinesHost, tmp_path: Path) -> None:
    run = binance(scenario, host, tmp_path / "paper.sqlite")
    moments = closes(scenario)
    row = WARM_UP + 1
    good, host.bars = host.bars, host.bars.copy()
    host.bars.loc[row, "high"] = host.bars.loc[row, "low"] - 1.0
    run.look(moments[0] + AFTER)
    assert not run.look(moments[1] + AFTER)
    assert "break a rule" in run.said[0]
    host.bars = good
    assert run.look(moments[1] + 2 * AFTER)
    run.session.close()


def test_a_feed_that_shows_no_new_bar_is_told(scenario: Scenario, host: KlinesHost, tmp_path: Path) -> None:
    run = binance(scenario, host, tmp_path / "paper.sqlite")
    moments = closes(scenario)
    row = WARM_UP + 3
    host.bars, host.opens = host.bars.iloc[:row], host.opens[:row]
    for close in moments[:3]:
        assert run.look(close + AFTER), "the last bar closes though nothing follows yet"
    for minutes in (5, 10, 20, 40):
        assert not run.look(moments[2] + 60.0 * minutes)
    assert len(run.said) == 1
    assert "has shown no new bar" in run.said[0]
    run.session.close()


@pytest.mark.parametrize("status", [400, 403, 451])
def test_a_refusal_that_no_waiting_mends_ends_the_bot(
    scenario: Scenario, host: KlinesHost, tmp_path: Path, status: int
) -> None:
    host.status = status
    with pytest.raises(NetworkError, match=f"HTTP {status}"):
        binance(scenario, host, tmp_path / "paper.sqlite")


def test_a_host_that_is_not_there_is_waited_for_and_no_account_is_begun(
    scenario: Scenario, host: KlinesHost, tmp_path: Path
) -> None:
    feed, said = BinanceFeed("BTCUSD", USUAL, Seen(host), "http://127.0.0.1:9"), [""][:0]
    market = GrowingMarket(feed, scenario.settings, lambda: host.now, said.append, fixed_spread=False)
    assert market.open(tmp_path / "paper.sqlite", WARM_UP) is None
    assert market.open(tmp_path / "paper.sqlite", WARM_UP) is None
    assert len(said) == 1
    assert "does not answer" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_the_account_of_another_market_is_refused_with_both_names(
    scenario: Scenario, host: KlinesHost, tmp_path: Path
) -> None:
    journal = tmp_path / "paper.sqlite"
    check_same_market(journal, "embedded market")
    binance(scenario, host, journal).session.close()
    check_same_market(journal, "binance BTCUSDT")
    with pytest.raises(UsageError, match=r"trades the binance BTCUSDT, this start the embedded market; .*--fresh"):
        check_same_market(journal, "embedded market")


@pytest.mark.parametrize(
    ("symbol", "pair"), [("BTCUSD", "BTCUSDT"), ("ethusd", "ETHUSDT"), ("BTCUSDT", "BTCUSDT"), ("SOLUSD", "SOLUSDT")]
)
def test_dollars_are_tethers_at_binance(symbol: str, pair: str) -> None:
    assert binance_symbol(symbol) == pair


@pytest.mark.parametrize("symbol", ["GER40", "USD", "USDJPY", "BTCEUR"])
def test_other_symbols_have_no_pair(symbol: str) -> None:
    with pytest.raises(UsageError, match=symbol):
        binance_symbol(symbol)


def test_a_terminal_as_feed_gives_the_trades_of_a_replay_with_its_own_spreads(
    scenario: Scenario, tmp_path: Path
) -> None:
    bars = scenario.bars.assign(spread=[1000.0 + 100.0 * (row % 7) for row in range(len(scenario.bars))])
    spread = replace(scenario, bars=bars)
    expected = replay_outcome(spread.until(len(bars) - 1), tmp_path)
    settings, params = scenario.settings, build_params(scenario.settings, scenario.ml_settings)
    source: TradeServer = paper_server(
        bars, WARM_UP, settings, params, no_minutes(), 1.0, clock=settings.broker.server_clock
    )
    source.conditions.algo_trading = False
    host = KlinesHost(bars, float(epoch_seconds(bars)[WARM_UP]))
    feed = TerminalFeed(
        SimulatedTerminal(source),
        settings,
        TerminalClock(source),
        "mt5",
        timing=Timing(call=float("inf")),
        volume_unit=source.main.volume_scale,
    )
    source.begin_due()
    run = Run(spread, feed, host, tmp_path / "paper.sqlite")
    assert run.session.bot.status.identity.startswith("mt5 BTCUSD:")
    while source.main.bar < len(bars) - 1:
        source.advance()
        source.begin_due()
        run.look(float(source.now) + AFTER)
    outcome = session_outcome(run.session, spread, tmp_path)
    run.session.close()
    assert len(outcome.trade_rows) > 10
    assert outcome == expected
    assert len(source.book.deals) == 1, "the deposit: nothing was ordered where the prices come from"
