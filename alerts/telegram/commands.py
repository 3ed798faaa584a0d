"""Commands: from the text of a message to an answer and, where it orders something, the order.

What only makes things safer at no cost (`/pause`, `/freeze`) is done at once: it must also work
when it was sent while the bot was away, before the first trade. What closes positions, stops for
good or lets the bot trade again is confirmed by a one-time code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass

from alerts.telegram import texts
from alerts.telegram.confirmation import LIFETIME, Confirmations, Verdict
from alerts.telegram.updates import Incoming
from alerts.views import BotControls, BotView
from alerts.words import plain
from novosky.errors import NovoskyError

CONFIRMED = ("close", "halt", "resume")
"""Commands that need a code."""
SAFE_TO_REPEAT = ("pause", "freeze")
"""Orders that are carried out again when the bot died over them: better twice than never."""
MOST_TRADES, TRADES_SHOWN = 20, 5
STRANGER_LOG_GAP = 3600.0
"""Seconds between two log lines about one unknown chat: it must not fill the disk."""
MOST_STRANGERS = 1000
"""Unknown chats remembered for that."""

HELP: dict[str, str] = {
    "help": "this list",
    "status": "where the bot stands",
    "balance": "the account's money",
    "positions": "what is open",
    "trades": f"the last closed trades, e.g. /trades 10 (at most {MOST_TRADES})",
    "performance": "closed trades in sum",
    "profile": "the rules in force",
    "health": "what is well and what is not",
    "pause": "no new entries until /resume",
    "resume": "entries again: lifts pause and freeze (asks for a code)",
    "freeze": "no new entries of any bot in this folder: sets the freeze flag",
    "close": "close all open positions at the market (asks for a code)",
    "halt": "close everything and stop for good (asks for a code)",
}

_QUESTIONS = {
    "close": "Close all open positions at the market?",
    "halt": "Close all open positions and stop trading for good? Only changed settings lift a halt.",
    "resume": "Allow new entries again? It lifts a pause and the freeze flag, whoever set them.",
}
_REFUSALS = {
    Verdict.NOT_ASKED: "No such confirmation is waiting. Send /{command} to get a code.",
    Verdict.EXPIRED: "That code has expired. Send /{command} to get a new one.",
    Verdict.WRONG: "That is not the code. Nothing was done.",
    Verdict.TOO_MANY: "That is not the code, for the third time. Nothing was done; send /{command} to start again.",
}
_INTERRUPTED = (
    "The bot was stopped while it was handling /{command}, and it may or may not have been carried out. "
    "Look at /status, and send it again if it is still wanted."
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """A command and the words after it."""

    command: str
    words: tuple[str, ...]


def read_order(text: str, username: str) -> Order | None:
    """Read a command, e.g. "/trades@novosky_bot 10"; None for other text and for other bots' commands."""
    parts = text.split()
    if not parts or not parts[0].startswith("/"):
        return None
    command, _, addressee = parts[0][1:].partition("@")
    if addressee and addressee.lower() != username.lower():
        return None
    command = command.lower()
    return Order("help" if command == "start" else command, tuple(parts[1:]))


