"""One writer per account whatever stands between the bot and PostgreSQL: kept sessions only, and no traces left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from novosky.database.place import journal_url
from novosky.errors import LockedError, StorageError
from tests.contracts.journal import decision_at, status_at
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, planted_bars
from tests.hosts.pgbouncer import pooled
from tests.hosts.postgres_server import PASSWORD, PostgresServer, serving
from trading.journal import Journal
from trading.journal.journal import JOURNAL

SETTINGS = ("default_transaction_read_only", "statement_timeout", "lock_timeout", "synchronous_commit",
            "tcp_keepalives_idle", "idle_in_transaction_session_timeout", "search_path")  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[PostgresServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: PostgresServer) -> PostgresServer:
    running.clear()
    return running


def through(port: int, server: PostgresServer) -> URL:
    return journal_url(server.url().set(port=port).render_as_string(hide_password=False))


def direct(server: PostgresServer) -> URL:
    return through(server.port, server)


def locks_held(server: PostgresServer) -> int:
    import psycopg

    with psycopg.connect(server.url().set(drivername="postgresql").render_as_string(False)) as outside:
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
        row = outside.execute(query, (JOURNAL.lock_class,)).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("size", [1, 2, 5, 20])
@pytest.mark.parametrize("round_robin", [False, True], ids=["newest", "in turn"])
@pytest.mark.parametrize("warm", [0, 3], ids=["cold", "warm"])
def test_a_pooler_in_transaction_mode_is_refused_with_what_to_use(
    server: PostgresServer, size: int, round_robin: bool, warm: int
) -> None:
    import psycopg

    with pooled(server, "transaction", size=size, round_robin=round_robin) as port:
        plain = server.url().set(port=port, drivername="postgresql").render_as_string(False)
        others = [psycopg.connect(plain) for _ in range(min(warm, size))]
        for other in others:
            other.execute("SELECT 1")
        for other in others:
            # The server processes stay in the pool, idle.
            other.rollback()
        with pytest.raises(StorageError) as refusal:
            Journal(through(port, server), symbol="BTCUSD", durable=True, patience=5.0)
        for other in others:
            other.close()
    message = str(refusal.value)
    assert refusal.value.exit_code == 7
    for word in ("pooler", "session mode", "direct connection", "5432"):
        assert word in message
    assert PASSWORD not in message
    assert locks_held(server) == 0
    # What was refused stands in nobody's way.
    Journal(direct(server), symbol="BTCUSD", durable=True).close()


def test_a_pooler_in_statement_mode_is_refused_with_what_to_use(server: PostgresServer) -> None:
    with pooled(server, "statement") as port:
        for read_only in (False, True):
            with pytest.raises(StorageError, match="session mode"):
                Journal(through(port, server), symbol="BTCUSD", durable=True, read_only=read_only, patience=5.0)


def test_a_pooler_without_a_second_session_is_named(server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novosky.database.pooler.PATIENCE", 1.0)
    with pooled(server, "session", size=1) as port, pytest.raises(StorageError, match="default_pool_size"):
        Journal(through(port, server), symbol="BTCUSD", durable=True, patience=5.0)


def test_a_bot_trades_through_a_pooler_in_session_mode(server: PostgresServer, tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(40)), tmp_path)
    with pooled(server, "session") as port:
        url = through(port, server)
        assert desk.run(30, database=url, look=lambda session: bot_of(session).status.bars_processed) > 20


def test_a_second_bot_is_refused_whichever_way_it_comes(server: PostgresServer) -> None:
    with pooled(server, "session") as port:
        first = Journal(through(port, server), symbol="BTCUSD", durable=True)
        for url in (through(port, server), direct(server)):
            with pytest.raises(LockedError, match="another bot"):
                Journal(url, symbol="BTCUSD", durable=True, patience=0.2)
        first.close()
        second = Journal(direct(server), symbol="BTCUSD", durable=True)
        with pytest.raises(LockedError, match="another bot"):
            Journal(through(port, server), symbol="BTCUSD", durable=True, patience=0.2)
        second.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_whoever_only_reads_leaves_nothing_behind_in_the_pool(server: PostgresServer, mode: str) -> None:
    import psycopg

    books = Journal(direct(server), symbol="BTCUSD", durable=True)
    books.record_bar(status_at(), decision_at(), [], [], [])
    books.close()
    with pooled(server, mode, size=3) as port:
        plain = server.url().set(port=port, drivername="postgresql").render_as_string(False)

        def settings() -> dict[int, list[str]]:
            clients = [psycopg.connect(plain) for _ in range(2)]
            found: dict[int, list[str]] = {}
            for client in clients:
                row = client.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                values = [client.execute(f"SHOW {name}").fetchone() for name in SETTINGS]
                prepared = client.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
                found[row[0]] = [str(value) for value in (*values, prepared)]
            for client in clients:
                client.rollback()
                client.close()
            return found

        before = settings()
        for _ in range(10):
            look = Journal(through(port, server), symbol="BTCUSD", durable=True, read_only=True)
            assert look.status() is not None
            with pytest.raises(StorageError):
                look.set_flag("no", "way", 0)
            look.close()
        after = settings()
        shared = before.keys() & after.keys()
        assert shared, "the same server processes are met again"
        assert [after[process] for process in shared] == [before[process] for process in shared]


@pytest.mark.parametrize("loss", ["pg_advisory_unlock_all()", "pg_terminate_backend(pg_backend_pid())"])
def test_a_session_that_loses_its_lock_writes_nothing_more(server: PostgresServer, loss: str) -> None:
    from sqlalchemy import text

    books = Journal(direct(server), symbol="BTCUSD", durable=True, patience=5.0)
    books.record_bar(status_at(), decision_at(), [], [], [])
    if "unlock" in loss:
        with books._database._writing.connect() as own:
            own.execute(text(f"SELECT {loss}"))
            own.commit()
        with pytest.raises(StorageError, match="lost its lock"):
            books.set_flag("paused", "me", 0)
        assert books.flag("paused") is None
    else:
        import psycopg

        with psycopg.connect(server.url().set(drivername="postgresql").render_as_string(False)) as outside:
            outside.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s",
                (JOURNAL.lock_class,),
            )
        books.set_flag("paused", "me", 0)
        assert locks_held(server) == 1, "a new session has the lock before it writes"
    books.close()
