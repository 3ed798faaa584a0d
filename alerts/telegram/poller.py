"""Taking commands: long polls, each command once, those sent while the bot was away before all else."""

from __future__ import annotations

import logging
import math
from random import Random

from alerts.delivery import addressed
from alerts.failures import AccessRefusedError, PlaceClosedError, RefusedError, SlowDownError, UnreachableError
from alerts.message import Message
from alerts.port import Queue
from alerts.telegram.api import BotApi, ChatMovedError
from alerts.telegram.chats import ChatBook
from alerts.telegram.commands import Commander
from alerts.telegram.destination import Destination
from alerts.telegram.ledger import CommandLedger
from alerts.telegram.updates import Batch, Incoming
from novosky.clock import Clock

POLL_WAIT = 25.0
"""Seconds a long poll lasts; Telegram holds it open until a message comes."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0
"""Seconds until a failed poll is repeated; doubled by every further failure."""
TOKEN_WAIT = 600.0
"""Seconds until a refused token is tried again."""
LONGEST_JUNK_WAIT = 30.0
"""The same where Telegram answers, but only with what cannot be acknowledged: commands must stay prompt."""
RENUMBERED_AFTER = 3600.0
"""Seconds without an update after which the offset is forgotten: after a quiet week Telegram numbers
updates anew, possibly lower, and what lies below an offset is thrown away unread."""
REMEMBERED_JUNK = 200
"""Updates without a number that were said already, so that one that stays is said once."""
JITTER = 0.25

_log = logging.getLogger(__name__)


class Poller:
    """Reads updates and has them carried out.

    Parameters
    ----------
    api : BotApi
        Used by no other thread, except for `interrupt`.
    commander : Commander
    ledger : CommandLedger
    queue : Queue
        Takes the answers.
    clock : Clock
    rng : random.Random
        Spreads repeated polls.
    book : ChatBook
        Follows chats to their new ids.
    """

    def __init__(
        self,
        api: BotApi,
        commander: Commander,
        ledger: CommandLedger,
        queue: Queue,
        clock: Clock,
        rng: Random,
        book: ChatBook,
    ) -> None:
        self._api, self._commander, self._ledger, self._queue = api, commander, ledger, queue
        self._book = book
        self._clock, self._rng = clock, rng
        self._username: str | None = None
        # Never one from an earlier run, see `alerts.telegram.ledger`.
        self._offset: int | None = None
        self._failures = 0
        self._newest_update = -math.inf
        self._junk: dict[str, None] = {}
        self.unreadable = 0
        """Updates that could not be read since the start, each counted once."""
        self.last_contact = 0.0
        """When Telegram last answered, UTC epoch seconds; 0 for never."""
        self.problem = ""
        """Why it does not answer now; empty while it does."""

    def catch_up(self, patience: float) -> bool:
        """Carry out everything that was sent while the bot was away.

        Parameters
        ----------
        patience : float
            Seconds after which no further attempt is begun.

        Returns
        -------
        bool
            False when Telegram could not be asked in that time; the poller goes on trying.
        """
        until = self._clock.now() + patience
        while True:
            wait, found = self._poll(0.0)
            if wait == 0.0 and found == 0:
                return True
            if self._clock.now() + wait >= until:
                _log.warning("commands sent while the bot was away are not read yet: %s", self.problem or "too many")
                return False
            self._clock.sleep(wait)

    def poll(self) -> float:
        """Wait for updates once and carry them out; returns the seconds to wait before the next call."""
        return self._poll(POLL_WAIT)[0]

    def _poll(self, hold: float) -> tuple[float, int]:
        """Return how long to wait before the next poll, and how many updates this one brought."""
        try:
            if self._username is None:
                self._username = self._api.username()
            found = self._api.updates(self._offset, hold)
        except SlowDownError as error:
            return self._failed(str(error), error.seconds), 0
        except AccessRefusedError as error:
            return self._failed(str(error), TOKEN_WAIT), 0
        except (UnreachableError, RefusedError, PlaceClosedError, ChatMovedError) as error:
            return self._failed(str(error), self._longer_wait(LONGEST_WAIT)), 0
        now = self._clock.now()
        self._say_unreadable(found)
        if found.unreadable and not found.updates:
            self.last_contact = now
            return self._failed("Telegram gives only updates without a number", self._longer_wait(LONGEST_JUNK_WAIT)), 0
        if self._failures:
            _log.info("Telegram answers again after %d failure(s)", self._failures)
        self._failures, self.problem, self.last_contact = 0, "", now
        for incoming in found.updates:
            self._handle(incoming)
            self._offset = incoming.update_id + 1
        if found.updates:
            self._newest_update = now
        elif now - self._newest_update > RENUMBERED_AFTER:
            # What was confirmed does not come again, and would be known if it did.
            self._offset = None
        return 0.0, len(found.updates)

    def _say_unreadable(self, found: Batch) -> None:
        for reason in found.unreadable:
            if reason in self._junk:
                continue
            self.unreadable += 1
            if len(self._junk) >= REMEMBERED_JUNK:
                self._junk.pop(next(iter(self._junk)))
            self._junk[reason] = None
            _log.warning("%s; it was left out (%d so far)", reason, self.unreadable)

    def _longer_wait(self, longest: float) -> float:
        wait = min(longest, FIRST_WAIT * 2.0 ** min(self._failures, 16))
        return wait * (1.0 + JITTER * self._rng.random())

    def _failed(self, problem: str, wait: float) -> float:
        if problem != self.problem:
            _log.warning("Telegram cannot be asked for commands, next try in %.0f s: %s", wait, problem)
        self._failures += 1
        self.problem = problem
        return wait

    def _handle(self, incoming: Incoming) -> None:
        now = self._clock.now()
        if self._ledger.settled(incoming.update_id):
            return
        self._follow(incoming)
        if not self._commander.knows(incoming, now):
            return
        if not incoming.text.lstrip().startswith("/"):
            return
        assert incoming.chat is not None
        interrupted = self._ledger.interrupted(incoming.update_id)
        self._ledger.claim(incoming.update_id)
        answer = self._commander.answer(incoming, self._username or "", now, interrupted=interrupted)
        if answer is not None:
            reply = Message(f"reply:{incoming.update_id}", "reply", answer, math.floor(now))
            self._queue.enqueue(addressed(reply, Destination(incoming.chat, incoming.topic).label))
        self._ledger.settle(incoming.update_id)

    def _follow(self, incoming: Incoming) -> None:
        """Remember a group's new id, which it tells itself: the old chat its end, the new one its origin."""
        if incoming.chat is None:
            return
        if incoming.moved_to is not None:
            self._book.moved(incoming.chat, incoming.moved_to)
        if incoming.moved_from is not None:
            self._book.moved(incoming.moved_from, incoming.chat)
