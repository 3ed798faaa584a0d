"""Tells whoever watches a bot what it does: a line per bar, and where it stands when that changes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence

import click

from engine.records import Params
from novosky.clock import Clock
from novosky.installation import as_installed
from novosky.log import PRINTED
from novosky.settings import Settings
from trading.brokers.port import Position
from trading.journal import BotStatus, Journal
from trading.reports.bar_line import BarView, bar_line, decision_text
from trading.reports.standing import Standing, change_lines, standing_text, start_lines, stop_lines

_printed = logging.getLogger(PRINTED)


def say(line: str) -> None:
    """Print a line and write it to the log; a console that is gone must not end a bot."""
    _printed.info("%s", line)
    with contextlib.suppress(OSError, ValueError):
        click.echo(line)


class SayingNotifier:
    """Says each message of a bot like its own lines."""

    def send(self, message: str) -> None:
        """Print and log the message."""
        say(message)


class Narrator:
    """Says what a person at the console wants to know of one bot.

    Parameters
    ----------
    journal : Journal
    settings : Settings
    params : Params
        In force.
    clock : Clock
    positions : callable
        Returns the account's open positions as last seen.
    stops : callable
        Returns why no entries are made now, in words; empty when they may be.
    say : callable
        Takes each line.
    """

    def __init__(
        self,
        journal: Journal,
        settings: Settings,
        params: Params,
        clock: Clock,
        *,
        positions: Callable[[], Iterable[Position]],
        stops: Callable[[], Sequence[str]],
        say: Callable[[str], None] = say,
    ) -> None:
        self._journal, self._settings, self._params, self._clock = journal, settings, params, clock
        self._positions, self._stops, self._say = positions, stops, say
        self._stopped: tuple[str, ...] = ()
        self._told: int | None = None

    def started(self, status: BotStatus, facts: Sequence[str]) -> None:
        """Say where the bot begins."""
        self._stopped, self._told = tuple(self._stops()), status.last_bar
        self._say_all(start_lines(self._standing(status), facts, self._stopped))

    def followed(self, status: BotStatus) -> None:
        """Say the line of the newest bar, unless it was said."""
        if self._told is None or status.last_bar == self._told:
            return
        row = self._journal.decision(status.last_bar)
        if row is None:
            return
        view = BarView(
            bar=status.last_bar,
            earlier=self._told,
            price=float(row["price"]),
            digits=self._settings.broker.digits,
            position=self._own(),
            decision=decision_text(row, self._journal.intents_of(status.last_bar), status.guard, self._params),
            equity=float(row["equity"]),
            frame=self._settings.frame,
        )
        self._told = status.last_bar
        self._say(bar_line(view))

    def looked(self, status: BotStatus) -> None:
        """Say it when entries were stopped or allowed again since the last look."""
        before, self._stopped = self._stopped, tuple(self._stops())
        if self._stopped != before:
            self._say_all(change_lines(self._standing(status), self._stopped))

    def ended(self, status: BotStatus, again: str) -> None:
        """Say where the bot was stopped, and how to go on."""
        self._say_all(stop_lines(self._standing(status), as_installed(again)))

    def standing(self, status: BotStatus) -> str:
        """Return where the bot stands, for a message."""
        return standing_text(self._standing(status))

    def _standing(self, status: BotStatus) -> Standing:
        settings = self._settings
        return Standing(settings.symbol, settings.frame, settings.broker.digits, status, self._own(), self._clock.now())

    def _own(self) -> Position | None:
        return next((position for position in self._positions() if position.magic == self._journal.magic), None)

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)
