"""The journal in PostgreSQL: the contract, the lock, and servers that go away."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import ProgrammingError

from engine.outputs.tables import utc_text
from novosky.database.place import journal_url
from novosky.errors import LockedError, SettingsError, StorageError
from tests.contracts.journal import (
    BAR,
    LATER,
    BarContract,
    HistoryContract,
    OutboxContract,
    PlaceContract,
    SymbolContract,
    decision_at,
    entry_at,
    message,
    status_at,
)
from tests.contracts.journal_migrations import MigrationContract
from tests.helpers.paper_runs import (
    Scenario,
    backtest_outcome,
    finish,
    go_on,
    open_scenario,
    planted_bars,
    session_outcome,
    settings_with,
)
from tests.hosts.cutting_proxy import CuttingProxy
from tests.hosts.postgres_server import PASSWORD, PostgresServer, serving
from trading.journal import INTENT_FILLED, Journal

PATIENCE = 20.0


class ServerPlace:
    """A PostgreSQL database as the contract's place."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.port = server.port

    def open(self, *, read_only: bool = False, symbol: str | None = "BTCUSD", patience: float = PATIENCE) -> Journal:
        url = journal_url(self.server.url().set(port=self.port).render_as_string(hide_password=False))
        return Journal(url, symbol=symbol, durable=True, read_only=read_only, patience=patience, channels=("telegram",))

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        engine = create_engine(journal_url(self.server.url().render_as_string(hide_password=False)))
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def open_as_second_bot(self) -> None:
        self.open(patience=0.2).close()

    def run(self, statement: str) -> list[Mapping[str, Any]]:
        engine = create_engine(journal_url(self.server.url().render_as_string(hide_password=False)))
        try:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                answer = connection.execute(text(statement))
                return [dict(row) for row in answer.mappings()] if answer.returns_rows else []
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with serving() as server:
        yield server


@pytest.fixture
def place(server: PostgresServer) -> ServerPlace:
    server.clear()
    return ServerPlace(server)


@pytest.fixture
def journal(place: ServerPlace) -> Iterator[Journal]:
    journal = place.open()
    yield journal
    journal.close()


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[CuttingProxy]:
    with CuttingProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def distant(place: ServerPlace, proxy: CuttingProxy) -> Iterator[Journal]:
    """A journal behind a connection that can be cut."""
    place.port = proxy.port
    journal = place.open()
    yield journal
    journal.close()


class TestBars(BarContract):
    pass


class TestOutbox(OutboxContract):
    pass


class TestSymbols(SymbolContract):
    pass


class TestHistory(HistoryContract):
    pass


class TestPlace(PlaceContract):
    pass


class TestMigration(MigrationContract):
    stride = 6

    @pytest.fixture
    def database(self, place: ServerPlace) -> ServerPlace:
        return place


def test_the_lock_ends_with_its_holder(journal: Journal, place: ServerPlace) -> None:
    with pytest.raises(LockedError):
        place.open_as_second_bot()
    journal.close()
    place.open_as_second_bot()


def test_bots_in_schemas_of_their_own_do_not_meet(journal: Journal, place: ServerPlace, server: PostgresServer) -> None:
    place.run("CREATE SCHEMA other")
    url = server.url().set(drivername="postgresql+psycopg", query={"options": "-csearch_path=other"})
    other = Journal(url, symbol="BTCUSD", durable=True, patience=0.2)
    other.save_status(status_at())
    assert journal.status() is None
    other.close()
    place.run("DROP SCHEMA other CASCADE")


def test_reading_survives_a_restart_of_the_server(journal: Journal, place: ServerPlace, server: PostgresServer) -> None:
    journal.save_status(status_at())
    look = place.open(read_only=True)
    server.stop()
    restart = threading.Timer(0.3, server.start)
    restart.start()
    for reader in (journal, look):
        status = reader.status()
        assert status is not None
        assert status.identity == "me"
    restart.join()
    look.close()


def test_a_server_that_stays_away_is_reported_in_time(place: ServerPlace, proxy: CuttingProxy) -> None:
    place.port = proxy.port
    journal = place.open(patience=0.5)
    proxy.refuse()
    begun = time.monotonic()
    with pytest.raises(StorageError, match="check that the server runs") as refusal:
        journal.status()
    assert time.monotonic() - begun < 10.0
    assert refusal.value.exit_code == 7
    journal.close()


