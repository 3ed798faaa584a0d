"""A real account opened by this process alone: its lock, its journal, and the way to its broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from sqlalchemy import URL

from novosky.clock import Clock
from novosky.settings import Settings
from trading.account.lock import AccountLock, account_lock
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Timing
from trading.journal import Journal, sqlite_url
from trading.live.access import Reach, account_key, account_name, shown_account
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
    timing : Timing
    volume_unit : float
        See `Mt5Broker`.
    durable : bool
    """

    settings: Settings
    reach: Reach
    folder: Path
    journal: Path
    clock: Clock
    rng: Random
    database: URL | None = None
    locks: Path | None = None
    timing: Timing = field(default_factory=Timing)
    volume_unit: float = 1.0
    durable: bool = True

    @property
    def identity(self) -> str:
        """What the journal belongs to."""
        return account_name(self.reach.access, self.settings.symbol)


@dataclass(frozen=True)
class OpenAccount:
    """An account that is held; the caller closes the broker."""

    lock: AccountLock
    journal: Journal
    broker: Mt5Broker


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
    access = parts.reach.access
    with ExitStack() as stack:
        held = account_lock(account_key(access), shown_account(access), parts.folder, parts.clock.now(), parts.locks)
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
        )
        stack.callback(journal.close)
        journal.check_writable()
        broker = Mt5Broker(
            parts.reach.connect(),
            parts.settings,
            parts.clock,
            access,
            timing=parts.timing,
            renew=parts.reach.connect if parts.reach.renewable else None,
            volume_unit=parts.volume_unit,
            rng=parts.rng,
        )
        yield OpenAccount(lock, journal, broker)
