"""Telling a person what the bot does: the notifier port; the console's is `trading.reports.narrator.SayingNotifier`."""

from __future__ import annotations

from typing import Protocol


class Notifier(Protocol):
    """Receives short messages about trades, blocks and risk; must not fail the bot."""

    def send(self, message: str) -> None:
        """Pass one message on."""


class SilentNotifier:
    """Drops messages: a replay's output is its files."""

    def send(self, message: str) -> None:
        """Do nothing."""
