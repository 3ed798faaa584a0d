"""The journal in a SQLite file: the contract, and what files bring with them."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novosky.database.place import sqlite_url
from novosky.errors import StorageError
from tests.contracts.journal import (
    BAR,
    LATER,
    BarContract,
    HistoryContract,
    OutboxContract,
    PlaceContract,
    SymbolContract,
    deal,
    decision_at,
    entry_at,
    message,
    status_at,
)
from tests.helpers.command_line import run_script
from trading.journal import Journal
from trading.paper.session import single_instance


class FilePlace:
    """A SQLite file as the contract's place."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def open(self, *, read_only: bool = False, symbol: str | None = "BTCUSD") -> Journal:
        return Journal(sqlite_url(self.file), symbol=symbol, durable=True, read_only=read_only, channels=("telegram",))

    def open_as_second_bot(self) -> None:
        with single_instance(self.file):
            self.open().close()

    def run(self, statement: str) -> list[Mapping[str, Any]]:
        with closing(sqlite3.connect(self.file)) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(statement)]
            connection.commit()
            return rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def place(file: Path) -> FilePlace:
    return FilePlace(file)


@pytest.fixture
def journal(place: FilePlace) -> Iterator[Journal]:
    with single_instance(place.file):
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


def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere.* check the path"):
        Journal(sqlite_url(tmp_path / "nowhere" / "journal.sqlite"), symbol="BTCUSD", durable=True)


def test_a_look_at_no_file_creates_none(place: FilePlace) -> None:
    with pytest.raises(StorageError, match="start the bot once"):
        place.open(read_only=True)
    assert not place.file.exists()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_live_accounts_are_synced_to_the_disk_at_every_commit(file: Path, durable: bool, level: int) -> None:
    journal = Journal(sqlite_url(file), symbol="BTCUSD", durable=durable)
    with journal._database.looking() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    journal.close()


def test_a_read_only_file_is_not_writable(journal: Journal, file: Path) -> None:
    journal.check_writable()
    journal.close()
    read_only = Journal(
        sqlite_url(file).update_query_dict({"mode": "ro", "uri": "true"}).set(database=file.as_uri()), durable=True
    )
    with pytest.raises(StorageError, match=r"readonly.* mend the permissions"):
        read_only.check_writable()
    read_only.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions mean nothing to root or to Windows")
def test_a_file_without_permission_to_write_is_named_with_the_mend(place: FilePlace) -> None:
    place.open().close()
    place.file.chmod(0o444)
    with pytest.raises(StorageError, match=r"journal\.sqlite.* mend the permissions") as refusal:
        place.open().check_writable()
    assert refusal.value.exit_code == 7


def test_a_file_that_is_no_database_is_named_and_left_alone(file: Path) -> None:
    file.write_bytes(b"text" * 1_000)
    with pytest.raises(StorageError, match=r"journal\.sqlite.* name another file"):
        Journal(sqlite_url(file), symbol="BTCUSD", durable=True)
    assert file.read_bytes() == b"text" * 1_000


def test_a_damaged_file_is_refused_at_the_start(place: FilePlace) -> None:
    journal = place.open()
    for number in range(40):
        bar = BAR + 900 * number
        journal.record_bar(status_at(bar), decision_at(bar, candidate="x" * 2_000), [], [], [])
    journal.close()
    content = bytearray(place.file.read_bytes())
    # Every page but the first: the header still says it is a database.
    content[4_096:] = bytes(byte ^ 0x5A for byte in content[4_096:])
    place.file.write_bytes(content)
    with pytest.raises(StorageError, match=r"journal\.sqlite.* put back a copy") as refusal:
        place.open()
    assert refusal.value.exit_code == 7


def test_a_damaged_journal_ends_the_bot_with_its_exit_code(tmp_path: Path, root: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "paper.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    answer = run_script("trading.py", "--health", cwd=tmp_path)
    assert answer.code == 7
    assert "paper.sqlite" in answer.err
    assert "Traceback" not in answer.err


def fill_up(journal: Journal) -> None:
    """Try to write a bar that is larger than what is left of the disk."""
    journal.record_bar(
        status_at(LATER, bars_processed=2),
        decision_at(LATER, action="entry"),
        [entry_at(LATER)],
        [deal(4, 2, 0)],
        [],
        [replace(message(text="x" * 50_000), key=f"filling:{number}") for number in range(60)],
    )


def check_a_full_disk_leaves_no_trace(place: FilePlace, journal: Journal) -> None:
    with pytest.raises(StorageError, match=r"full.* free space .* left no trace") as refusal:
        fill_up(journal)
    assert refusal.value.exit_code == 7
    for reader in (journal, place.open(read_only=True)):
        status = reader.status()
        assert status is not None
        assert (status.last_bar, reader.open_intents(), list(reader.entry_deals(2))) == (BAR, [], [])
        assert (reader.decision(LATER), reader.outbox.message("closed:9")) == (None, None)


def test_a_database_that_cannot_grow_keeps_what_it_has_and_goes_on_later(place: FilePlace) -> None:
    journal = place.open()
    journal.record_bar(status_at(), decision_at(), [], [], [])
    # SQLite keeps this limit with the connection: the one that writes has to have it.
    with journal._database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    check_a_full_disk_leaves_no_trace(place, journal)
    with journal._database.transaction() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    fill_up(journal)
    assert journal.open_intents() == [entry_at(LATER)]
    journal.close()


@contextmanager
def small_disk(folder: Path, kibibytes: int) -> Iterator[None]:
    """Mount a small disk of its own at a folder, where this machine lets us."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    options = f"size={kibibytes}k"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_keeps_what_it_has_and_goes_on_later(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 1_024):
        place = FilePlace(folder / "journal.sqlite")
        journal = place.open()
        journal.record_bar(status_at(), decision_at(), [], [], [])
        check_a_full_disk_leaves_no_trace(place, journal)
        journal.record_bar(status_at(LATER), decision_at(LATER), [], [], [])
        journal.close()
        again = place.open()
        status = again.status()
        assert status is not None
        assert status.last_bar == LATER
        again.close()
