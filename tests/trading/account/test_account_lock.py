"""One bot per account and machine, from whatever folder, and whatever becomes of the lock's file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from novosky.errors import LockedError
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import Scenario, planted_bars
from trading.account.lock import AccountLock, Holder, account_lock, lock_folder
from trading.brokers.mt5.entry import package_reach
from trading.live.session import live_session

ROOT = Path(__file__).resolve().parents[3]
KEY, SHOWN = "0123456789ab", "demo account ...678 on Simulated-Demo"
CHILD = """
import sys, time
from pathlib import Path
from trading.account.lock import account_lock
with account_lock(sys.argv[1], "the account", Path(sys.argv[2]), 1_700_000_000, Path(sys.argv[3])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holding(folder: Path, locks: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the account."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, KEY, str(folder), str(locks)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "held"
        yield process
    finally:
        process.kill()
        process.communicate()


def take(folder: Path, locks: Path) -> None:
    with account_lock(KEY, SHOWN, folder, 0.0, locks):
        pass


def test_a_second_bot_is_told_which_process_holds_the_account_and_from_where(tmp_path: Path) -> None:
    with holding(tmp_path / "first", tmp_path / "locks") as process, pytest.raises(LockedError) as refusal:
        take(tmp_path / "second", tmp_path / "locks")
    message = str(refusal.value)
    assert refusal.value.exit_code == 9
    assert str(process.pid) in message
    assert str(tmp_path / "first") in message
    assert "2023-11-14 22:13 UTC" in message
    assert SHOWN in message
    assert "--journal" not in message, "another journal is how an order gets doubled"


@pytest.mark.skipif(sys.platform != "linux", reason="the socket without a file is Linux's")
@pytest.mark.parametrize("lost", ["*.lock", "*.json", "*"])
def test_deleting_the_files_frees_nothing(tmp_path: Path, lost: str) -> None:
    locks = tmp_path / "locks"
    with holding(tmp_path / "first", locks) as process:
        for file in locks.glob(lost):
            file.unlink()
        with pytest.raises(LockedError, match=f"process {process.pid}"):
            take(tmp_path / "second", locks)


def test_a_killed_holder_leaves_the_account_free(tmp_path: Path) -> None:
    with holding(tmp_path / "first", tmp_path / "locks") as process:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        take(tmp_path / "second", tmp_path / "locks")


def test_other_accounts_are_not_in_each_others_way(tmp_path: Path) -> None:
    with account_lock("a", "one", tmp_path, 0.0, tmp_path), account_lock("b", "other", tmp_path, 0.0, tmp_path):
        pass


class FileOnly(AccountLock):
    """The lock as on a system without sockets that have no file."""

    def _take_name(self) -> None:
        return


def file_only(locks: Path, folder: str) -> FileOnly:
    lock = FileOnly(KEY, SHOWN, Holder(os.getpid(), folder, 0), locks)
    lock.acquire()
    return lock


def test_the_file_alone_refuses_a_second_holder(tmp_path: Path) -> None:
    first = file_only(tmp_path, "first")
    with pytest.raises(LockedError, match="first"):
        file_only(tmp_path, "second")
    first.release()
    file_only(tmp_path, "second").release()


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no open file")
@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"pid": "me", "folder": 5, "since": "now"}',
        '{"pid": -1, "folder": "a\\nb", "since": 1e300}',
        '{"pid": true, "since": 9223372036854775807, "more": 1}',
        '{"since": -99999999999999}',
        "\udcff",
    ],
)
def test_a_damaged_note_still_ends_in_the_refusal(note: str, tmp_path: Path) -> None:
    first = file_only(tmp_path, "one")
    for file in tmp_path.rglob("*.json"):
        file.write_bytes(note.encode("utf-8", "surrogateescape"))
    with pytest.raises(LockedError, match="another process of this machine; stop that one first"):
        file_only(tmp_path, "two")
    first.release()


def test_a_deleted_file_is_made_anew_by_its_holder(tmp_path: Path) -> None:
    first = file_only(tmp_path, "first")
    next(tmp_path.glob("*.lock")).unlink()
    first.check()
    with pytest.raises(LockedError, match="first"):
        file_only(tmp_path, "second")
    first.release()


@pytest.mark.skipif(os.name == "nt", reason="Windows deletes no open file")
def test_a_holder_whose_file_was_deleted_yields_to_whoever_was_quicker(tmp_path: Path) -> None:
    first = file_only(tmp_path, "first")
    next(tmp_path.glob("*.lock")).unlink()
    second = file_only(tmp_path, "second")
    with pytest.raises(LockedError, match="second"):
        first.check()
    second.check()
    first.release()
    second.release()


def test_the_place_is_the_users_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usual = lock_folder()
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TEMP"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert lock_folder() == usual


@pytest.mark.parametrize("changes", ["folder", "journal", "both"])
def test_two_live_bots_of_one_account_never_run_whatever_folder_or_journal(tmp_path: Path, changes: str) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    other = desk.parts()
    if changes != "journal":
        other = replace(other, folder=tmp_path / "elsewhere" / "logs")
    if changes != "folder":
        other = replace(other, journal=tmp_path / "elsewhere.sqlite")
    with live_session(desk.parts()), pytest.raises(LockedError, match=str(desk.logs)), live_session(other):
        pass
    with live_session(other):
        pass


def test_the_locks_name_tells_no_account_number() -> None:
    reach = package_reach({"MT5_LOGIN": "12345678", "MT5_SERVER": "Broker-Live", "NOVOSKY_ACCOUNT": "real"})
    assert "12345678" not in reach.key + reach.shown
    assert reach.shown == "real account ...678 on Broker-Live"
