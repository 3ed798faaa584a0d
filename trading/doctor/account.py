"""Checks of what the bot keeps: journal, lock, freeze flag, bars."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import URL

from novosky.database.place import is_here
from novosky.errors import DataError, NovoskyError
from novosky.market.timeframe import USUAL, Timeframe
from novosky.supervision.freeze import is_frozen
from trading.doctor.finding import Finding, fail, ok, warn
from trading.journal import SCHEMA_VERSION, Journal
from trading.reports.health import is_running

STALE_BARS_DAYS = 8
"""Training data are refreshed every week."""
DAY = 86_400


def check_journal(journal: Path) -> Finding:
    """Open the journal without changing it, check its pages and its version."""
    if not journal.exists():
        return ok("journal", f"none at {journal} yet; the first start makes it")
    mend = f"put a copy back, or move {journal} away and run `novosky journal adopt`"
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            state = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = _version(connection)
    except sqlite3.Error as error:
        return fail("journal", f"{journal} cannot be read: {error}", mend)
    if state != "ok":
        return fail("journal", f"{journal} is damaged: {state}", mend)
    if version is None:
        return fail("journal", f"{journal} is a database, but no journal", "name the journal with --journal")
    if version > SCHEMA_VERSION:
        text = f"{journal} has version {version}, this program knows up to {SCHEMA_VERSION}"
        return fail("journal", text, "use the release that wrote it")
    if version < SCHEMA_VERSION:
        text = f"{journal} has version {version}, this program {SCHEMA_VERSION}"
        return warn("journal", text, "copy the file before the next start, which has to bring it up to date")
    return ok("journal", f"{journal} opens, version {version}")


def _version(connection: sqlite3.Connection) -> int | None:
    """Return the schema version, 0 for a journal without a bot, None for another database."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "schema_version" in tables:
        row = connection.execute("SELECT version FROM schema_version").fetchone()
    elif "bot_status" in tables:
        # Version 1 kept the number beside the bot's standing, so it has none before the first start.
        row = connection.execute("SELECT schema_version FROM bot_status").fetchone() or (1,)
    else:
        return None
    return None if row is None else int(row[0])


def check_served_journal(url: URL, words: str, *, online: bool) -> Finding:
    """Open a journal in a database server, only to look; one on another machine is asked `online` alone."""
    if not online and not is_here(url):
        return warn("journal", f"in {words}; not asked", "add --online")
    try:
        Journal(url, durable=True, read_only=True, patience=0.0).close()
    except NovoskyError as error:
        return fail("journal", str(error), "start the server and correct NOVOSKY_DATABASE_URL; then start the bot once")
    return ok("journal", f"{words} opens, version {SCHEMA_VERSION}")


def check_running(health: Path) -> Finding:
    """Tell whether the bot that keeps its health in a folder runs; its journal may lie elsewhere."""
    return ok("one bot", "a bot is running here" if is_running(health) else "none is running here")


def check_lock(journal: Path) -> Finding:
    """Tell whether a bot holds this journal."""
    lock = Path(f"{journal}.lock")
    if not lock.exists():
        return ok("one bot", "none is running here")
    try:
        with FileLock(lock).acquire(timeout=0):
            return ok("one bot", "none is running here")
    except Timeout:
        return ok("one bot", f"a bot is running on {journal}")
    except OSError as error:
        return fail("one bot", f"{lock} cannot be used ({error.strerror})", "mend its permissions")


def check_freeze(flag: Path) -> Finding:
    """Tell whether new entries are stopped by the freeze flag."""
    if is_frozen(flag):
        return warn("freeze flag", f"{flag} is set: no new entries", f"remove {flag} to trade again")
    return ok("freeze flag", "not set")


def check_bars(file: Path, now: float, frame: Timeframe = USUAL) -> Finding:
    """Validate the stored bars, where there are any, and tell their age."""
    from novosky.data.store import load_bars

    if not file.exists():
        return ok("bars", f"none at {file}; only training and backtests need them")
    try:
        newest = load_bars(file, seconds=frame.seconds)["time"].iloc[-1]
    except DataError as error:
        return fail("bars", str(error), "run scripts/download_data.py")
    days = (now - newest.timestamp()) / DAY
    text = f"{file} ends {newest:%Y-%m-%d %H:%M} UTC, {days:.0f} days ago"
    if days > STALE_BARS_DAYS:
        return warn("bars", text, "run scripts/download_data.py before training")
    return ok("bars", text)
