"""An older journal is brought up to date as a whole or not at all, and its bot goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text

from novosky.database.place import sqlite_url
from novosky.errors import StorageError
from tests.contracts.journal_migrations import MigrationContract
from tests.helpers.old_journals import (
    rows_as_version_1,
    sample_rows,
    write_version_1,
    write_version_2,
    write_version_3,
)
from tests.helpers.paper_runs import (
    Scenario,
    backtest_outcome,
    finish,
    go_on_until,
    open_scenario,
    planted_bars,
    session_outcome,
    settings_with,
)
from trading.brokers.mt5.retcodes import OUTCOMES
from trading.brokers.port import Outcome
from trading.journal import Journal
from trading.journal.tables import SCHEMA_VERSION
from trading.journal.versions import fourth_outcomes
from trading.journal.versions.migrations import MIGRATIONS
from trading.journal.versions.older_copy import copy_name


class FileDatabase:
    """A SQLite file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self, *, read_only: bool = False) -> Journal:
        return Journal(
            sqlite_url(self.file), symbol="BTCUSD", durable=True, read_only=read_only, channels=("telegram",)
        )

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        engine = create_engine(sqlite_url(self.file))
        with engine.begin() as connection:
            yield connection
        engine.dispose()


@pytest.fixture
def database(tmp_path: Path) -> FileDatabase:
    return FileDatabase(tmp_path / "journal.sqlite")


class TestMigration(MigrationContract):
    pass


def test_every_older_version_has_its_migration() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_the_file_of_a_killed_migration_is_the_old_version(database: FileDatabase, tmp_path: Path) -> None:
    """What the disk holds at each statement is what a killed process leaves behind."""
    with database.connect() as connection:
        write_version_1(connection, sample_rows(3, results=False))
    copies: list[Path] = []

    def copy(*_: object) -> None:
        folder = tmp_path / str(len(copies))
        folder.mkdir()
        for file in tmp_path.glob("journal.sqlite*"):
            (folder / file.name).write_bytes(file.read_bytes())
        copies.append(folder / "journal.sqlite")

    event.listen(Engine, "before_cursor_execute", copy)
    try:
        database.open().close()
    finally:
        event.remove(Engine, "before_cursor_execute", copy)
    assert len(copies) > 20
    for file in copies:
        journal = FileDatabase(file).open()
        status = journal.status()
        assert status is not None
        assert (status.guard.closed, len(journal.trades())) == (3, 3)
        journal.close()


WRITERS = {
    "version 1, guard without results": (write_version_1, False),
    "version 1, guard with results": (write_version_1, True),
    "version 2": (write_version_2, True),
    "version 3": (write_version_3, True),
}


@pytest.mark.parametrize("older", WRITERS)
def test_a_bot_goes_on_with_the_journal_of_an_older_version(tmp_path: Path, older: str) -> None:
    write, results = WRITERS[older]
    scenario = Scenario(
        planted_bars(110),
        settings=settings_with(costs={"commission_per_lot": 2.0}, risk_management={"sl_atr_mult": 0.8}),
    )
    expected = backtest_outcome(scenario, tmp_path)
    file = tmp_path / "journal.sqlite"
    session = open_scenario(scenario, file)
    go_on_until(session, lambda: session.bot.status.guard.closed >= 4 and bool(session.broker.positions()))
    session.close()
    rows = rows_as_version_1(file, results=results)
    for part in tmp_path.glob("journal.sqlite*"):
        part.unlink()
    with FileDatabase(file).connect() as connection:
        write(connection, rows)
    session = open_scenario(scenario, file)
    finish(session)
    assert session_outcome(session, scenario, tmp_path) == expected
    assert session.bot.status.guard.closed > 6
    session.close()


def test_the_older_journal_is_kept_beside_the_new_one(database: FileDatabase) -> None:
    with database.connect() as connection:
        write_version_1(connection, sample_rows(3, results=True))
    database.open().close()
    with FileDatabase(copy_name(database.file, 1)).connect() as connection:
        assert connection.execute(text("SELECT schema_version FROM bot_status")).scalar_one() == 1
        assert connection.execute(text("SELECT count(*) FROM trades")).scalar_one() == 3
    before = sorted(path.name for path in database.file.parent.iterdir())
    database.open().close()
    assert sorted(path.name for path in database.file.parent.iterdir()) == before, (
        "one that is up to date is not copied"
    )


def test_without_room_for_the_copy_the_journal_stays_as_it_was(
    database: FileDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect() as connection:
        write_version_1(connection, sample_rows(3, results=True))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trading.journal.versions.older_copy.replace_file", full)
    with pytest.raises(StorageError, match=r"no copy of it could be kept at .*version-1.*No space left"):
        database.open()
    with database.connect() as connection:
        assert connection.execute(text("SELECT schema_version FROM bot_status")).scalar_one() == 1
    assert not list(database.file.parent.glob(".*unfinished*"))


def test_every_word_of_an_older_journal_is_one_of_todays() -> None:
    """A word that was written once is still understood: late orders are told by it."""
    meant = {code: word for code, word in fourth_outcomes._WORDS.items() if code > 0}
    assert meant == {code: OUTCOMES[code].value for code in meant}
    assert {fourth_outcomes._WORDS[-1], fourth_outcomes._WORDS[-2]} == {Outcome.UNKNOWN, Outcome.NOT_PLACED}
