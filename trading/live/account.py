"""A real account opened by this process alone: its lock, its journal, and the way to its broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlalchemy import URL

from novosky.clock import Clock
from novosky.database.place import sqlite_url
from novosky.settings import Settings
from trading.account.lock import AccountLock, account_lock
from trading.brokers.family import Reach
from trading.brokers.live_broker import LiveBroker
from trading.journal import Journal
from trading.paper.session import check_account_files, single_instance


@dataclass(frozen=True)
class AccountParts:
    """What a real account is opened with.

    Attributes
    ----------
    settings : Settings
    reach : Reach
    folder : Path
        Where its bot keeps its files.
    journal : Path
        SQLite file, unless `database` is given.
    clock : Clock
    rng : random.Random
        Spreads repeated attempts.
    database : URL or None
        PostgreSQL.
    locks : Path or None
        Where account locks are kept; the user's own place unless given, see `trading.account.lock.lock_folder`.
    durable : bool
    channels : tuple of str
        The alert channels that the journal queues messages for.
    """

    settings: Settings
    reach: Reach
    folder: Path
    journal: Path
    clock: Clock
    rng: Random
    database: URL | None = None
    locks: Path | None = None
    durable: bool = True
    channels: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """What the journal belongs to."""
        return account_name(self.reach, self.settings.symbol)


def account_name(reach: Reach, symbol: str) -> str:
    """Return what the journal of an account belongs to; health files and messages show it."""
    return f"{reach.shown}, {symbol} ({reach.key})"


@dataclass(frozen=True)
class OpenAccount:
    """An account that is held; the caller closes the broker."""

    lock: AccountLock
    journal: Journal
    broker: LiveBroker


@contextmanager
def open_account(parts: AccountParts) -> Iterator[OpenAccount]:
    """Hold the account and its journal; nothing of the broker is asked yet.

    Raises
    ------
    LockedError
        Another bot holds the account or the journal.
    StorageError
        The folder or the journal cannot be written.
    """
    reach = parts.reach
    with ExitStack() as stack:
        held = account_lock(reach.key, reach.shown, parts.folder, parts.clock.now(), parts.locks)
        lock = stack.enter_context(held)
        if parts.database is None:
            stack.enter_context(single_instance(parts.journal, "stop it first"))
            check_account_files(parts.journal)
        instrument = parts.settings.instrument
        journal = Journal(
            parts.database or sqlite_url(parts.journal),
            durable=parts.durable,
            symbol=instrument.symbol,
            magic=instrument.magic,
            channels=parts.channels,
        )
        stack.callback(journal.close)
        journal.check_writable()
        yield OpenAccount(lock, journal, reach.open(parts.settings, parts.clock, parts.rng))
