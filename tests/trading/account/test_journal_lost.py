"""A journal that goes away under a running bot ends it at the next bar, before any order, with the reason and 7."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text

from novosky.database.place import journal_url
from novosky.errors import StorageError
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, planted_bars
from tests.hosts.postgres_server import PostgresServer, serving
from trading.live.session import LiveSession

BARS = 120
HARMS = ("deleted", "folder deleted", "moved", "replaced by an older copy", "replaced by an empty file")


@pytest.fixture
def desk(tmp_path: Path) -> LiveDesk:
    return LiveDesk(Scenario(planted_bars(BARS)), tmp_path)


def ends_after(desk: LiveDesk, harm: Callable[[], None], database: URL | None = None) -> tuple[str, int, int]:
    """Do harm at a moment; return the reason of the end, the bars since, and the orders sent since."""
    at: list[tuple[int, int]] = []

    def strike(session: LiveSession) -> bool:
        if not at and session.bot is not None and bot_of(session).status.bars_processed >= 30:
            at.append((int(desk.server.now), len(desk.server.book.orders)))
            harm()
        return False

    with pytest.raises(StorageError) as end:
        desk.run(until=strike, database=database)
    assert end.value.exit_code == 7
    ((since, orders),) = at
    return str(end.value), (int(desk.server.now) - since) // 900, len(desk.server.book.orders) - orders


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes and moves no open file")
@pytest.mark.parametrize(
    "harm", ["deleted", "folder deleted", "moved", "replaced by an older copy", "replaced by an empty file"]
)
def test_a_file_that_is_gone_is_noticed_at_the_next_bar(desk: LiveDesk, tmp_path: Path, harm: str) -> None:
    file = desk.logs / "novosky.sqlite"

    def strike() -> None:
        if harm == "deleted":
            for each in desk.logs.glob("novosky.sqlite*"):
                each.unlink()
        elif harm == "folder deleted":
            shutil.rmtree(desk.logs)
        elif harm == "moved":
            file.rename(tmp_path / "away.sqlite")
        elif harm == "replaced by an older copy":
            shutil.copy(file, tmp_path / "copy.sqlite")
            (tmp_path / "copy.sqlite").replace(file)
        else:
            (tmp_path / "empty").touch()
            (tmp_path / "empty").replace(file)

    reason, bars, orders = ends_after(desk, strike)
    assert "deleted or replaced" in reason
    assert str(file) in reason
    assert bars <= 1
    assert orders == 0, "without its journal nothing is sent"


def test_rows_that_are_gone_from_the_file_are_noticed_at_the_next_bar(desk: LiveDesk) -> None:
    def strike() -> None:
        engine = create_engine(f"sqlite:///{desk.logs / 'novosky.sqlite'}")
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM bot_status"))
        engine.dispose()

    reason, bars, _ = ends_after(desk, strike)
    assert ("emptied" in reason, bars <= 1) == (True, True)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with serving() as server:
        yield server


DROPPED = "DROP TABLE bot_status, decisions, intents, deals, trades CASCADE"
EMPTIED = "TRUNCATE bot_status, decisions"
TURNED_BACK = "UPDATE bot_status SET last_bar = last_bar - 9000"


@pytest.mark.parametrize(
    ("statement", "word"),
    [(DROPPED, "tables were removed"), (EMPTIED, "emptied"), (TURNED_BACK, "replaced by another copy")],
)
def test_tables_that_are_gone_are_noticed_at_the_next_bar(
    desk: LiveDesk, server: PostgresServer, statement: str, word: str
) -> None:
    import psycopg

    plain = server.url().set(drivername="postgresql").render_as_string(False)
    name = f"lost_{abs(hash(statement)) % 10**8}"
    with psycopg.connect(plain, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    url = server.url(name).render_as_string(hide_password=False)

    def strike() -> None:
        with psycopg.connect(url, autocommit=True) as outside:
            outside.execute(statement)

    reason, bars, orders = ends_after(desk, strike, journal_url(url))
    assert word in reason
    assert "novosky journal adopt" in reason
    assert (bars <= 1, orders) == (True, 0)
