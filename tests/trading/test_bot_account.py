"""One bot per account, and an account whose files are locked, foreign, missing, damaged or on a full disk."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from novosky.database.place import sqlite_url
from novosky.errors import BrokerError, LockedError, StorageError, UsageError
from tests.helpers.deployments import ROOT, deploy
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import Scenario, go_on, open_scenario, planted_bars
from tests.helpers.sets.signal_sets import TRAIN_BARS
from trading.journal import Journal
from trading.paper.session import broker_file, single_instance


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(120))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_a_second_bot_on_the_same_journal_is_refused(journal: Path) -> None:
    with single_instance(journal), pytest.raises(LockedError, match="another bot"), single_instance(journal):
        pass
    with single_instance(journal):
        pass


def test_the_second_program_exits_9(desk: Desk, tmp_path: Path) -> None:
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 100, 10)
    with single_instance(deployment.journal):
        answer = deployment.replay()
    assert answer.code == 9
    assert str(deployment.journal) in answer.err
    assert deployment.replay().code == 0, "the lock ends with its holder"


def test_a_journal_of_other_terms_is_refused_until_discarded(desk: Desk, tmp_path: Path) -> None:
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 100, 10)
    assert deployment.replay().code == 0
    refused = deployment.replay("--balance", "900")
    assert refused.code == 2
    assert "--fresh" in refused.err
    begun_anew = deployment.replay("--balance", "900", "--fresh", "--trades", str(tmp_path / "trades.csv"))
    assert begun_anew.code == 0
    assert "10 bars processed" in begun_anew.out
    assert all(float(row.split(",")[12]) > 850 for row in (tmp_path / "trades.csv").read_text().splitlines()[1:])


def test_a_journal_of_another_account_is_refused(scenario: Scenario, journal: Path, tmp_path: Path) -> None:
    open_scenario(scenario, journal).close()
    other = replace(scenario, first=scenario.first + 1)
    broker_file(journal).unlink()
    with pytest.raises(BrokerError, match="the journal belongs to"):
        open_scenario(other, journal)


def test_an_account_without_its_journal_is_refused(scenario: Scenario, journal: Path) -> None:
    session = open_scenario(scenario, journal)
    go_on(session, 2)
    session.close()
    journal.unlink()
    with pytest.raises(StorageError, match=r"journal .* is gone"):
        open_scenario(scenario, journal)


def test_a_journal_without_its_account_is_refused(scenario: Scenario, journal: Path) -> None:
    session = open_scenario(scenario, journal)
    go_on(session, 2)
    session.close()
    broker_file(journal).unlink()
    with pytest.raises(StorageError, match="is ahead of"):
        open_scenario(scenario, journal)


def test_a_replay_whose_journal_lost_its_last_writes_is_refused(scenario: Scenario, journal: Path) -> None:
    session = open_scenario(scenario, journal)
    go_on(session, 2)
    session.server.advance()
    session.server.advance()
    session.close()
    with pytest.raises(StorageError, match="2 bars ahead"):
        open_scenario(scenario, journal)


def test_the_journal_of_a_session_can_be_read_by_its_path(scenario: Scenario, tmp_path: Path) -> None:
    journal = tmp_path / "50% & more?.sqlite"
    session = open_scenario(scenario, journal)
    go_on(session, 1)
    session.close()
    status = Journal(sqlite_url(journal), symbol="BTCUSD", durable=False).status()
    assert status is not None
    assert status.bars_processed == 1


def test_an_account_of_other_bars_is_refused(scenario: Scenario, journal: Path) -> None:
    open_scenario(scenario, journal).close()
    with pytest.raises(UsageError, match="--fresh"):
        open_scenario(scenario.until(len(scenario.bars) - 1), journal)


OLD_ACCOUNT = """
CREATE TABLE state (id INTEGER PRIMARY KEY, identity TEXT, anchor INTEGER, bar INTEGER, account BLOB);
INSERT INTO state VALUES (1, 'replay', 0, 12, X'00');
CREATE TABLE deals (ticket INTEGER PRIMARY KEY, position INTEGER, profit REAL);
"""


def test_an_account_of_an_earlier_version_is_refused_untouched_until_discarded(desk: Desk, tmp_path: Path) -> None:
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 100, 10)
    file = broker_file(deployment.journal)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(OLD_ACCOUNT)
    before = file.read_bytes()
    refused = deployment.replay()
    assert refused.code == 7
    for part in (str(file), "earlier version", "--fresh"):
        assert part in refused.err
    assert file.read_bytes() == before
    begun_anew = deployment.replay("--fresh")
    assert begun_anew.code == 0, begun_anew.err
    assert "10 bars processed" in begun_anew.out


def test_a_journal_that_cannot_be_made_exits_7(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 100, 10)
    answer = deployment.replay("--journal", str(tmp_path / "taken" / "journal.sqlite"))
    assert answer.code == 7
    assert answer.err.startswith("error: ")
    assert str(tmp_path / "taken") in answer.err


def test_a_journal_that_is_no_database_exits_7(desk: Desk, tmp_path: Path) -> None:
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 100, 10)
    deployment.journal.write_bytes(b"not a database " * 500)
    answer = deployment.replay()
    assert answer.code == 7
    assert str(deployment.journal) in answer.err


FULL_DISK = """
import json, pathlib, sys
from tests.helpers.command_line import run_script
from tests.helpers.small_disk import disk_with_room_for
with disk_with_room_for(300_000):
    answer = run_script("trading.py", *json.loads(sys.argv[1]), cwd=pathlib.Path())
print(json.dumps([answer.code, answer.err]))
"""
"""Runs the bot with files that cannot grow beyond 300 kB: to a program, that is a full disk."""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_up_exits_7_and_the_next_start_goes_on(desk: Desk, tmp_path: Path) -> None:
    deployment = deploy(desk, tmp_path, TRAIN_BARS + 200, 250)
    expected = deployment.backtest_trades()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, json.dumps(deployment.replay_flags)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, err = json.loads(done.stdout)
    assert code == 7
    message = err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    assert "cannot be" in message
    assert "disk" in message
    reached = deployment.bar_reached()
    assert TRAIN_BARS + 200 < reached < TRAIN_BARS + 449, "some bars in"
    assert deployment.replay_trades() == expected
