"""What a person orders reaches the live bot: sent while it was away, while it runs, and over restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from novosky.supervision.freeze import freeze, is_frozen
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, planted_bars
from tests.hosts.telegram_host import TelegramHost, telegram_host
from trading.brokers.simulated.faults import pipe_cut_before
from trading.live.session import LiveSession


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


@pytest.fixture
def desk(tmp_path: Path, host: TelegramHost) -> LiveDesk:
    return LiveDesk(Scenario(planted_bars(200)), tmp_path, telegram=host.access())


def queued(desk: LiveDesk) -> dict[str, str]:
    """Every message ever queued for everybody, by key."""
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        return dict(connection.execute("SELECT key, text FROM outbox WHERE key NOT LIKE '%|to:%'").fetchall())


def holds(session: LiveSession) -> bool:
    return session.bot is not None and len(session.broker.positions()) == 1


def test_a_freeze_sent_while_the_bot_was_down_stops_the_first_entry(desk: LiveDesk, host: TelegramHost) -> None:
    host.says("/freeze")
    reasons = desk.run(60, look=lambda session: {row["gates"] for row in session.journal.blocks()})
    assert is_frozen(desk.freeze_flag)
    assert len(reasons) >= 1
    assert desk.server.book.deals[1:] == [], "only the deposit"


def test_close_closes_at_once_and_the_trade_is_booked(desk: LiveDesk) -> None:
    (ticket,) = desk.run(until=holds, look=lambda session: [each.ticket for each in session.broker.positions()])
    desk.run(0, look=lambda session: session.switches.close_all())
    ordered, left = desk.run(
        1, look=lambda session: (session.switches.close_ordered(), [each.ticket for each in session.broker.positions()])
    )
    assert (ordered, ticket in left) == (False, False), "it may have entered anew"
    assert any("(manual)" in text for key, text in queued(desk).items() if key.startswith("closed:"))


def test_a_halt_closes_latches_and_survives_restarts(desk: LiveDesk) -> None:
    desk.run(until=holds)
    desk.run(0, look=lambda session: session.switches.halt())
    halted = desk.run(5, look=lambda session: (bot_of(session).status.guard.halted, session.broker.positions()))
    assert halted == (1, [])
    session_state = desk.run(20, look=lambda session: (session.view.status().state, session.switches.halt_ordered()))
    assert session_state == ("halted", False)
    texts = queued(desk)
    assert sum(key.startswith("halted:") for key in texts) == 1
    assert any("(halt)" in text for key, text in texts.items() if key.startswith("closed:"))


def test_an_outage_is_waited_out_and_told_once(desk: LiveDesk) -> None:
    desk.run(20)
    desk.faults.plan(pipe_cut_before().on("symbol_info_tick", times=5))
    desk.run(20)
    keys = [key.partition(":")[0] for key in queued(desk)]
    assert (keys.count("away"), keys.count("back")) == (1, 1)


def test_messages_of_trades_are_queued_once_each(desk: LiveDesk) -> None:
    trades = [desk.run(40, look=lambda session: len(session.journal.trades())) for _ in range(3)][-1]
    keys = list(queued(desk))
    assert sum(key.startswith("closed:") for key in keys) == trades > 0
    assert sum(key.startswith("filled:") for key in keys) >= trades
    assert sum(key.startswith("daily:") for key in keys) >= 1


def test_views_show_what_the_journal_and_the_broker_say(desk: LiveDesk) -> None:
    def look(session: LiveSession) -> Any:
        view = session.view
        return view.status(), view.account(), view.positions(), view.trades(5), view.performance(), view.health()

    desk.run(100)
    status, account, positions, trades, performance, health = desk.run(until=holds, look=look)
    assert (status.mode, status.state) == ("live", "running")
    assert account.balance is not None and positions[0].stop is not None
    assert performance.trades >= len(trades) > 0
    assert trades[0].exit_time >= trades[-1].exit_time
    assert {item.name for item in health} >= {"Bars", "Broker", "News calendar"}


def test_the_freeze_file_stops_entries_without_telegram(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(60)), tmp_path)
    freeze("by hand", desk.freeze_flag)
    assert desk.run(look=lambda session: session.journal.trades()) == []
    assert (desk.logs / "health.json").exists()
