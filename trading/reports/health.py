"""Is the bot alive? A file written after every bar, and the judgement of whoever looks.

The beat is tied to bars processed, not to the process: a bot that runs in circles without
acting is as dead as one that has ended. The journal is the truth; the file adds what only
the running process knows (its id, its position, its versions) and the market's hours.
"""

from __future__ import annotations

import logging
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from filelock import FileLock, Timeout

from engine.outputs.tables import utc_text
from engine.records import Guard
from novosky import __version__
from novosky.errors import StorageError
from novosky.files import write_json
from novosky.guarded_json import read_json_file
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import TIMEFRAMES, USUAL, timeframe
from novosky.market.trading_hours import Weekday, open_at
from novosky.settings import Settings
from trading.brokers.port import Position
from trading.journal import BotStatus

HEALTH_NAME = "health.json"
REPLAY_NAME = "replay of "
"""How the identity of a replay begins; the clock on the wall says nothing about it."""
MOST_BARS_BEHIND = 2
"""Bars that may close unanswered before a bot counts as stale: one is in the making, one may be late."""
CLOCK_SLACK = 60
_FORMAT = 1
State = Literal["running", "stopped", "once"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenTrade:
    """The bot's own open position; prices in USD."""

    ticket: int
    side: int
    volume: float
    price_open: float
    sl: float
    tp: float


@dataclass(frozen=True)
class Health:
    """The contents of `health.json`.

    Attributes
    ----------
    state : str
        `running`, `stopped` after a clean end, or `once` after a run that was to act on one bar only.
    started, written : int
        When the process began and when it last wrote, UTC epoch seconds.
    pid : int
    identity : str
        The journal this belongs to.
    last_bar : int
        Close of the newest processed bar, UTC epoch seconds; 0 before the first.
    bars_processed, bars_missed : int
    equity, balance : float
        USD.
    position : OpenTrade or None
    breakers : tuple of str
        Limits that are latched.
    models, fingerprint : str
        Which artifact serves each model, and what identifies their answers.
    versions : mapping of str to str
    server_clock : str
    trading_hours : mapping of str to str
        When the market deals, as in config.json; no bar is due while it is closed.
    timeframe : str
        Of the bars it decides at; `M15` in a file of a release before it was written down.
    clock : str
        How this machine's clock and the server's differ, in words; empty while they agree.
    format : int
    """

    state: State
    started: int
    written: int
    pid: int
    identity: str
    last_bar: int
    bars_processed: int
    bars_missed: int
    equity: float
    balance: float
    position: OpenTrade | None
    breakers: tuple[str, ...]
    models: str
    fingerprint: str
    versions: Mapping[str, str]
    server_clock: str
    trading_hours: Mapping[Weekday, str]
    clock: str = ""
    timeframe: str = USUAL.name
    format: int = _FORMAT


@dataclass(frozen=True)
class Verdict:
    """Whether a bot is healthy, and why; `stopped` when no process of it runs."""

    healthy: bool
    reason: str
    stopped: bool = False

    @property
    def word(self) -> str:
        """The verdict in one word."""
        return "healthy" if self.healthy else "STOPPED" if self.stopped else "STALE"

    def __str__(self) -> str:
        """Return it in words."""
        return f"{'stopped ' if self.stopped else ''}{self.reason}"


def shown_identity(identity: str) -> str:
    """Return what a journal belongs to without what only programs compare."""
    return re.sub(r" \([0-9a-f]{12}\)$|:[0-9a-f]{16}$", "", identity)


def shown_models(models: str) -> str:
    """Return which models serve, each with the kind of file that answers for it, instead of the file's name."""
    note, separator, named = models.partition(": ")
    if "=" in note or not separator:
        note, separator, named = "", "", models
    kinds: dict[str, list[str]] = {}
    for part in filter(None, named.split(", ")):
        model, _, file = part.partition("=")
        name, _, kind = model.rpartition(" ")
        if kind != "scaler":
            kinds.setdefault(name or "signal", []).append(kind + _served_as(file))
    served = "; ".join(f"{name}: {', '.join(parts)}" for name, parts in kinds.items())
    return f"{note}{separator}{served}" or "none yet"


def _served_as(file: str) -> str:
    """Return in brackets which link of the chain calibrated pickle, ONNX, raw pickle a file is; nothing for others."""
    if file.endswith("_calibrated.pkl"):
        return " (calibrated)"
    return {".onnx": " (ONNX)", ".pkl": " (raw)"}.get(Path(file).suffix, "")


def latched_breakers(guard: Guard) -> tuple[str, ...]:
    """Return the names of the limits that keep the bot from entering."""
    flags = (("day", guard.day_blocked), ("week", guard.week_blocked), ("HARD HALT", guard.halted))
    return tuple(name for name, flag in flags if flag)


def health_file(journal: Path) -> Path:
    """Return where the bot of a journal writes its health: beside it. One folder holds one bot's."""
    return journal.with_name(HEALTH_NAME)


def write_health(path: Path, health: Health) -> None:
    """Replace the health file, atomically; StorageError when it cannot be written."""
    write_json(path, asdict(health))


def read_health(path: Path) -> Health | None:
    """Read a health file, None when there is none.

    Raises
    ------
    StorageError
        It is not one.
    """
    try:
        content: dict[str, Any] = {"clock": "", "timeframe": USUAL.name, **read_json_file(path)}
        if content.keys() != {field.name for field in fields(Health)} or content["format"] != _FORMAT:
            raise ValueError("other keys or another format")
        timeframe(content["timeframe"])
        position = content["position"]
        return Health(
            **{
                **content,
                "position": None if position is None else OpenTrade(**position),
                "breakers": tuple(content["breakers"]),
            }
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(
            f"{path} is no health file of this version ({error}); remove it, the bot writes it anew"
        ) from error


def is_running(path: Path) -> bool | None:
    """Tell whether the process that wrote a health file still runs, None where that cannot be told.

    It holds a lock as long as it lives, however it ends; a process number could be another's by now.
    """
    lock = _lock_file(path)
    if not lock.exists():
        return None
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return None


def _lock_file(path: Path) -> Path:
    return path.with_suffix(".lock")


def judge_health(
    status: BotStatus,
    health: Health | None,
    now: float,
    most_behind: int = MOST_BARS_BEHIND,
    *,
    running: bool | None = None,
) -> Verdict:
    """Tell whether a bot runs and keeps up with the market.

    Parameters
    ----------
    status : BotStatus
        From the journal.
    health : Health or None
        From its file; ignored when it belongs to another journal.
    now : float
        UTC epoch seconds.
    most_behind : int
        Bars that may have closed in an open market without being processed.
    running : bool or None
        Whether its process runs, see `is_running`; None where that is not known.
    """
    if status.finished or status.identity.startswith(REPLAY_NAME):
        return Verdict(True, "a replay is not judged by the clock")
    own = health if health is not None and health.identity == status.identity else None
    if own is not None and own.state == "stopped" and not running:
        return Verdict(False, f"since {utc_text(own.written)}; start it", stopped=True)
    if own is not None and own.state == "running" and running is False:
        reason = f"process {own.pid} is gone, its last sign is of {utc_text(own.written)}; see its log, then start it"
        return Verdict(False, reason, stopped=True)
    since = status.last_bar or (own.started if own is not None else 0)
    if since == 0:
        return Verdict(False, "no bar was ever processed; start the bot, or see why it ends")
    if since > now + CLOCK_SLACK:
        return Verdict(False, "the newest bar lies in the future; set this machine's clock")
    if own is not None and own.state == "running" and own.clock:
        return Verdict(False, own.clock)
    behind = _bars_due(since, now, own)
    if behind <= most_behind:
        return Verdict(True, f"{behind} bar(s) behind the market")
    return Verdict(
        False, f"{behind} bars have closed unanswered, {most_behind} are tolerated; see its log, then restart it"
    )


def _bars_due(since: int, now: float, health: Health | None) -> int:
    """Count the bars that opened in an open market and closed in (since, now]."""
    # Without a health file nobody says how long the bot's bars are, nor when its market is open.
    frame = USUAL if health is None else TIMEFRAMES[health.timeframe]
    opens = np.arange(frame.floor(since), int(now) - frame.seconds + 1, frame.seconds, dtype=np.int64)
    if health is None:
        return len(opens)
    return int(open_at(opens, health.trading_hours, ServerClock(health.server_clock)).sum())


class Heartbeat:
    """Writes the health file of one run of the bot: at its start, after every processed bar, at a clean end.

    Parameters
    ----------
    path : Path
    settings : Settings
    fingerprint : str
        Identifies the models' answers.
    look : callable
        Returns the bot's standing and the account's open positions.
    now : callable
        UTC epoch seconds.
    clock : callable
        Returns how the clocks differ, in words; empty while they agree.
    once : bool
        The run is to act on one bar only: its end is no stop.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        fingerprint: str,
        look: Callable[[], tuple[BotStatus, Sequence[Position]]],
        now: Callable[[], float],
        clock: Callable[[], str] = str,
        *,
        once: bool = False,
    ) -> None:
        self._clock = clock
        self._end: State = "once" if once else "stopped"
        self._life = FileLock(_lock_file(path))
        self._path, self._settings, self._fingerprint = path, settings, fingerprint
        self._look, self._now = look, now
        self._started = int(now())
        self._versions = _versions()

    def __enter__(self) -> Self:
        """Write the first beat, and show from now on that the process lives."""
        with suppress(OSError, Timeout):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._life.acquire(timeout=0)
        self.beat()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Write that the bot was stopped; a bot that failed leaves its last beat as it was."""
        if kind is None or issubclass(kind, KeyboardInterrupt):
            self.beat(self._end)
        self._life.release()

    def beat(self, state: State = "running") -> None:
        """Write where the bot stands.

        A file that cannot be written is an error in the log and no reason to stop: the bot may
        have a position to manage, and whoever reads the journal still sees the truth.
        """
        try:
            write_health(self._path, self._health(state))
        except StorageError as error:
            _log.error("%s", error)

    def _health(self, state: State) -> Health:
        status, positions = self._look()
        magic = self._settings.instrument.magic
        own = next((position for position in positions if position.magic == magic), None)
        broker = self._settings.broker
        return Health(
            state=state,
            started=self._started,
            written=int(self._now()),
            pid=os.getpid(),
            identity=status.identity,
            last_bar=status.last_bar,
            bars_processed=status.bars_processed,
            bars_missed=status.bars_missed,
            equity=round(float(status.guard.equity), 2),
            balance=round(status.cash, 2),
            position=_open_trade(own),
            breakers=latched_breakers(status.guard),
            models=status.models,
            fingerprint=self._fingerprint,
            versions=self._versions,
            server_clock=broker.server_clock,
            trading_hours=dict(broker.trading_hours),
            clock=self._clock(),
            timeframe=self._settings.timeframe,
        )


def _open_trade(own: Position | None) -> OpenTrade | None:
    return None if own is None else OpenTrade(own.ticket, own.side, own.volume, own.price_open, own.sl, own.tp)


def _versions() -> dict[str, str]:
    from ml.sets.compat import library_versions

    return {"novosky": __version__, "python": platform.python_version(), **library_versions()}
