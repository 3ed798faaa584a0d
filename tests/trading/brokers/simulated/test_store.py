"""The simulated account on disk: it outlives the program that trades on it, whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from novosky.errors import StorageError, UsageError
from tests.helpers.mt5.terminal import BAR, QUIET, UP, Stage, market, stage
from trading.brokers.simulated.faults import process_death
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore

COSTS = {"commission_per_lot": 2.0, "swap_long": -3.0}


class Death(BaseException):
    """Stands for SIGKILL: nothing in the program may catch it."""


def opened(file: Path, **options: Any) -> Stage:
    """Open or reopen the account of a file."""
    feed = market(rows=[QUIET, QUIET, UP, QUIET, QUIET], midnights=(2,), **COSTS)
    return stage(feed, store=SqliteStore(file, durable=False), **options)


def seen(made: Stage) -> tuple[Any, ...]:
    """Everything the terminal shows of the account."""
    mt5 = made.mt5
    history = (mt5.history_deals_get(0, 2**31), mt5.history_orders_get(0, 2**31))
    return mt5.account_info(), mt5.symbol_info_tick("BTCUSD"), made.positions, mt5.orders_get(), *history


def traded(file: Path) -> Stage:
    """An account with a position, a waiting order and a past."""
    made = opened(file)
    made.deal(0, 0.3, sl=49_000.0, comment="first")
    made.close(made.position, 0.1)
    made.send(action=5, symbol="BTCUSD", type=2, volume=0.2, price=49_500.0, type_filling=2, comment="wait")
    made.server.advance()
    made.server.advance()
    return made


def test_a_reopened_account_shows_the_same(tmp_path: Path) -> None:
    made = traded(tmp_path / "account.sqlite")
    before = seen(made)
    made.server.close()
    assert seen(opened(tmp_path / "account.sqlite")) == before


def test_a_reopened_account_goes_on_the_same(tmp_path: Path) -> None:
    """Killed after every step, it ends where an account ends that never was."""
    whole = traded(tmp_path / "whole.sqlite")
    whole.close(whole.position)
    whole.server.advance()
    made = traded(tmp_path / "killed.sqlite")
    made = opened(tmp_path / "killed.sqlite")
    made.close(made.position)
    made = opened(tmp_path / "killed.sqlite")
    made.server.advance()
    assert seen(opened(tmp_path / "killed.sqlite")) == seen(whole)


@pytest.mark.parametrize("filled", [True, False])
def test_47_the_program_can_die_before_or_after_the_execution(tmp_path: Path, filled: bool) -> None:
    made = opened(tmp_path / "account.sqlite")
    made.faults.plan(process_death(Death(), filled=filled))
    with pytest.raises(Death):
        made.deal(0, 0.1, comment="intent")
    again = opened(tmp_path / "account.sqlite")
    assert [position.comment for position in again.positions] == ["intent"] * filled
    assert len(again.deals()) == int(filled)


def test_what_could_not_be_stored_did_not_happen(tmp_path: Path) -> None:
    made = traded(tmp_path / "account.sqlite")
    before = seen(made)
    blocker = sqlite3.connect(tmp_path / "account.sqlite", isolation_level=None)
    blocker.execute("CREATE TRIGGER full BEFORE INSERT ON deals BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(StorageError, match="disk is full"):
        made.deal(0, 0.1)
    assert seen(made) == before
    blocker.execute("DROP TRIGGER full")
    blocker.close()
    result = made.deal(0, 0.1)
    assert result.retcode == 10009
    assert seen(opened(tmp_path / "account.sqlite")) == seen(made)


def test_tickets_are_never_given_twice(tmp_path: Path) -> None:
    traded(tmp_path / "account.sqlite")
    made = opened(tmp_path / "account.sqlite")
    made.deal(0, 0.1)
    deals, orders = made.mt5.history_deals_get(0, 2**31), made.mt5.history_orders_get(0, 2**31)
    assert deals is not None and orders is not None
    assert len({deal.ticket for deal in deals}) == len(deals)
    assert len({order.ticket for order in orders}) == len(orders)
    assert not {deal.ticket for deal in deals} & {order.ticket for order in orders}


def test_an_account_of_other_markets_is_refused(tmp_path: Path) -> None:
    made = traded(tmp_path / "account.sqlite")
    made.server.close()
    with pytest.raises(UsageError, match="--fresh"):
        TradeServer(
            [market()],
            made.server.terms,
            1.0,
            store=SqliteStore(tmp_path / "account.sqlite", durable=True),
            identity="?",
        )


def test_an_account_of_another_layout_is_refused(tmp_path: Path) -> None:
    made = traded(tmp_path / "account.sqlite")
    made.server.close()
    with sqlite3.connect(tmp_path / "account.sqlite") as connection:
        (content,) = connection.execute("SELECT content FROM state").fetchone()
        cut = content.replace('"account": "', '"account": "00')
        assert cut != content
        connection.execute("UPDATE state SET content = ?", (cut,))
    with pytest.raises(StorageError, match="another version"):
        opened(tmp_path / "account.sqlite")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "account.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"account\.sqlite"):
        SqliteStore(tmp_path / "account.sqlite", durable=True)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "7", "[" * 100_000])
def test_an_account_whose_state_is_damaged_is_named(content: str, tmp_path: Path) -> None:
    file = tmp_path / "account.sqlite"
    SqliteStore(file, durable=False).close()
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO state (id, content) VALUES (1, ?)", (content,))
    store = SqliteStore(file, durable=False)
    with pytest.raises(StorageError, match=r"account\.sqlite is damaged .*; start with --fresh"):
        store.load()
    store.close()


def test_a_market_may_have_gained_history_in_front(tmp_path: Path) -> None:
    """The account remembers where it stands by the time, not by the row."""
    rows = [QUIET, QUIET, UP, QUIET, QUIET]
    store = SqliteStore(tmp_path / "account.sqlite", durable=False)
    first = stage(market(rows=rows), store=store)
    first.deal()
    store.close()
    longer = market(rows=[DOWNWARD, *rows], start=market().bars.time[0] - BAR, first=1)
    again = stage(longer, store=SqliteStore(tmp_path / "account.sqlite", durable=False))
    assert again.mt5.symbol_info_tick("BTCUSD") == first.mt5.symbol_info_tick("BTCUSD")
    assert again.server.bar == first.server.bar + 1


DOWNWARD = (50_100.0, 50_100.0, 50_000.0, 50_000.0)
