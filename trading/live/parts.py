"""What a live bot is made of before anything of its account is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from sqlalchemy import URL

from alerts.port import Access
from engine.inputs.models import Models
from novosky.clock import Clock
from novosky.measures.sequential import Reference
from novosky.settings import MlSettings, Settings
from novosky.supervision.freeze import FREEZE_FLAG
from trading.brokers.family import Reach
from trading.cycle.news import NewsSource
from trading.cycle.switches import Switches
from trading.live.account import AccountParts
from trading.live.loop import Rhythm
from trading.reports.daily import DayNotes


@dataclass(frozen=True)
class LiveParts:
    """Everything a live bot is made of; nothing in it has touched the account yet.

    Attributes
    ----------
    settings, ml_settings, models
        What it trades by.
    reach : Reach
    folder : Path
        Holds locks, health file, handled commands and pictures; usually `logs`.
    journal : Path
        SQLite file, unless `database` is given.
    locks : Path or None
        Where account locks are kept; the user's own place unless given, see `trading.account.lock.lock_folder`.
    database : URL or None
        PostgreSQL.
    trades_file, blocked_file : Path or None
        Where the tables of closed trades and blocked signals are kept current; in `folder` unless given.
    news : NewsSource
    day_notes : callable or None
        Adds to the daily report, see `trading.reports.daily.DayNotes`.
    channels : tuple of Access
        Who is told, and may command.
    clock : Clock
    wait : callable or None
        Waits between two looks, given the switches' event; the clock's own sleep unless given.
    rng : random.Random
        Spreads repeated attempts.
    new_code : callable
        Draws confirmation codes.
    freeze_flag : Path
    rhythm : Rhythm
    durable : bool
    accept_balance : bool
        See `trading.bot.Bot`.
    facts : tuple of str
        Said at the start besides the session's own.
    reference : Reference or None
        What the set was approved with; its trades are held against it.
    """

    settings: Settings
    ml_settings: MlSettings
    models: Models
    reach: Reach
    folder: Path
    journal: Path
    news: NewsSource
    clock: Clock
    rng: Random
    new_code: Callable[[], str]
    database: URL | None = None
    locks: Path | None = None
    trades_file: Path | None = None
    blocked_file: Path | None = None
    day_notes: DayNotes | None = None
    channels: tuple[Access, ...] = ()
    wait: Callable[[float, Switches], None] | None = None
    freeze_flag: Path = FREEZE_FLAG
    rhythm: Rhythm = field(default_factory=Rhythm)
    durable: bool = True
    accept_balance: bool = False
    facts: tuple[str, ...] = ()
    reference: Reference | None = None

    @property
    def account(self) -> AccountParts:
        """What the account itself is opened with."""
        return AccountParts(
            self.settings,
            self.reach,
            self.folder,
            self.journal,
            self.clock,
            self.rng,
            self.database,
            self.locks,
            self.durable,
            tuple(channel.name for channel in self.channels),
        )

    @property
    def identity(self) -> str:
        """What the journal belongs to."""
        return self.account.identity
