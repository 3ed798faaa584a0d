"""Wire a paper bot: the live bot's adapter over a simulated terminal, with journal and lock, on one market."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout
from sqlalchemy import URL

from alerts.notify import Notifier
from engine.inputs.columns import minutes_of
from engine.inputs.models import Models
from engine.inputs.parameters import build_params
from engine.records import Params, no_minutes
from novosky.database.place import sqlite_url
from novosky.errors import LockedError, StorageError, UsageError
from novosky.market.news import NewsCalendar
from novosky.persistence import remove_file
from novosky.settings import MlSettings, Settings
from trading.bot import Bot
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.port import Broker
from trading.brokers.simulated.entry import STAMPS, simulated_broker
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.opening import ACCOUNT_TERMS, paper_server
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore
from trading.cycle.news import FixedNews
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.cycle.unknown_orders import PAPER_ADVICE
from trading.cycle.warm import warm_up
from trading.journal import Journal
from trading.paper.replay import PacedMarket

SQLITE_MAGIC = b"SQLite format 3"
"""How every SQLite file begins."""


@dataclass(frozen=True)
class PaperMarket:
    """The bars a paper account lives on.

    Attributes
    ----------
    name : str
        Names the journal's file and appears in messages.
    frame : pandas.DataFrame
        All bars; those before row `first` are history only.
    first : int
        Row at which the account begins.
    m1 : pandas.DataFrame or None
        One-minute bars that decide bars touching both levels.
    fixed_spread : bool
        True when `costs.spread` replaces the bars' own spread.
    repeatable : bool
        True for a replay, whose result belongs to one set of bars, settings and models;
        False for an account that lives on while settings and models change.
    growing : bool
        True where a feed adds bars (`trading.paper.feed.market`); the last of these is still forming.
    """

    name: str
    frame: pd.DataFrame
    first: int
    m1: pd.DataFrame | None
    fixed_spread: bool
    repeatable: bool = True
    growing: bool = False


@dataclass(frozen=True)
class PaperSession:
    """A wired bot with the parts its driver needs.

    Attributes
    ----------
    bot : Bot
    broker : Broker
        The account as the bot sees it.
    server : TradeServer
        The market and the account's other side; the driver lets its time pass.
    journal : Journal
    params : Params
        The rules in force.
    models : Models
    """

    bot: Bot
    broker: Broker
    server: TradeServer
    journal: Journal
    params: Params
    models: Models

    @property
    def fingerprint(self) -> str:
        """Identifies the models' answers."""
        return self.models.fingerprint

    @property
    def train_cutoff(self) -> pd.Timestamp:
        """The last bar whose information entered the models."""
        return self.models.signal.train_cutoff

    def close(self) -> None:
        """Release the account's files."""
        self.broker.close()
        self.journal.close()
        self.server.close()


def market_identity(
    market: PaperMarket, settings: Settings, ml_settings: MlSettings, models: str, news: NewsCalendar | None
) -> str:
    """Return a short hash of everything that decides a paper account's fate.

    For a repeatable market that is bars, settings, models and news; otherwise bars and account
    terms, so that a person can change the risk settings or pull new models and go on.
    """
    digest = hashlib.sha256()
    for frame in (market.frame, market.m1):
        if frame is not None and not market.growing:
            digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    # The bars of a growing market are others at every start, and so is where the account's begin among them.
    parts = [str(market.fixed_spread)] if market.growing else [str(market.first), str(market.fixed_spread)]
    if market.repeatable:
        parts += [settings.model_dump_json(), ml_settings.model_dump_json(), models]
        parts += [] if news is None else [news.event_times.tobytes().hex()]
    else:
        parts += [settings.model_dump_json(include=ACCOUNT_TERMS)]
    for text in parts:
        digest.update(text.encode())
    return f"{market.name}:{digest.hexdigest()[:16]}"


@contextmanager
def single_instance(journal: Path, mend: str = "stop it first, or give another --journal") -> Iterator[None]:
    """Hold the lock of a journal file; a second bot on it is refused.

    Parameters
    ----------
    journal : Path
    mend : str
        What to do about it. A bot of a real account must not be sent to another journal.

    Raises
    ------
    LockedError
        Another process holds it.
    StorageError
        The lock file cannot be created.
    """
    lock = FileLock(str(journal) + ".lock")
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockedError(f"another bot is using {journal}; {mend}") from error
    except OSError as error:
        raise StorageError(
            f"{journal.parent} is not writable ({error.strerror}); mend the permissions or give another --journal"
        ) from error
    try:
        yield
    finally:
        lock.release()


def journal_files(journal: Path) -> list[Path]:
    """Return every file that belongs to a paper account with this journal."""
    databases = [journal, broker_file(journal)]
    return [Path(f"{path}{suffix}") for path in databases for suffix in ("", "-wal", "-shm")]


def discard_account(journal: Path) -> None:
    """Delete the account of this journal.

    Raises
    ------
    UsageError
        The file there is no database; nothing is deleted.
    """
    foreign = _foreign_file(journal)
    if foreign is not None:
        raise UsageError(f"{foreign} is not a journal and was left alone; name the account's file with --journal")
    for file in journal_files(journal):
        remove_file(file, missing_ok=True)