def test_a_new_session_holds_the_lock_again(distant: Journal, proxy: CuttingProxy, place: ServerPlace) -> None:
    proxy.cut_all()
    distant.save_status(status_at())
    with pytest.raises(LockedError):
        place.open_as_second_bot()


def test_a_second_bot_that_took_over_keeps_the_first_away(proxy: CuttingProxy, place: ServerPlace) -> None:
    place.port = proxy.port
    first = place.open(patience=0.2)
    first.save_status(status_at())
    proxy.cut_all()
    second = Journal(
        journal_url(place.server.url().render_as_string(hide_password=False)), durable=True, patience=PATIENCE
    )
    with pytest.raises(LockedError):
        first.record_bar(status_at(LATER), decision_at(LATER), [], [], [])
    status = second.status()
    assert status is not None
    assert status.last_bar == BAR
    first.close()
    second.close()


def write_bar(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [], [], [message()])


def check_the_bar_is_there_once(journal: Journal) -> None:
    status = journal.status()
    assert status is not None
    assert status.last_bar == BAR
    assert journal.open_intents() == [entry_at()]
    assert [queued.key for queued in journal.outbox.due(BAR, 10)] == ["closed:9"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_bar_whose_commit_was_cut_off_is_there_once(distant: Journal, proxy: CuttingProxy, moment: str) -> None:
    proxy.cut(b"COMMIT", moment)
    write_bar(distant)
    assert proxy.cuts == 1
    check_the_bar_is_there_once(distant)


def test_a_bar_cut_off_in_its_middle_is_there_once(distant: Journal, proxy: CuttingProxy) -> None:
    proxy.cut(b"INSERT INTO intents", "after")
    write_bar(distant)
    assert proxy.cuts == 1
    check_the_bar_is_there_once(distant)


def test_a_bar_cut_off_twice_is_an_error_and_the_next_start_sees_what_became_of_it(
    place: ServerPlace, distant: Journal, proxy: CuttingProxy
) -> None:
    proxy.cut(b"INSERT INTO intents", "before", times=2)
    with pytest.raises(StorageError):
        write_bar(distant)
    distant.close()
    again = place.open()
    assert again.status() is None
    write_bar(again)
    check_the_bar_is_there_once(again)
    again.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_outcome_whose_commit_was_cut_off_is_recorded(distant: Journal, proxy: CuttingProxy, moment: str) -> None:
    write_bar(distant)
    proxy.cut(b"COMMIT", moment)
    distant.close_intent(entry_at(), INTENT_FILLED, "filled", 5, messages=[message("filled:e1")])
    assert distant.open_intents() == []
    assert [queued.key for queued in distant.outbox.due(BAR, 10)] == ["closed:9", "filled:e1"]


def test_a_failed_attempt_whose_commit_was_cut_off_counts_once(distant: Journal, proxy: CuttingProxy) -> None:
    distant.outbox.enqueue(message())
    (queued,) = distant.outbox.due(BAR, 10)
    proxy.cut(b"COMMIT", "after")
    distant.outbox.mark_failed(queued.id, BAR, LATER, "no route")
    assert distant.outbox.due(LATER, 10)[0].attempts == 1


def test_a_bot_that_is_killed_and_cut_off_trades_what_the_backtest_trades(
    place: ServerPlace, proxy: CuttingProxy, tmp_path: Path
) -> None:
    scenario = Scenario(planted_bars(60), settings=settings_with(risk_management={"sl_atr_mult": 0.8}))
    expected = backtest_outcome(scenario, tmp_path)
    assert len(expected.trade_rows) >= 5
    url = journal_url(place.server.url().set(port=proxy.port).render_as_string(hide_password=False))
    for part in range(3):
        session = open_scenario(scenario, tmp_path / "journal.sqlite", database=url)
        if part < 2:
            go_on(session, 7)
            # Whatever the bot does next, its connection is gone.
            proxy.cut_all()
            go_on(session, 7)
            session.journal.close()
            session.broker.close()
    finish(session)
    assert session_outcome(session, scenario, tmp_path) == expected
    session.close()
    assert not (tmp_path / "journal.sqlite").exists()


def test_the_password_is_in_no_message(server: PostgresServer) -> None:
    def words_of(url: Any) -> str:
        with pytest.raises(StorageError) as refusal:
            Journal(url, symbol="BTCUSD", durable=True, patience=0.1)
        return str(refusal.value)

    wrong = journal_url(server.url(password="open sesame").render_as_string(hide_password=False))
    absent = journal_url(server.url(database="absent").render_as_string(hide_password=False))
    beside = absent.set(password=None, query={"password": PASSWORD, "sslmode": PASSWORD})
    for words in map(words_of, (wrong, absent, beside)):
        assert "127.0.0.1" in words
        for secret in ("open sesame", "open%20sesame", PASSWORD, "p%40ss"):
            assert secret not in words


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://u:hidden@h/d", "neither PostgreSQL nor SQLite"),
        ("postgresql://u:hid@den@h/d", "%40"),
        ("postgresql://u:hidden@h:port/d", "not a database URL"),
    ],
)
def test_an_address_that_cannot_serve_is_refused_without_being_repeated(address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refusal:
        journal_url(address)
    with contextlib.suppress(IndexError):
        assert address.split("//")[1].split("@")[0] not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_spelling_leads_to_the_driver(scheme: str) -> None:
    assert journal_url(f" {scheme}://u:x@h:5432/d\n").drivername == "postgresql+psycopg"


@pytest.mark.parametrize(
    ("address", "mode"),
    [
        ("postgresql://u:x@db.example/d", "require"),
        ("postgresql://u:x@db.example/d?sslmode=verify-full", "verify-full"),
        ("postgresql://u:x@10.0.0.5/d?sslmode=disable", "disable"),
        ("postgresql://u:x@127.0.0.1/d", None),
        ("postgresql://u:x@localhost/d", None),
        ("postgresql:///d?host=/run/postgresql", None),
    ],
)
def test_what_leaves_the_machine_is_encrypted_unless_stated_otherwise(address: str, mode: str | None) -> None:
    assert journal_url(address).query.get("sslmode") == mode


def test_rows_are_shown_to_their_owner_alone(journal: Journal, place: ServerPlace) -> None:
    journal.set_flag("paused", "by 42", BAR)
    place.run("CREATE ROLE visitor")
    try:
        place.run("GRANT USAGE ON SCHEMA public TO visitor")
        place.run("GRANT ALL ON ALL TABLES IN SCHEMA public TO visitor")
        with place.connect() as connection:
            connection.execute(text("SET ROLE visitor"))
            tables = inspect(connection).get_table_names()
            assert len(tables) > 10
            for table in tables:
                assert connection.execute(text(f"SELECT * FROM {table}")).all() == []
            with pytest.raises(ProgrammingError, match="row-level security"):
                connection.execute(text("INSERT INTO flags VALUES ('resume', 'now', 0)"))
    finally:
        place.run("DROP OWNED BY visitor")
        place.run("DROP ROLE visitor")
    assert journal.flag("resume") is None


def test_the_readable_views_speak_utc_and_words_and_hide_what_the_tables_hide(
    place: ServerPlace, tmp_path: Path
) -> None:
    scenario = Scenario(planted_bars(120))
    url = journal_url(place.server.url().render_as_string(hide_password=False))
    session = open_scenario(scenario, tmp_path / "paper.sqlite", database=url)
    finish(session)
    status, decisions = session.bot.status, session.journal.decisions()
    session.close()
    (shown,) = place.run("SELECT * FROM status_readable")
    assert (shown["last_bar"], shown["equity"]) == (utc_text(status.last_bar), status.guard.equity)
    read = place.run("SELECT * FROM decisions_readable ORDER BY bar")
    assert [row["failing_gates"] for row in read] == [row["gates"] or "" for row in decisions]
    assert all(row["side"] in ("buy", "sell") for row in place.run("SELECT side FROM trades_readable"))
    options = place.run("SELECT reloptions FROM pg_class WHERE relname LIKE '%\\_readable' ORDER BY relname")
    assert [row["reloptions"] for row in options] == [["security_invoker=true"]] * 3
