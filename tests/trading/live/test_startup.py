"""A live bot that cannot start says why once, ends with the code of its error, and leaves nothing half-written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from novosky.errors import BrokerError, LockedError, SettingsError, StorageError, UsageError
from tests.helpers.bridge_module import TOKEN
from tests.helpers.command_line import listing, run_script
from tests.helpers.desk import Desk
from tests.helpers.mounted import play
from tests.helpers.obstacles import OBSTACLES, change
from trading.account.lock import account_lock
from trading.brokers.mt5.entry import package_reach
from trading.paper.session import single_instance

ROOT = Path(__file__).resolve().parents[3]
NOBODY = "http://127.0.0.1:9"
ACCOUNT = {"MT5_LOGIN": "12345678", "MT5_SERVER": "Simulated-Demo"}
BRIDGED = ACCOUNT | {
    "NOVOSKY_BROKER": "bridge",
    "NOVOSKY_BRIDGE_URL": NOBODY,
    "NOVOSKY_BRIDGE_TOKEN": TOKEN,
}
MINE = ("NOVOSKY_", "MT5_", "TELEGRAM_")
PASSWORD = "hunter2-of-the-database"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in [name for name in os.environ if name.startswith(MINE) and name != "NOVOSKY_LOCKS"]:
        monkeypatch.delenv(name)
    yield monkeypatch


@pytest.fixture
def flags(desk: Desk, tmp_path: Path) -> list[str]:
    """The desk's files, with a news host that is nobody."""
    config = change(desk.config, tmp_path / "quiet.json", lambda content: content.update(news={"base_url": NOBODY}))
    return ["--config", str(config), "--ml-config", str(desk.ml_config), "--models", str(desk.models)]


def half_written(folder: Path) -> set[str]:
    """Return what is neither a log, a lock, a complete database nor the calendar's memory."""
    whole = (".lock", ".log", ".jsonl", ".sqlite", ".sqlite-wal", ".sqlite-shm", "thisweek.json", ".csv")
    return {name for name, content in listing(folder).items() if content and not name.endswith(whole)}


def says_one_thing(err: str) -> bool:
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    return len(lines) == 1 and "Traceback" not in err and TOKEN not in err and PASSWORD not in err


@dataclass(frozen=True)
class Case:
    """What is in the way: the environment, what is prepared in the folder, the code, and a word of the message."""

    code: int
    word: str
    environment: dict[str, str]
    prepare: Callable[[Path, ExitStack], list[object]] = lambda folder, stack: []


def hold_account(folder: Path, stack: ExitStack) -> list[object]:
    account = package_reach(ACCOUNT)
    locks = Path(os.environ["NOVOSKY_LOCKS"])
    stack.enter_context(account_lock(account.key, "it", folder / "elsewhere", 0.0, locks))
    return []


def hold_journal(folder: Path, stack: ExitStack) -> list[object]:
    stack.enter_context(single_instance(folder / "logs" / "novosky.sqlite"))
    return []


def logs_are_a_file(folder: Path, stack: ExitStack) -> list[object]:
    (folder / "logs").write_text("not a folder")
    return []


def damaged_journal(folder: Path, stack: ExitStack) -> list[object]:
    (folder / "logs").mkdir()
    (folder / "logs" / "novosky.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    return []


CASES = {
    "no broker named": Case(UsageError.exit_code, "NOVOSKY_BROKER", {}),
    "no account named": Case(UsageError.exit_code, "MT5_LOGIN", {"NOVOSKY_BROKER": "bridge"}),
    "direct, without the package": Case(
        BrokerError.exit_code, "pip install MetaTrader5", ACCOUNT | {"NOVOSKY_BROKER": "mt5"}
    ),
    "bridge, nobody there": Case(BrokerError.exit_code, "", BRIDGED),
    "second bot on the account": Case(LockedError.exit_code, "another bot", BRIDGED, hold_account),
    "second bot on the journal": Case(LockedError.exit_code, "another bot", BRIDGED, hold_journal),
    "logs is a file": Case(StorageError.exit_code, "logs", BRIDGED, logs_are_a_file),
    "damaged journal": Case(StorageError.exit_code, "novosky.sqlite", BRIDGED, damaged_journal),
    "database URL is none": Case(
        SettingsError.exit_code,
        "NOVOSKY_DATABASE_URL",
        BRIDGED | {"NOVOSKY_DATABASE_URL": f"mysql://me:{PASSWORD}@h/d"},
    ),
    "PostgreSQL is down": Case(
        StorageError.exit_code,
        "check that the server runs",
        BRIDGED | {"NOVOSKY_DATABASE_URL": f"postgresql://me:{PASSWORD}@127.0.0.1:9/novosky"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_keeps_the_live_bot_from_starting_is_one_message_with_its_code(
    name: str, flags: list[str], tmp_path: Path, bare: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    if name.startswith("direct") and sys.platform == "win32":
        pytest.skip("the package exists on Windows")
    for variable, value in case.environment.items():
        bare.setenv(variable, value)
    with ExitStack() as stack:
        arguments = case.prepare(tmp_path, stack)
        before = half_written(tmp_path)
        answer = run_script("trading.py", "--once", *flags, *arguments, cwd=tmp_path)
    assert answer.code == case.code, answer.err
    assert says_one_thing(answer.err), answer.err
    assert case.word in answer.err
    assert half_written(tmp_path) == before
    assert answer.out == ""


@pytest.mark.parametrize("what", [name for name in OBSTACLES if "journal" not in name and name != "no folder"])
def test_files_that_are_wrong_are_named_before_anything_of_the_account_is_touched(
    what: str, desk: Desk, flags: list[str], tmp_path: Path, bare: pytest.MonkeyPatch
) -> None:
    prepare, code, message = OBSTACLES[what]
    for variable, value in BRIDGED.items():
        bare.setenv(variable, value)
    arguments = prepare(desk, tmp_path)
    answer = run_script("trading.py", "--once", *flags, *arguments, cwd=tmp_path)
    assert answer.code == code, answer.err
    assert says_one_thing(answer.err), answer.err
    assert message in answer.err
    assert not list(tmp_path.rglob("*.sqlite*")), "no journal was begun"
    assert not (tmp_path / "hacked").exists(), "nothing foreign is ever unpickled"


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs -o ro tmpfs logs",
        "mount -t tmpfs -o size=64k tmpfs logs; dd if=/dev/zero of=logs/full bs=4k status=none || true",
    ],
    ids=["read-only", "full"],
)
def test_a_disk_that_cannot_be_written_stops_the_start(
    flags: list[str], tmp_path: Path, mount: str, bare: pytest.MonkeyPatch
) -> None:
    for variable, value in BRIDGED.items():
        bare.setenv(variable, value)
    ((code, err), after) = play(
        tmp_path, ("shell", f"mkdir logs; {mount}"), ("bot", [*flags, "--once"]), ("list", "logs")
    )
    assert code == StorageError.exit_code, err
    assert says_one_thing(err), err
    left = {name for name, content in after.items() if content and not name.endswith((".lock", ".log", ".jsonl"))}
    assert left <= {"full", "novosky.sqlite"}, "at most a database without content, which the next start fills"
