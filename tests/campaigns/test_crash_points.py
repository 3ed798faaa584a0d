"""Death at every boundary between the bot, its journal and the broker: nothing is lost, nothing doubled."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.paper_runs import (
    WARM_UP,
    Outcome,
    Scenario,
    backtest_outcome,
    finish,
    open_scenario,
    planted_bars,
    session_outcome,
    settings_with,
)
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5_package.structs import TradeDeal, TradeOrder
from trading.brokers.port import DealEntry
from trading.brokers.port import Outcome as OrderOutcome
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore
from trading.journal import Journal

BARS = 48


class Death(BaseException):
    """The process died here."""


class Reaper:
    """Ends the process at every boundary it is told of, a fixed number of times at each.

    Parameters
    ----------
    kinds : collection of str
        What to strike around.
    deaths_per_place : int
        Two make a bot that is being restarted die at the same place once more.
    """

    def __init__(self, kinds: Collection[str], deaths_per_place: int = 1) -> None:
        self._kinds, self._allowed = kinds, deaths_per_place
        self.deaths: Counter[tuple[Any, ...]] = Counter()

    def pass_by(self, *place: Any) -> None:
        """Die here, unless that was done often enough."""
        if place[0].split()[1] in self._kinds and self.deaths[place] < self._allowed:
            self.deaths[place] += 1
            raise Death(place)

    @property
    def boundaries(self) -> set[str]:
        """Kinds of boundary at which it struck."""
        return {place[0] for place in self.deaths}


def around(reaper: Reaper, original: Callable[..., Any], name: str, place: Callable[..., Any]) -> Callable[..., Any]:
    """Return `original` with a boundary before and after it."""

    def method(self: Any, *parts: Any, **named: Any) -> Any:
        where = place(*parts, **named)
        reaper.pass_by(f"before {name}", where)
        result = original(self, *parts, **named)
        reaper.pass_by(f"after {name}", where)
        return result

    return method


def dying_save(reaper: Reaper, original: Callable[..., Any]) -> Callable[..., Any]:
    """Return `SqliteStore.save` with boundaries around it and inside its transaction."""

    def save(self: SqliteStore, where: str, deals: list[TradeDeal], orders: list[TradeOrder]) -> None:
        def in_the_middle() -> Iterator[TradeOrder]:
            yield from orders
            try:
                reaper.pass_by("inside save", where)
            except Death:
                # What the end of a process does to an open transaction.
                self.close()
                raise

        reaper.pass_by("before save", where)
        original(self, where, deals, in_the_middle())
        reaper.pass_by("after save", where)

    return save


@pytest.fixture
def unleash(monkeypatch: pytest.MonkeyPatch) -> Callable[[Reaper], None]:
    """Set boundaries around everything that leaves a trace on disk."""

    def set_up(reaper: Reaper) -> None:
        monkeypatch.setattr(SqliteStore, "save", dying_save(reaper, SqliteStore.save))
        places: list[tuple[type, str, Callable[..., Any]]] = [
            (Journal, "save_status", lambda status: status.last_bar),
            (Journal, "record_bar", lambda status, *_: status.last_bar),
            (Journal, "close_intent", lambda intent, state, *_, **__: (intent.id, state)),
            (Mt5Broker, "send", lambda request: request.comment),
            (TradeServer, "advance", lambda: 0),
        ]
        for owner, name, place in places:
            monkeypatch.setattr(owner, name, around(reaper, getattr(owner, name), name, place))

    return set_up


def live_through(scenario: Scenario, folder: Path) -> Outcome:
    """Start the bot again and again until it reaches the end of its market."""
    journal = folder / "journal.sqlite"
    while True:
        session = None
        try:
            session = open_scenario(scenario, journal)
            finish(session)
        except Death:
            continue
        finally:
            if session is not None:
                session.close()
        break
    session = open_scenario(scenario, journal)
    outcome = session_outcome(session, scenario, folder)
    check_books(session.broker, session.journal)
    session.close()
    return outcome


def check_books(broker: Mt5Broker, journal: Journal) -> None:
    """Demand one entry deal per filled entry, one exit per trade, and no order without an outcome."""
    deals = broker.deals(0)
    entries = [deal.comment for deal in deals if deal.entry == DealEntry.IN]
    exits = [deal.position for deal in deals if deal.entry == DealEntry.OUT]
    assert len(set(entries)) == len(entries)
    assert len(set(exits)) == len(exits) == len(journal.trades())
    for comment in entries:
        intent = journal.intent(comment)
        assert intent is not None and intent["state"] == "filled"
    assert all(intent.bar == broker.quote().time for intent in journal.open_intents()), "but the last bar's"


def trading_scenario() -> Scenario:
    settings = settings_with(costs={"commission_per_lot": 2.0}, risk_management={"sl_atr_mult": 0.8})
    return Scenario(planted_bars(BARS), settings=settings)


def refusing_scenario() -> Scenario:
    bars = planted_bars(BARS)
    absent = np.zeros(len(bars), dtype=bool)
    absent[WARM_UP + 4 :: 5] = True
    bars["spread"] = np.random.default_rng(2).integers(300, 4_500, len(bars)).astype(float)
    settings = settings_with(broker={"stops_level": 17_000})
    return Scenario(bars[~absent].reset_index(drop=True), settings=settings)


def halting_scenario() -> Scenario:
    settings = settings_with(
        costs={"spread": 30.0},
        max_total_drawdown_pct=2.5,
        dynamic_position_sizing={"risk_percent": 4.0},
        risk_management={"sl_atr_mult": 5.0, "tp_atr_mult": 1.0, "max_spread_atr": 1.0},
    )
    return Scenario(planted_bars(BARS), settings=settings)


JOURNAL_AND_ORDERS = ("save_status", "record_bar", "send", "close_intent")
EVERYTHING = ("save", "advance", *JOURNAL_AND_ORDERS)


@pytest.mark.parametrize("kinds", [("save",), JOURNAL_AND_ORDERS], ids=["broker", "journal"])
def test_trades_survive_death_at_every_boundary(
    tmp_path: Path, unleash: Callable[[Reaper], None], kinds: tuple[str, ...]
) -> None:
    scenario = trading_scenario()
    expected = backtest_outcome(scenario, tmp_path)
    assert len(expected.trade_rows) >= 5
    reaper = Reaper(kinds)
    unleash(reaper)
    assert live_through(scenario, tmp_path) == expected
    assert reaper.boundaries >= {f"{side} {kind}" for side in ("before", "after") for kind in kinds}
    assert len(reaper.deaths) > 2 * BARS


def test_trades_survive_death_during_recovery(tmp_path: Path, unleash: Callable[[Reaper], None]) -> None:
    scenario = trading_scenario()
    expected = backtest_outcome(scenario, tmp_path)
    reaper = Reaper(EVERYTHING, deaths_per_place=2)
    unleash(reaper)
    assert live_through(scenario, tmp_path) == expected
    assert "inside save" in reaper.boundaries
    assert {deaths for place, deaths in reaper.deaths.items() if place[0].startswith("before")} == {2}


@pytest.mark.parametrize("kinds", [("save",), JOURNAL_AND_ORDERS], ids=["broker", "journal"])
def test_refused_orders_survive_death_at_every_boundary(
    tmp_path: Path, unleash: Callable[[Reaper], None], kinds: tuple[str, ...]
) -> None:
    scenario = refusing_scenario()
    expected = backtest_outcome(scenario, tmp_path)
    reaper = Reaper(kinds)
    unleash(reaper)
    assert live_through(scenario, tmp_path) == expected
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        refusals = connection.execute("SELECT DISTINCT outcome FROM intents WHERE state = 'rejected'").fetchall()
    assert {word for (word,) in refusals} == {OrderOutcome.MARKET_CLOSED, OrderOutcome.STOPS_TOO_CLOSE}


@pytest.mark.parametrize("kinds", [("save",), JOURNAL_AND_ORDERS], ids=["broker", "journal"])
def test_a_halt_survives_death_at_every_boundary(
    tmp_path: Path, unleash: Callable[[Reaper], None], kinds: tuple[str, ...]
) -> None:
    scenario = halting_scenario()
    expected = backtest_outcome(scenario, tmp_path)
    assert expected.trade_rows[-1][8] == "halt"
    reaper = Reaper(kinds)
    unleash(reaper)
    assert live_through(scenario, tmp_path) == expected
