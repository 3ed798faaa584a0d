"""Wire a live bot: adapter, journal, switches, alert channels, news, health, around one account.

Starting is recovering. What a person ordered while the bot was away is obeyed first, orders
without a known outcome are looked up next, and only then a bar is acted on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from alerts.family import how_to_configure
from alerts.message import Message
from alerts.port import Desk, Service
from engine.inputs.parameters import build_params
from novosky.data.calendar.forex_factory import Release
from novosky.errors import NovoskyError, StorageError
from trading.bot import Bot
from trading.brokers.clock_watch import ClockWatch
from trading.brokers.port import LIVE_ENTRY_SECONDS, BrokerUnavailable
from trading.cycle.messages import Announcer
from trading.cycle.position_source import PositionSource
from trading.cycle.signal_source import SignalSource
from trading.cycle.switches import Switches
from trading.cycle.warm import warm_up
from trading.journal import NewsEvent
from trading.live.account import OpenAccount, open_account
from trading.live.fatal import fatal_message
from trading.live.log_notifier import LogNotifier
from trading.live.loop import LiveLoop
from trading.live.parts import LiveParts
from trading.reports.claim import ClaimWatch
from trading.reports.daily import DailyReporter
from trading.reports.health import HEALTH_NAME, Heartbeat
from trading.reports.narrator import Narrator
from trading.reports.tables import BLOCKED_NAME, TRADES_NAME, CurrentTables
from trading.reports.view import LiveView, Watch

CHANNEL_PATIENCE = 10.0
"""Seconds a start waits for the orders of one channel; a position needs managing whether or not it is up."""
RECONCILE_SECONDS = 3600.0
"""So often the account's whole history is held against the journal."""
FAREWELL_SECONDS = 3.0
"""For the last messages to leave."""
_log = logging.getLogger(__name__)


