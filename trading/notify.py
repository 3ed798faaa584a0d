"""Telling a person what the bot does: the notifier port and its console implementation."""

from __future__ import annotations

from typing import Protocol

import click


class Notifier(Protocol):
    """Receives short messages about trades, blocks and risk; must not fail the bot."""

    def send(self, message: str) -> None:
        """Pass one message on."""


class ConsoleNotifier:
    """Writes messages to standard output, each on its line."""

    def send(self, message: str) -> None:
        """Print the message."""
        click.echo(message)


class SilentNotifier:
    """Drops messages: a replay's output is its files."""

    def send(self, message: str) -> None:
        """Do nothing."""
