"""A rehearsal: a file of past bars comes to pass from now on, so that a live bot can trade it.

A live bot refuses a quote that is a minute old, and a server clock that is hours from its own.
The bars of a file are therefore moved to today, by whole weeks where the file is long enough:
hours and weekdays stay what they were. Where a rehearsal runs faster than time itself, bot and
market share a faster clock, which the bridge prints and `NOVOSKY_REHEARSAL` hands to the bot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from novosky.environment import REHEARSAL
from novosky.errors import DataError, StorageError, UsageError
from novosky.files import write_json
from novosky.guarded_json import read_json_file
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import Timeframe
from trading.brokers.family import Reach
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.server import TradeServer

WEEK, DAY = 604_800, 86_400
LOGIN, SERVER = AccountTerms().login, AccountTerms().server
"""The account that a simulated terminal holds; its password is empty."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Placement:
    """Where a file's bars lie in a rehearsal.

    Attributes
    ----------
    shift : int
        Seconds by which every bar is later than in the file.
    first : int
        The row that opens the market; those before it are history.
    """

    shift: int
    first: int


@dataclass(frozen=True)
class Pace:
    """How a rehearsal's time follows the clock on the wall: both UTC epoch seconds.

    Attributes
    ----------
    market, wall : float
        A moment of the market and when it was.
    rate : float
        Seconds of the market for each second on the wall.
    """

    market: float
    wall: float
    rate: float

    def at(self, wall: float) -> float:
        """Return the market's time at a moment on the wall."""
        return self.market + (wall - self.wall) * self.rate

    @property
    def text(self) -> str:
        """The pace as the environment carries it."""
        return f"{self.market:.3f},{self.wall:.3f},{self.rate:g}"


class RehearsalClock:
    """The clock of a bot in a rehearsal; see `novosky.clock.Clock`.

    Parameters
    ----------
    pace : Pace
    wall : callable
        The clock on the wall.
    """

    def __init__(self, pace: Pace, wall: Callable[[], float] = time.time) -> None:
        self.pace, self._wall = pace, wall

    def now(self) -> float:
        """Return the market's time, UTC epoch seconds."""
        return self.pace.at(self._wall())

    def sleep(self, seconds: float) -> None:
        """Wait for so many of the market's seconds."""
        if seconds > 0.0:
            time.sleep(seconds / self.pace.rate)


@dataclass
class RehearsedServer:
    """Keeps a simulated market where the rehearsal's clock says it is.

    Attributes
    ----------
    server : TradeServer
    now : callable
        The rehearsal's time, UTC epoch seconds.
    """

    server: TradeServer
    now: Callable[[], float]
    _over: bool = False

    def catch_up(self) -> None:
        """Let the bars happen whose time has come; at the end of the file the market stays."""
        self.server.wait(max(0.0, self.now() - self.server.now_msc / 1000.0))
        # A market in real time deals at the open of the bar that has begun, not at the close before it.
        self.server.begin_due()
        if self.server.at_end and not self._over:
            self._over = True
            _log.warning("the file's last bar has closed: this rehearsal is over")


def placement_of(bars: pd.DataFrame, frame: Timeframe, history: int, now: float) -> Placement:
    """Return how to move a file's bars so that the market opens with the bar that holds `now`.

    Parameters
    ----------
    bars : pandas.DataFrame
        Bars, UTC.
    frame : Timeframe
        Theirs.
    history : int
        Bars that have to lie before the first of the market.
    now : float
        UTC epoch seconds.

    Raises
    ------
    DataError
        Too few bars.
    """
    opens = epoch_seconds(bars)
    if len(opens) <= history + 1:
        raise DataError(f"{len(opens)} bars are too few: the bot looks back over {history}, and two must follow")
    current = frame.floor(now)
    for step in (WEEK, DAY, frame.seconds):
        # The whole steps that bring the first possible bar up to the current one, not beyond it.
        shift = (current - int(opens[history])) // step * step
        first = max(history, int(np.searchsorted(opens + shift, current)))
        if first < len(opens) - 1:
            return Placement(shift, first)
    raise AssertionError("a step of one bar always leaves a bar after the first")


def shifted(bars: pd.DataFrame, seconds: int) -> pd.DataFrame:
    """Return the bars with every stamp later by so many seconds."""
    return bars.assign(time=bars["time"] + pd.Timedelta(seconds=seconds))


def placement_file(account: Path) -> Path:
    """Return where the placement of a kept account's bars lies."""
    return account.with_suffix(".rehearsal.json")


def keep_placement(account: Path, placement: Placement) -> None:
    """Write where the bars of an account lie, beside it."""
    write_json(placement_file(account), asdict(placement))


def kept_placement(account: Path, frame: Timeframe) -> Placement | None:
    """Return where the bars of an account were placed by an earlier rehearsal, None for a new account.

    Raises
    ------
    StorageError
        The file beside the account is damaged.
    """
    path = placement_file(account)
    if not account.exists() or not path.exists():
        return None
    try:
        content = read_json_file(path)
        placement = Placement(int(content["shift"]), int(content["first"]))
        if placement.first < 1 or not frame.is_open(placement.shift):
            raise ValueError("no placement of bars")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path} is damaged ({error}); name another --account to begin anew") from error
    return placement


def client_lines(url: str, pace: Pace, token: str) -> list[str]:
    """Return the lines that a bot needs in its environment or `.env` to trade in this rehearsal.

    Parameters
    ----------
    token : str
        How to name the token, which is not shown itself.
    """
    lines = [
        "NOVOSKY_BROKER=bridge",
        f"NOVOSKY_BRIDGE_URL={url}",
        f"NOVOSKY_BRIDGE_TOKEN={token}",
        f"MT5_LOGIN={LOGIN}",
        f"MT5_SERVER={SERVER}",
    ]
    return lines if pace.rate in (0.0, 1.0) else [*lines, f"{REHEARSAL.name}={pace.text}"]


def rehearsal_clock(environment: Mapping[str, str], reach: Reach) -> RehearsalClock | None:
    """Return the clock of the rehearsal that the environment names, None when it names none.

    Raises
    ------
    UsageError
        The value is not what the bridge printed, or the account is not a simulated terminal's:
        a clock of its own must never meet a real market.
    """
    text = environment.get(REHEARSAL.name, "").strip()
    if not text:
        return None
    if not reach.is_practice(LOGIN, SERVER):
        raise UsageError(
            f"{REHEARSAL.name} is set, but this is not the account of a rehearsal ({LOGIN} on {SERVER}); remove it"
        )
    try:
        market, wall, rate = (float(part) for part in text.split(","))
        if not (market > 0.0 and wall > 0.0 and 0.0 < rate <= 1e6):
            raise ValueError("out of range")
    except ValueError as error:
        raise UsageError(f"{REHEARSAL.name} is not what `novosky bridge serve` printed; copy its line anew") from error
    return RehearsalClock(Pace(market, wall, rate))
