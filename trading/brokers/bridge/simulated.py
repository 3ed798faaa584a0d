"""A simulated terminal to serve where no real one is: a file's bars come to pass at a chosen pace."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engine.inputs.columns import bar_columns
from engine.inputs.parameters import build_params, build_rollovers
from engine.records import no_minutes
from ml.feature_engineering import live_window_bars
from novosky.errors import DataError, StorageError, UsageError
from novosky.market.server_time import ServerClock
from novosky.settings import MlSettings, Settings
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.markets.market import feed_from_frame
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import spec_from_settings
from trading.brokers.simulated.opening import ACCOUNT_TERMS, terms_from_settings
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore

"""Settings that the account is made of; all others only steer a bot that trades on it."""


@dataclass
class PacedServer:
    """Lets the market's time pass with a real clock's.

    Attributes
    ----------
    server : TradeServer
    pace : float
        Seconds of the market for each second of the clock.
    now : callable
        The clock, in seconds; it never goes back.
    """

    server: TradeServer
    pace: float
    now: Callable[[], float]

    def __post_init__(self) -> None:
        self._seen = self.now()

    def catch_up(self) -> None:
        """Move the market to where it should be by now; at its end it stays."""
        moment = self.now()
        self.server.wait((moment - self._seen) * self.pace)
        self._seen = moment


def simulated_market(
    frame: pd.DataFrame,
    settings: Settings,
    ml_settings: MlSettings,
    pace: float,
    now: Callable[[], float],
    account: Path | None = None,
    first: int | None = None,
) -> tuple[SimulatedTerminal, PacedServer]:
    """Return a terminal over bars, on an account of the settings' terms.

    The market begins where enough bars lie behind it for the bot to decide, or where the
    account was left.

    Parameters
    ----------
    frame : pandas.DataFrame
        Bars in UTC, of the configured time frame.
    pace, now
        See `PacedServer`.
    account : Path or None
        Where the account is kept; None keeps it in memory.
    first : int or None
        Row that opens the market, with the bot's history before it; the earliest possible unless given.

    Raises
    ------
    DataError
        Too few bars.
    UsageError
        The account belongs to other bars or terms.
    StorageError
        Its file is something else, or cannot be read or written.
    """
    history = live_window_bars(settings.frame)
    if len(frame) <= history:
        raise DataError(f"{len(frame)} bars are too few: the bot looks back over {history}, and one must follow")
    bars = bar_columns(frame, settings, fixed_spread=False)
    stamps = Stamps(ServerClock(settings.broker.server_clock))
    rollovers = build_rollovers(settings, int(bars.time[0]), int(bars.time[-1]))
    params = build_params(settings, ml_settings)
    opening = history if first is None else first
    feed = feed_from_frame(spec_from_settings(settings), frame, bars, params, stamps, opening, rollovers, no_minutes())
    terms = terms_from_settings(settings)
    identity = _identity(frame.iloc[: history + 1], settings)
    store = None if account is None else _stored(account, identity, int(bars.time[-1]))
    balance = settings.risk_profile.starting_balance_usd
    server = TradeServer([feed], terms, balance, store=store, identity=identity)
    return SimulatedTerminal(server), PacedServer(server, pace, now)


def _identity(beginning: pd.DataFrame, settings: Settings) -> str:
    """Return a short hash of a market's first bars and the account's terms; later bars may be added."""
    digest = hashlib.sha256(pd.util.hash_pandas_object(beginning, index=False).to_numpy().tobytes())
    digest.update(settings.model_dump_json(include=ACCOUNT_TERMS).encode())
    digest.update(repr(settings.risk_profile.starting_balance_usd).encode())
    return f"bridge:{digest.hexdigest()[:16]}"


def _stored(account: Path, identity: str, last_bar: int) -> SqliteStore:
    """Open an account's file, new or of the same market."""
    _refuse_foreign(account)
    store = SqliteStore(account, durable=True)
    text = store.load()
    if text is None:
        return store
    content = json.loads(text)
    problem = ""
    if content["identity"] != identity:
        problem = "belongs to other bars or other account terms"
    elif any(opened_at is not None and opened_at > last_bar for opened_at, _ in content["feeds"].values()):
        problem = "stands at a later bar than the last of these"
    if problem:
        store.close()
        raise UsageError(
            f"the simulated account {account} {problem}; serve it with what it was opened with, "
            "or name another --account"
        )
    return store


def _refuse_foreign(account: Path) -> None:
    """Leave a database of something else as it is."""
    if not account.exists():
        return
    try:
        connection = sqlite3.connect(f"{account.absolute().as_uri()}?mode=ro", uri=True)
        try:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StorageError(f"{account} is no simulated account ({error}); name another --account") from error
    if tables and not {"state", "deals", "orders"} <= tables:
        raise StorageError(f"{account} is another program's database and was left alone; name another --account")
