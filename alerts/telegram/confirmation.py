"""One-time codes: an order that cannot be undone is given twice, by the same chat, within a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

LIFETIME = 60.0
"""Seconds a code is good for."""
MOST_WRONG = 3
"""Wrong codes after which the right one no longer counts."""


class Verdict(Enum):
    """What a code is worth."""

    ACCEPTED = "accepted"
    NOT_ASKED = "not asked"
    EXPIRED = "expired"
    WRONG = "wrong"
    TOO_MANY = "too many"


@dataclass(frozen=True)
class _Asked:
    code: str
    until: float
    wrong: int = 0


class Confirmations:
    """Codes that were asked for and not yet given; gone when the process ends.

    Parameters
    ----------
    new_code : callable
        Draws a code nobody can guess.
    """

    def __init__(self, new_code: Callable[[], str]) -> None:
        self._new_code = new_code
        self._asked: dict[tuple[int, str], _Asked] = {}

    def ask(self, chat: int, command: str, now: float) -> str:
        """Return a new code for this command of this chat; an earlier one no longer counts."""
        code = self._new_code()
        self._asked[chat, command] = _Asked(code, now + LIFETIME)
        return code

    def redeem(self, chat: int, command: str, code: str, now: float) -> Verdict:
        """Judge a code; one that is accepted cannot be used again."""
        asked = self._asked.pop((chat, command), None)
        if asked is None:
            return Verdict.NOT_ASKED
        if now > asked.until:
            return Verdict.EXPIRED
        if code == asked.code:
            return Verdict.ACCEPTED
        if asked.wrong + 1 >= MOST_WRONG:
            return Verdict.TOO_MANY
        self._asked[chat, command] = replace(asked, wrong=asked.wrong + 1)
        return Verdict.WRONG
