"""Taking commands: long polls, each command once, those sent while the bot was away before all else."""

from __future__ import annotations

import logging
import math
from random import Random

from novosky.clock import Clock
from trading.journal import Message
from trading.telegram.access import label_of
from trading.telegram.api import (
    BotApi,
    ChatClosedError,
    Incoming,
    RefusedError,
    SlowDownError,
    TokenRefusedError,
    UnreachableError,
)
from trading.telegram.commands import Commander
from trading.telegram.ledger import CommandLedger
from trading.telegram.outbox import Outbox, addressed

POLL_WAIT = 25.0
"""Seconds a long poll lasts; Telegram holds it open until a message comes."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 120.0
"""Seconds until a failed poll is repeated; doubled by every further failure."""
TOKEN_WAIT = 600.0
"""Seconds until a refused token is tried again."""
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
    outbox : Outbox
        Takes the answers.
    clock : Clock
    rng : random.Random
        Spreads repeated polls.
    """

    def __init__(
        self, api: BotApi, commander: Commander, ledger: CommandLedger, outbox: Outbox, clock: Clock, rng: Random
    ) -> None:
        self._api, self._commander, self._ledger, self._outbox = api, commander, ledger, outbox
        self._clock, self._rng = clock, rng
        self._username: str | None = None
        # Never one from an earlier run, see `trading.telegram.ledger`.
        self._offset: int | None = None
        self._failures = 0
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
        except TokenRefusedError as error:
            return self._failed(str(error), TOKEN_WAIT), 0
        except (UnreachableError, RefusedError, ChatClosedError) as error:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures, 16))
            return self._failed(str(error), wait * (1.0 + JITTER * self._rng.random())), 0
        if self._failures:
            _log.info("Telegram answers again after %d failure(s)", self._failures)
        self._failures, self.problem, self.last_contact = 0, "", self._clock.now()
        for incoming in found:
            self._handle(incoming)
            self._offset = incoming.update_id + 1
        return 0.0, len(found)

    def _failed(self, problem: str, wait: float) -> float:
        if problem != self.problem:
            _log.warning("Telegram cannot be asked for commands, next try in %.0f s: %s", wait, problem)
        self._failures += 1
        self.problem = problem
        return wait

    def _handle(self, incoming: Incoming) -> None:
        now = self._clock.now()
        if self._ledger.settled(incoming.update_id) or not self._commander.knows(incoming, now):
            return
        if not incoming.text.lstrip().startswith("/"):
            return
        assert incoming.chat is not None
        interrupted = self._ledger.interrupted(incoming.update_id)
        self._ledger.claim(incoming.update_id)
        answer = self._commander.answer(incoming, self._username or "", now, interrupted=interrupted)
        if answer is not None:
            reply = Message(f"reply:{incoming.update_id}", "reply", answer, math.floor(now))
            self._outbox.enqueue(addressed(reply, label_of(incoming.chat)))
        self._ledger.settle(incoming.update_id)
