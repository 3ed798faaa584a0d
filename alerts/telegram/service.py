"""Telegram as the bot starts and stops it: one thread that tells, one that listens."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from alerts.telegram.access import TelegramAccess
from alerts.telegram.api import BotApi, InterruptedCallError, TelegramApi
from alerts.telegram.chats import ChatBook
from alerts.telegram.commands import Commander
from alerts.telegram.confirmation import Confirmations
from alerts.telegram.delivery import Delivery, Outbox, Pace
from alerts.telegram.ledger import CommandLedger
from alerts.telegram.poller import Poller
from alerts.views import BotControls, BotView, HealthItem
from novosky.clock import Clock

LOOK_AGAIN = 2.0
"""Seconds after which the outbox is looked at again, whether or not someone woke the delivery."""
SILENCE = 300.0
"""Seconds without an answer of Telegram that count as unwell."""

_log = logging.getLogger(__name__)


class TelegramService:
    """Wires deliveries and commands around one outbox and runs them.

    Parameters
    ----------
    access : TelegramAccess
    outbox : Outbox
        Used by three threads at a time.
    view : BotView
    controls : BotControls
    ledger : Path
        Where handled commands are remembered; beside it the new ids of chats that have moved.
    clock : Clock
    rng : random.Random
        Spreads repeated attempts.
    new_code : callable
        Draws confirmation codes.
    pace : Pace
    connect : callable
        Makes the connection to the Bot API; called twice, once for each thread.
    """

    def __init__(
        self,
        access: TelegramAccess,
        outbox: Outbox,
        view: BotView,
        controls: BotControls,
        *,
        ledger: Path,
        clock: Clock,
        rng: Random,
        new_code: Callable[[], str],
        pace: Pace | None = None,
        connect: Callable[[TelegramAccess], BotApi] = TelegramApi,
    ) -> None:
        self._clock = clock
        self._speaking, self._listening = connect(access), connect(access)
        book = ChatBook(access.destinations, ledger.with_name(f"{ledger.stem}-chats.json"))
        self.delivery = Delivery(outbox, self._speaking, access.labels, Random(rng.random()), pace, book)
        commander = Commander(view, controls, book, Confirmations(new_code))
        books = CommandLedger(ledger, access.bot_id)
        self.poller = Poller(self._listening, commander, books, outbox, clock, Random(rng.random()), book)
        self._book = book
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def catch_up(self, patience: float = 10.0) -> bool:
        """Obey what was sent while the bot was away; call it before the first bar and before `start`.

        False means Telegram could not be asked in `patience` seconds. The bot goes on then: a
        position needs managing whether or not Telegram is up, and the poller keeps trying.
        """
        return self.poller.catch_up(patience)

    def start(self) -> None:
        """Start both threads."""
        for name, work in (("telegram-delivery", self._deliver), ("telegram-commands", self._listen)):
            thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Say that something was put into the outbox."""
        self._news.set()

    def check(self) -> None:
        """Raise what ended one of the threads, if anything did: a defect, or the outbox's storage."""
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = 5.0) -> bool:
        """End both threads, calls under way included; False when one did not end in time.

        What is not sent stays in the outbox for the next start.
        """
        self._stopping.set()
        self._news.set()
        for api in (self._speaking, self._listening):
            api.interrupt()
        for thread in self._threads:
            thread.join(timeout)
        if any(thread.is_alive() for thread in self._threads):
            return False
        for api in (self._speaking, self._listening):
            api.close()
        return True

    def health(self) -> list[HealthItem]:
        """Return what a health report says of Telegram."""
        now = self._clock.now()
        silence = now - self.poller.last_contact
        heard = self.poller.problem or f"Telegram answered {silence:.0f} s ago"
        if self.poller.last_contact == 0.0:
            heard = self.poller.problem or "not asked yet"
        if self.poller.unreadable:
            heard += f"; {self.poller.unreadable} update(s) could not be read and were left out"
        told = self.delivery.problem or "nothing is stuck"
        if self._book.followed:
            told += "; a chat has become a supergroup and is followed: write its new id into TELEGRAM_CHAT_IDS"
        return [
            HealthItem("Telegram commands", not self.poller.problem and silence < SILENCE, heard),
            HealthItem("Telegram messages", not self.delivery.problem, told),
        ]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except InterruptedCallError:
            return
        except BaseException as error:
            # Handed to the bot's own thread, which fails with it: a listener that died unseen obeys no /freeze.
            _log.critical("Telegram has stopped: %s", type(error).__name__)
            self._failure = error

    def _deliver(self) -> None:
        while not self._stopping.is_set():
            wait = self.delivery.step(self._clock.now())
            self._news.wait(LOOK_AGAIN if math.isinf(wait) else min(wait, LOOK_AGAIN))
            self._news.clear()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            wait = self.poller.poll()
            self.wake()
            self._stopping.wait(wait)
