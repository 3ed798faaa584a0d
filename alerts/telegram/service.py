"""Telegram as the bot starts and stops it: one thread that tells, one that listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from alerts.port import Queue
from alerts.service import ChannelService, Line
from alerts.telegram.access import TelegramAccess
from alerts.telegram.api import BotApi, TelegramApi
from alerts.telegram.channel import Pace, TelegramChannel
from alerts.telegram.chats import ChatBook
from alerts.telegram.commands import Commander
from alerts.telegram.confirmation import Confirmations
from alerts.telegram.ledger import CommandLedger
from alerts.telegram.poller import Poller
from alerts.views import BotControls, BotView, HealthItem
from novosky.clock import Clock

SILENCE = 300.0
"""Seconds without an answer of Telegram that count as unwell."""


class TelegramService(ChannelService):
    """Wires deliveries and commands around one queue and runs them.

    Parameters
    ----------
    access : TelegramAccess
    queue : Queue
        Of Telegram's messages; used by three threads at a time.
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
        queue: Queue,
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
        # One book for both threads: a chat's new id is learnt by whichever meets it first.
        book = ChatBook(access.destinations, ledger.with_name(f"{ledger.stem}-chats.json"))
        channel = TelegramChannel(connect(access), book, pace)
        super().__init__(channel, queue, clock, Random(rng.random()))
        commander = Commander(view, controls, book, Confirmations(new_code))
        books = CommandLedger(ledger, access.bot_id)
        self._listening = connect(access)
        self.poller = Poller(self._listening, commander, books, queue, clock, Random(rng.random()), book)
        self._book = book

    def catch_up(self, patience: float = 10.0) -> bool:
        """Obey what was sent while the bot was away; call it before the first bar and before `start`.

        False means Telegram could not be asked in `patience` seconds. The bot goes on then: a
        position needs managing whether or not Telegram is up, and the poller keeps trying.
        """
        return self.poller.catch_up(patience)

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

    def _work(self) -> Sequence[tuple[str, Callable[[], None]]]:
        return [*super()._work(), ("commands", self._listen)]

    def _lines(self) -> Sequence[Line]:
        return [*super()._lines(), self._listening]

    def _listen(self) -> None:
        while not self._stopping.is_set():
            wait = self.poller.poll()
            # An answer to a command may have been queued: it must not wait for the next look.
            self.wake()
            self._stopping.wait(wait)