class Commander:
    """Answers the chats it knows and is silent to all others.

    Parameters
    ----------
    view : BotView
    controls : BotControls
    chats : container of int
        Who may command; asked anew for every message.
    confirmations : Confirmations
    confirmed : collection of str
        Commands that need a code.
    """

    def __init__(
        self,
        view: BotView,
        controls: BotControls,
        chats: Container[int],
        confirmations: Confirmations,
        *,
        confirmed: Collection[str] = CONFIRMED,
    ) -> None:
        self._view, self._controls, self._chats = view, controls, chats
        self._confirmations, self._confirmed = confirmations, frozenset(confirmed)
        self._strangers: dict[int, float] = {}
        self._orders: Mapping[str, Callable[[], str]] = {
            "pause": controls.pause,
            "resume": controls.resume,
            "freeze": controls.freeze,
            "close": controls.close_all,
            "halt": controls.halt,
        }
        self._questions: Mapping[str, Callable[[Order, int], str]] = {
            "help": lambda order, now: _help_text(),
            "status": lambda order, now: texts.status_text(view.status(), now),
            "balance": lambda order, now: texts.account_text(view.account()),
            "positions": lambda order, now: texts.positions_text(view.positions()),
            "trades": self._trades,
            "performance": lambda order, now: texts.performance_text(view.performance()),
            "profile": lambda order, now: texts.profile_text(view.profile()),
            "health": lambda order, now: texts.health_text(view.health()),
        }

    def knows(self, incoming: Incoming, now: float) -> bool:
        """Tell whether the update comes from someone who may command; a stranger is logged, not answered."""
        if incoming.chat in self._chats:
            return True
        if incoming.chat is not None:
            self._log_stranger(incoming.chat, now)
        return False

    def answer(self, incoming: Incoming, username: str, now: float, *, interrupted: bool = False) -> str | None:
        """Carry out one message of a chat that is known.

        Parameters
        ----------
        incoming : Incoming
        username : str
            The bot's name: in a group, commands may be for another bot.
        now : float
            UTC epoch seconds.
        interrupted : bool
            The process died while it was handling this same message before.

        Returns
        -------
        str or None
            HTML to send back; None when there is nothing to say.
        """
        assert incoming.chat is not None and incoming.chat in self._chats, "strangers are turned away before"
        order = read_order(incoming.text, username)
        if order is None:
            return None
        if order.command not in HELP:
            return f"There is no command /{plain(order.command)[:40]}. Send /help for a list."
        if interrupted and order.command not in SAFE_TO_REPEAT:
            return _INTERRUPTED.format(command=order.command)
        try:
            if order.command in self._questions:
                return self._questions[order.command](order, int(now))
            return self._obey(order, incoming.chat, now)
        except NovoskyError as error:
            _log.error("/%s failed: %s", order.command, error)
            return f"/{order.command} could not be carried out: {plain(str(error))}"

    def _obey(self, order: Order, chat: int, now: float) -> str:
        if order.command in self._confirmed:
            if not order.words:
                return self._ask(order.command, chat, now)
            verdict = self._confirmations.redeem(chat, order.command, order.words[0], now)
            if verdict is not Verdict.ACCEPTED:
                return _REFUSALS[verdict].format(command=order.command)
        _log.warning("/%s was ordered by Telegram", order.command)
        return plain(self._orders[order.command]())

    def _ask(self, command: str, chat: int, now: float) -> str:
        code = self._confirmations.ask(chat, command, now)
        lines = [f"<b>{_QUESTIONS.get(command, f'Really /{command}?')}</b>"]
        if command in ("close", "halt"):
            lines.append(texts.positions_text(self._view.positions()))
        lines.append(f"To confirm, send <code>/{command} {plain(code)}</code> within {LIFETIME:.0f} seconds.")
        return "\n".join(lines)

    def _trades(self, order: Order, now: int) -> str:
        count = TRADES_SHOWN
        if order.words:
            if not order.words[0].isdecimal() or not 1 <= int(order.words[0][:9]) <= MOST_TRADES:
                return f"How many? Send e.g. /trades 10, at most {MOST_TRADES}."
            count = int(order.words[0])
        return texts.trades_text(self._view.trades(count))

    def _log_stranger(self, chat: int, now: float) -> None:
        last = self._strangers.get(chat)
        if last is not None and 0 <= now - last < STRANGER_LOG_GAP:
            return
        if len(self._strangers) >= MOST_STRANGERS:
            self._strangers.clear()
        self._strangers[chat] = now
        # Also how an owner finds the id to configure.
        _log.warning("a message from chat %d, which is not in TELEGRAM_CHAT_IDS, was ignored", chat)


def _help_text() -> str:
    return "\n".join(["<b>Commands</b>", *(f"/{name}: {plain(what)}" for name, what in HELP.items())])