def check_account_files(journal: Path) -> None:
    """Refuse a file that is no database before anything is written beside it.

    Raises
    ------
    StorageError
        The journal, or the simulated broker's file beside it, is damaged or something else.
    """
    foreign = _foreign_file(journal)
    if foreign is not None:
        raise StorageError(
            f"{foreign} is not a journal, or damaged at its very beginning, and was left alone; put a copy back or "
            "name the account's file with --journal"
        )


def _foreign_file(journal: Path) -> Path | None:
    """Return the first of the account's databases that exists and does not begin like one."""
    for database in (journal, broker_file(journal)):
        if database.is_file() and database.stat().st_size:
            with database.open("rb") as stream:
                if stream.read(len(SQLITE_MAGIC)) != SQLITE_MAGIC:
                    return database
    return None


def broker_file(journal: Path) -> Path:
    """Return where the simulated broker keeps its side of the account."""
    return journal.with_name(journal.stem + ".broker" + journal.suffix)


def open_session(
    market: PaperMarket,
    settings: Settings,
    ml_settings: MlSettings,
    models: Models,
    journal_path: Path,
    notifier: Notifier,
    *,
    news: NewsCalendar | None,
    frozen: Callable[[], bool],
    durable: bool,
    now: Callable[[], float] | None = None,
    database: URL | None = None,
    reach: Callable[[SimulatedTerminal], TerminalModule] = lambda terminal: terminal,
    accept_balance: bool = False,
) -> PaperSession:
    """Open or resume the paper account whose journal is at `journal_path`.

    Parameters
    ----------
    now : callable or None
        Real time, UTC epoch seconds, for a market that keeps pace with it: while the bot
        was away the market went on, and only then is the bot started.
    database : URL or None
        A PostgreSQL database that holds the journal instead of the file, see
        `trading.journal.journal_url`; the simulated broker stays beside `journal_path`.
    reach : callable
        Returns the module through which the adapter reaches the terminal: itself, or one end of a bridge.
    accept_balance : bool
        See `trading.bot.Bot`.

    Raises
    ------
    UsageError
        The account on disk belongs to other bars, settings or models, or a model is switched
        on and not given.
    StorageError
        The databases cannot be opened, or do not belong together.
    """
    models.require(ml_settings)
    identity = market_identity(market, settings, ml_settings, models.fingerprint, news)
    params = build_params(settings, ml_settings)
    server = _server_of(market, settings, params, SqliteStore(broker_file(journal_path), durable=durable), identity)
    known = None if news is None else FixedNews(news)
    traded = settings.instrument
    journal = Journal(database or sqlite_url(journal_path), durable=durable, symbol=traded.symbol, magic=traded.magic)
    journal.check_writable()
    _check_pair(journal, server, journal_path, market)
    if now is not None and not market.growing:
        PacedMarket(server, now).catch_up()
    if now is not None:
        # A replay has time: only where bars keep pace with the clock a close must not wait for the disk.
        warm_up(models, settings, ml_settings, params)
    broker = simulated_broker(server, settings, reach, now if market.growing else None)
    bot = Bot(
        broker,
        journal,
        notifier,
        SignalSource(models.signal, settings, ml_settings, known, models.sltp),
        params,
        positions=None if models.position is None else PositionSource(models.position, ml_settings, known),
        risk=models.risk,
        identity=identity,
        models=models.description,
        fingerprint=models.fingerprint,
        frozen=frozen,
        advice=PAPER_ADVICE,
        # An account begun with --balance goes on without it: its size is no surprise to anybody.
        accept_balance=accept_balance or journal.status() is not None,
    )
    return PaperSession(bot, broker, server, journal, params, models)


def _server_of(
    market: PaperMarket, settings: Settings, params: Params, store: SqliteStore, identity: str
) -> TradeServer:
    """Open the simulated server that the market runs on; what it keeps stands in `store`."""
    return paper_server(
        market.frame,
        market.first,
        settings,
        params,
        no_minutes() if market.m1 is None else minutes_of(market.frame, market.m1, settings.frame),
        settings.risk_profile.starting_balance_usd,
        store=store,
        identity=identity,
        fixed_spread=market.fixed_spread,
        clock=STAMPS,
        growing=market.growing,
    )


def _check_pair(journal: Journal, server: TradeServer, path: Path, market: PaperMarket) -> None:
    """Refuse a journal and a simulated account of which one was removed or has lost its last writes."""
    status = journal.status()
    last_bar = 0 if status is None else status.last_bar
    if market.repeatable and status is None and server.begun:
        raise StorageError(
            f"{broker_file(path)} has traded but its journal {path} is gone; put it back, or start with --fresh"
        )
    if last_bar > server.now:
        raise StorageError(
            f"{path} is ahead of {broker_file(path)}, which was removed or lost its last writes; start with --fresh"
        )
    unseen = server.closed_since(last_bar) if server.begun else 0
    # One bar ahead is a bot that was killed between a close and its record.
    if market.repeatable and unseen > 1:
        raise StorageError(
            f"{broker_file(path)} is {unseen} bars ahead of {path}, which lost its last writes; start with --fresh"
        )