class LiveSession:
    """A live bot, ready to run. Made by `live_session`, which also takes it apart.

    Parameters
    ----------
    parts : LiveParts
    account : OpenAccount
    """

    def __init__(self, parts: LiveParts, account: OpenAccount) -> None:
        self.parts, self.journal, self.broker, self.lock = parts, account.journal, account.broker, account.lock
        journal = account.journal
        self.watch = Watch()
        self.switches = Switches(journal, parts.clock, "Telegram", parts.freeze_flag)
        self.view = LiveView(
            journal,
            self.switches,
            self.watch,
            parts.news,
            parts.settings,
            parts.ml_settings,
            parts.clock,
            parts.identity,
        )
        self._notifier = LogNotifier()
        self.announcer = Announcer(journal, self._notifier)
        self.claim = ClaimWatch(journal.trades, parts.reference)
        self.services = self._make_services()
        self.reporter = DailyReporter(journal, self.view, parts.folder)
        self.tables = CurrentTables(
            journal,
            parts.settings,
            parts.trades_file or parts.folder / TRADES_NAME,
            parts.blocked_file or parts.folder / BLOCKED_NAME,
        )
        params = build_params(parts.settings, parts.ml_settings)
        self.narrator = Narrator(
            journal,
            parts.settings,
            params,
            parts.clock,
            positions=lambda: self.watch.sight.positions,
            stops=self.switches.stops,
        )
        self.switches.standing = self._standing
        self.bot: Bot | None = None
        self._recorded: tuple[Release, ...] = ()
        self._alarmed = False
        # The bot itself does it at its start.
        self._reconciled = parts.clock.now()

    def _make_services(self) -> tuple[Service, ...]:
        """Return one service for each channel: each has its own queue, so none waits for another."""
        parts = self.parts
        services = tuple(
            channel.serve(
                Desk(
                    queue=self.journal.outbox.queue(channel.name),
                    view=self.view,
                    controls=self.switches,
                    folder=parts.folder,
                    clock=parts.clock,
                    rng=parts.rng,
                    new_code=parts.new_code,
                )
            )
            for channel in parts.channels
        )
        self.view.more_health = lambda: [
            *self.claim.health(),
            *(item for service in services for item in service.health()),
        ]
        self._notifier.services = services
        return services

    def run(self, stopping: Callable[[], bool], *, once: bool = False) -> None:
        """Obey what was ordered meanwhile, start the bot, and loop until `stopping`.

        Parameters
        ----------
        stopping : callable
        once : bool
            Act on the newest closed bar and return.

        Raises
        ------
        NovoskyError
            What no waiting mends; with `once` also a broker that cannot be asked.
        """
        for service in self.services:
            if not service.catch_up(CHANNEL_PATIENCE):
                _log.warning("%s does not answer; what was sent to the bot meanwhile is obeyed later", service.title)
            service.start()
        self.parts.news.refresh(self.parts.clock.now())
        self._record_news()
        self.tables.follow()
        bot = self._start_bot(stopping, once=once)
        if bot is None:
            return
        self.bot = bot
        heartbeat = Heartbeat(
            self.parts.folder / HEALTH_NAME,
            self.parts.settings,
            self.parts.models.fingerprint,
            lambda: (bot.status, self.watch.sight.positions),
            self.parts.clock.now,
            lambda: self.watch.clock_problem,
            once=once,
        )
        with heartbeat:
            self._look(bot, acted=False)
            self.narrator.started(bot.status, self._facts())
            self._loop(bot, heartbeat, stopping, once=once)
        if not once:
            self.narrator.ended(bot.status, "python trading.py")

    def _facts(self) -> list[str]:
        """Return what a person should know at the start, besides where the bot stands."""
        parts = self.parts
        silent = f"alerts: no channel is configured ({how_to_configure()}); messages stand here and in the log"
        told = [f"{channel.title}: messages go to {channel.reach}" for channel in parts.channels]
        return [
            f"account: {parts.identity}",
            f"models: {parts.models.summary}",
            *(told or [silent]),
            f"tables: {self.tables.trades}, {self.tables.blocked}",
            *parts.facts,
        ]

    def _standing(self) -> str:
        return "" if self.bot is None else self.narrator.standing(self.bot.status)

    def _loop(self, bot: Bot, heartbeat: Heartbeat, stopping: Callable[[], bool], *, once: bool) -> None:
        def seen(acted: bool) -> None:
            self._look(bot, acted=acted)
            if acted:
                self.narrator.followed(bot.status)
                self.tables.follow()
                heartbeat.beat()

        clocks = self._clock_watch()

        def compare_clocks() -> None:
            text = clocks.look()
            if text:
                self._tell_clocks(text, clocks.problem, bot)
                heartbeat.beat()

        loop = LiveLoop(
            bot,
            self.switches,
            self.parts.news,
            self.parts.clock,
            wait=self._wait,
            check=self._check,
            seen=seen,
            clocks=compare_clocks,
            rhythm=self.parts.rhythm,
        )
        if not once:
            loop.run(stopping)
            return
        loop.step()
        while bot.unexplained:
            # It would be taken as it is in the end; the next run would begin to wait anew.
            self._wait(self.parts.rhythm.eager)
            loop.step()
        if bot.away:
            raise BrokerUnavailable("the broker cannot be asked; nothing was done, see the log")

    def _clock_watch(self) -> ClockWatch:
        parts = self.parts
        rule = parts.settings.broker.server_clock
        return ClockWatch(self.broker.measure_clock, parts.clock.now, rule, parts.rhythm.poll)

    def _tell_clocks(self, text: str, problem: str, bot: Bot) -> None:
        """Say that the clocks part, or agree again, wherever people look."""
        self.watch.clock_problem = problem
        if problem:
            _log.warning("%s", text)
        now = math.floor(self.parts.clock.now())
        self.announcer.tell(Message(f"clock:{now}", "broker", text, bot.status.last_bar))

    def _start_bot(self, stopping: Callable[[], bool], *, once: bool) -> Bot | None:
        """Return the bot once the broker can be asked; None when told to stop first."""
        status = self.journal.status()
        bar = 0 if status is None else status.last_bar
        while not stopping():
            try:
                bot = self._make_bot()
            except BrokerUnavailable as error:
                if once:
                    raise
                if not self.watch.away:
                    self.watch.away = True
                    text = f"the broker cannot be asked, the bot waits: {error}"
                    self.announcer.tell(Message(f"away:{bar}", "broker", text, bar))
                self._check_threads()
                self._wait(self.parts.rhythm.poll)
                continue
            if self.watch.away:
                self.announcer.tell(Message(f"back:{bar}", "broker", "the broker answers again", bar))
            return bot
        return None

    def _make_bot(self) -> Bot:
        parts, models = self.parts, self.parts.models
        params = build_params(parts.settings, parts.ml_settings)
        # Unlike a replay's, the loop takes its time between the close and the order.
        params.entry_valid_seconds = LIVE_ENTRY_SECONDS
        warm_up(models, parts.settings, parts.ml_settings, params)
        return Bot(
            self.broker,
            self.journal,
            self._notifier,
            SignalSource(models.signal, parts.settings, parts.ml_settings, parts.news, models.sltp),
            params,
            positions=None
            if models.position is None
            else PositionSource(models.position, parts.ml_settings, parts.news),
            risk=models.risk,
            identity=parts.identity,
            models=models.description,
            fingerprint=models.fingerprint,
            frozen=self.switches.entries_stopped,
            accept_balance=parts.accept_balance,
        )

    def _look(self, bot: Bot, *, acted: bool) -> None:
        """Take note of the account for people, after everything that matters is done."""
        try:
            self.watch.look(self.broker)
            self._reconcile(bot)
        except BrokerUnavailable as error:
            _log.warning("the account could not be looked at: %s", error)
            return
        account = self.watch.sight.account
        if not acted or account is None:
            return
        self._record_news()
        self.journal.snapshot_account(
            bot.status.last_bar, account.balance, account.equity, account.margin, len(self.watch.sight.positions)
        )
        alarm = self.claim.alarm(bot.status.last_bar)
        if alarm is not None and not self._alarmed:
            # The outbox keeps the first of a key; a restart tells it to the log once more.
            self._alarmed = True
            self.announcer.tell(alarm)
        if self.services and self.reporter.report(self.parts.clock.now(), lambda day: self._notes(bot, day)):
            for service in self.services:
                service.wake()

    def _record_news(self) -> None:
        """Keep what the calendar announces, whenever it announces something else than before."""
        releases = self.parts.news.releases()
        if releases != self._recorded:
            self._recorded = releases
            self.journal.record_news(
                [NewsEvent(each.time, each.currency, each.event, each.impact.lower()) for each in releases]
            )

    def _reconcile(self, bot: Bot) -> None:
        now = self.parts.clock.now()
        if now - self._reconciled >= RECONCILE_SECONDS:
            bot.reconcile()
            self._reconciled = now

    def _notes(self, bot: Bot, day: int) -> list[str]:
        calendar = self.parts.news.state(self.parts.clock.now())
        missed = bot.status.bars_missed
        notes = [f"the news calendar is {calendar}"] if calendar.freshness != "fresh" else []
        notes += [f"{missed} bars missed since the journal began"] if missed else []
        notes += self.claim.notes()
        more = self.parts.day_notes
        return notes + ([] if more is None else list(more(self.journal, self.broker.closed_bars, day)))

    def _check(self) -> None:
        self.watch.away = self.bot is not None and self.bot.away
        self.lock.check()
        if self.bot is not None:
            self.narrator.looked(self.bot.status)
        self._check_threads()

    def _check_threads(self) -> None:
        for service in self.services:
            service.check()

    def _wait(self, seconds: float) -> None:
        if self.parts.wait is None:
            self.parts.clock.sleep(seconds)
        else:
            self.parts.wait(seconds, self.switches)

    def tell_end(self, error: BaseException | None) -> None:
        """Say that the bot ends, and why; a fatal error is given a moment to reach its reader."""
        if not self.services or not isinstance(error, NovoskyError):
            return
        now = math.floor(self.parts.clock.now())
        try:
            self.announcer.tell(fatal_message(error, now))
        except StorageError as lost:
            _log.error("nobody could be told of the end: %s", lost)
            return
        for _ in range(round(FAREWELL_SECONDS / 0.1)):
            if not self.journal.outbox.due(now, 1):
                return
            self.parts.clock.sleep(0.1)

    def close(self) -> None:
        """Stop the threads and leave the terminal; what is unsent stays in the outbox."""
        for service in self.services:
            if not service.stop():
                _log.warning("the threads of %s did not end in time", service.title)
        self.broker.close()


@contextmanager
def live_session(parts: LiveParts) -> Iterator[LiveSession]:
    """Open the account for this process alone, and leave it in order whatever happens.

    Raises
    ------
    LockedError
        Another bot holds the account or the journal.
    StorageError
        The folder or the journal cannot be written.
    UsageError
        A model is switched on and not given.
    """
    parts.models.require(parts.ml_settings)
    with open_account(parts.account) as account, ExitStack() as stack:
        session = LiveSession(parts, account)
        stack.callback(session.close)
        try:
            yield session
        except NovoskyError as error:
            session.tell_end(error)
            raise
