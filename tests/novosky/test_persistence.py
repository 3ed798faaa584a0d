"""Files that a scanner holds for a moment are replaced all the same, and no file of lesser weight ends a live bot."""

from __future__ import annotations

import io
import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from alerts.telegram.ledger import CommandLedger
from novosky import persistence
from novosky.data.calendar.download import CACHE_NAME
from novosky.database.place import sqlite_url
from novosky.errors import StorageError
from novosky.files import write_json, write_text
from novosky.log import LOG_FILE, configure_logging
from novosky.settings.runtime import News
from novosky.supervision.freeze import is_frozen
from tests.hosts.calendar_host import calendar_host, epoch, row
from tests.hosts.telegram_host import FakeClock
from trading.cycle.news import LiveNews
from trading.cycle.switches import Switches
from trading.journal import Journal


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__


class Scanner:
    """Refuses each use of a file the first `times` times, as a program does that looks at it."""

    def __init__(self, times: float, error: Callable[[], OSError]) -> None:
        self._times, self._error = times, error
        self._met: dict[str, int] = {}
        self.slept: list[float] = []

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def refused(path: Path, *given: Any, **options: Any) -> Any:
            # Temporary names are drawn anew each time; what counts is whose they are.
            key = function.__name__
            self._met[key] = self._met.get(key, 0) + 1
            if self._met[key] <= self._times:
                raise self._error()
            return function(path, *given, **options)

        return refused


def windows_error(code: int) -> OSError:
    error = PermissionError(13, "The process cannot access the file") if code != 1224 else OSError(22, "mapped")
    error.winerror = code
    return error


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scanner]:
    def set_up(times: float = 3, code: int = 32) -> Scanner:
        found = Scanner(times, lambda: windows_error(code))
        for name in ("replace", "rename", "unlink"):
            monkeypatch.setattr(Path, name, found.around(getattr(Path, name)))
        monkeypatch.setattr(shutil, "rmtree", found.around(shutil.rmtree))
        monkeypatch.setattr(persistence.time, "sleep", found.slept.append)
        return found

    return set_up


@pytest.mark.parametrize("code", [5, 32, 33, 145, 1224])
def test_a_replace_that_is_refused_for_a_moment_is_tried_again(
    tmp_path: Path, scanner: Callable[..., Scanner], code: int
) -> None:
    (tmp_path / "health.json").write_text("old")
    seen = scanner(3, code)
    write_json(tmp_path / "health.json", {"new": 1})
    assert "new" in (tmp_path / "health.json").read_text()
    assert seen.slept == list(persistence.WAITS[:3])


def test_one_that_lasts_is_an_error_after_a_second_or_two_and_leaves_the_old_file(
    tmp_path: Path, scanner: Callable[..., Scanner]
) -> None:
    (tmp_path / "a.txt").write_text("old")
    seen = scanner(float("inf"))
    with pytest.raises(StorageError, match=r"a\.txt could not be written"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert seen.slept[: len(persistence.WAITS)] == list(persistence.WAITS)
    assert 1.0 <= sum(persistence.WAITS) <= 2.0


def test_another_error_is_not_waited_for(scanner: Callable[..., Scanner]) -> None:
    seen = scanner(0)
    with pytest.raises(FileNotFoundError):
        persistence.remove_file(Path("nowhere"))
    assert seen.slept == []


def test_removing_and_renaming_are_tried_again_too(tmp_path: Path, scanner: Callable[..., Scanner]) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "file").write_text("x")
    (tmp_path / "stale").write_text("x")
    scanner(2)
    persistence.rename(folder, tmp_path / "renamed")
    persistence.remove_file(tmp_path / "stale")
    persistence.remove_tree(tmp_path / "renamed")
    assert list(tmp_path.iterdir()) == []


def test_opening_to_append_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Scanner(2, lambda: windows_error(32))
    monkeypatch.setattr(Path, "open", held.around(Path.open))
    monkeypatch.setattr(persistence.time, "sleep", held.slept.append)
    with persistence.open_binary(tmp_path / "part", "ab") as stream:
        stream.write(b"more")
    monkeypatch.undo()
    assert (tmp_path / "part").read_bytes() == b"more"


NOW = float(epoch("2024-05-08T06:00:00+00:00"))


def test_a_held_calendar_cache_neither_ends_the_bot_nor_forgets_the_week(
    tmp_path: Path, scanner: Callable[..., Scanner], caplog: pytest.LogCaptureFixture
) -> None:
    with calendar_host() as host, caplog.at_level(logging.WARNING):
        host.rows = [row("2024-05-08T08:30:00-04:00")]
        news = LiveNews(tmp_path, News(base_url=host.url), Random(1))
        scanner(float("inf"))
        news.refresh(NOW)
        news.refresh(NOW + 60.0)
    assert [release.time for release in news.releases()] == [epoch("2024-05-08T08:30:00-04:00")]
    calendar = news.calendar(NOW)
    assert calendar is not None
    assert list(calendar.event_times) == [epoch("2024-05-08T08:30:00-04:00")]
    assert not (tmp_path / CACHE_NAME).exists()
    said = [record for record in caplog.records if "could not be written" in record.getMessage()]
    assert len(said) == 1, "once, not at every look"


def test_a_held_ledger_of_commands_is_said_once_and_remembered(
    tmp_path: Path, scanner: Callable[..., Scanner], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = CommandLedger(tmp_path / "telegram.json", "42")
    ledger.settle(1)
    scanner(float("inf"))
    with caplog.at_level(logging.WARNING):
        ledger.claim(2)
        ledger.settle(2)
    assert ledger.settled(2)
    assert not ledger.interrupted(2)
    assert CommandLedger(tmp_path / "telegram.json", "42").settled(1), "the file is the one before"
    assert len(caplog.records) == 1


def test_a_freeze_whose_flag_is_held_stops_entries_all_the_same(
    tmp_path: Path, scanner: Callable[..., Scanner]
) -> None:
    flag = tmp_path / "frozen.flag"
    switches = Switches(
        Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False), FakeClock(NOW), "Telegram", flag
    )
    scanner(float("inf"))
    assert "Paused instead of frozen" in switches.freeze()
    assert switches.entries_stopped()
    assert not is_frozen(flag)


def test_a_freeze_flag_that_cannot_be_removed_keeps_the_bot_frozen_and_says_so(
    tmp_path: Path, scanner: Callable[..., Scanner]
) -> None:
    flag = tmp_path / "frozen.flag"
    switches = Switches(
        Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False), FakeClock(NOW), "Telegram", flag
    )
    switches.freeze()
    scanner(float("inf"))
    assert "Still frozen" in switches.resume()
    assert switches.entries_stopped()


def test_a_log_that_cannot_be_put_aside_goes_on_in_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import os

    configure_logging(tmp_path, console=io.StringIO(), max_bytes=2_000, kept_files=2)

    def held(*_: object) -> None:
        raise windows_error(32)

    real = os.rename
    monkeypatch.setattr(os, "rename", held)
    log = logging.getLogger("novosky.test")
    for number in range(60):
        log.info("line %d", number)
    text = (tmp_path / LOG_FILE).read_text()
    assert [f"line {number}" in text for number in (0, 30, 59)] == [True] * 3
    assert not (tmp_path / f"{LOG_FILE}.1").exists()
    monkeypatch.setattr(os, "rename", real)
    for number in range(60):
        log.info("later %d", number)
    assert (tmp_path / f"{LOG_FILE}.1").exists()
    assert capsys.readouterr().err == ""
