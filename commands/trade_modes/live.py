"""What `trading.py` does without --paper: trade an account through MetaTrader 5."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.shared.options import refuse_collisions

if TYPE_CHECKING:
    from pandas import DataFrame

    from engine.inputs.models import Models
    from novosky.settings import MlSettings, Settings
    from trading.cycle.news import LiveNews
    from trading.cycle.switches import Switches
    from trading.journal import Journal
    from trading.live.parts import LiveParts

LOGS = Path("logs")
JOURNAL = LOGS / "novosky.sqlite"
CALENDAR_FOLDER = LOGS
LEVEL_VARIABLE = "NOVOSKY_LOG_LEVEL"
_SLICE = 0.5
"""Seconds after which a stop is noticed at the latest while waiting."""


@dataclass(frozen=True)
class LiveRun:
    """What a live run was told.

    Attributes
    ----------
    config, ml_config, models, calendar
        The files to read; the calendar is the past's, this week's is fetched.
    journal : Path or None
        Where to keep the journal; None leaves it to NOVOSKY_DATABASE_URL, or `logs/novosky.sqlite`.
    trades_file, blocked_file : Path or None
        Where to keep the tables current; beside the journal file unless given.
    accept_balance : bool
        A person accepts a balance far from the starting balance.
    """

    config: Path
    ml_config: Path
    models: Path
    calendar: Path | None
    journal: Path | None
    trades_file: Path | None
    blocked_file: Path | None
    accept_balance: bool = False


class Stop:
    """Whether the bot was told to stop; the step under way is finished first."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Tell whether it was."""
        return self.asked

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM over; the second one interrupts at once."""
        earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int, frame: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        for number in earlier:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def wait(self, seconds: float, switches: Switches) -> None:
        """Wait, but no longer than until a person orders something or the bot is told to stop."""
        remaining = seconds
        while remaining > 0.0 and not self.asked:
            # In slices: a signal handler must not touch the event its own thread waits on.
            if switches.thrown.wait(min(_SLICE, remaining)):
                switches.thrown.clear()
                return
            remaining -= _SLICE


def trade_live(run: LiveRun, *, once: bool) -> None:
    """Trade until told to stop, then end like an interrupted program, with everything closed.

    Raises
    ------
    NovoskyError
        What no waiting mends, with its exit code.
    KeyboardInterrupt
        It was told to stop.
    """
    import os

    from novosky.environment import ENV_FILE, read_environment
    from novosky.log import configure_logging
    from novosky.redaction import secret_values
    from trading.live.session import live_session

    refuse_collisions(
        {"--journal": run.journal, "--trades": run.trades_file, "--blocked": run.blocked_file},
        {"--config": run.config, "--ml-config": run.ml_config, "--calendar": run.calendar, "--models": run.models},
    )
    environment = read_environment(ENV_FILE, os.environ)
    hidden = secret_values(environment)
    stop = Stop()
    with stop.signals():
        parts = live_parts(run, environment, stop, lambda: configure_logging(LOGS, _level(environment), secrets=hidden))
        with live_session(parts) as session:
            try:
                session.run(stop, once=once)
            finally:
                session.tables.write()
    if stop.asked:
        raise KeyboardInterrupt


def live_parts(run: LiveRun, environment: Mapping[str, str], stop: Stop, log: Callable[[], None]) -> LiveParts:
    """Read everything a live bot is made of; nothing of the account is touched.

    Parameters
    ----------
    log : callable
        Begins the log; called once it is clear that there is an account to trade.
    """
    import secrets
    from random import Random

    from alerts.family import configured_channels
    from ml.load_models import load_deployment
    from ml.sets.deployment import Deployment
    from novosky.clock import RealClock
    from novosky.database.place import journal_url
    from trading.brokers.family import reach_from_environment
    from trading.cycle.news import LiveNews
    from trading.live.parts import LiveParts
    from trading.live.practice import refuse_practice_models
    from trading.paper.rehearsal import rehearsal_clock
    from trading.reports.claim import reference_or_none
    from trading.reports.expectation import expectation_facts

    reach = reach_from_environment(environment)
    rehearsing = rehearsal_clock(environment, reach)
    channels = configured_channels(environment)
    named = database_of(environment) if run.journal is None else None
    log()
    settings, ml_settings, models = load_deployment(Deployment(run.models, run.config, run.ml_config), apart=True)
    refuse_practice_models(models, real=reach.real)
    news = LiveNews(CALENDAR_FOLDER, settings.news, Random(), history=run.calendar)

    return LiveParts(
        settings=settings,
        ml_settings=ml_settings,
        models=models,
        reach=reach,
        folder=LOGS if run.journal is None else run.journal.parent,
        journal=run.journal or JOURNAL,
        trades_file=run.trades_file,
        blocked_file=run.blocked_file,
        database=None if named is None else journal_url(named),
        locks=locks_of(environment),
        news=news,
        day_notes=_drift_of(settings, ml_settings, models, news),
        channels=channels,
        clock=rehearsing or RealClock(),
        wait=stop.wait if rehearsing is None else lambda span, thrown: stop.wait(span / rehearsing.pace.rate, thrown),
        rng=Random(),
        new_code=lambda: f"{secrets.randbelow(10**6):06d}",
        accept_balance=run.accept_balance,
        facts=expectation_facts(run.models, settings),
        reference=reference_or_none(run.models),
    )


def _drift_of(
    settings: Settings, ml_settings: MlSettings, models: Models, news: LiveNews
) -> Callable[[Journal, Callable[[int], DataFrame], int], list[str]]:
    """Return what compares a day as it was traded with the same day in the backtest."""

    def drift(journal: Journal, closed_bars: Callable[[int], DataFrame], day: int) -> list[str]:
        from backtest.day.note import drift_note

        known = news.calendar(day)
        return [
            drift_note(journal, closed_bars, day, settings=settings, ml_settings=ml_settings, models=models, news=known)
        ]

    return drift


def database_of(environment: Mapping[str, str]) -> str | None:
    """Return the URL of the journal's database, None when it is a file."""
    from novosky.environment import DATABASE

    return environment.get(DATABASE.name, "").strip() or None


def locks_of(environment: Mapping[str, str]) -> Path | None:
    """Return the folder of the account locks where one is named."""
    from novosky.environment import LOCKS

    named = environment.get(LOCKS.name, "").strip()
    return Path(named) if named else None


def _level(environment: Mapping[str, str]) -> str:
    return environment.get(LEVEL_VARIABLE, "INFO")


def default_journal(replay: Path | None) -> Path:
    """Return where a paper account's journal lives unless --journal names another file."""
    return Path("logs") / ("paper.sqlite" if replay is None else f"replay-{replay.stem}.sqlite")
