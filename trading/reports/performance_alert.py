"""Telling people that the newest trades are not good enough, at most once a day.

A live bot at work sends what is in its journal's outbox, with retries; the alert joins the
queue. Where no such bot is at work (it is stopped, it is a paper bot, or its database admits
only one writer) nobody would empty the queue, and the alert is sent at once instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from alerts.message import Message
from novosky.database.place import sqlite_url
from novosky.market.timeframe import TIMEFRAMES
from trading.brokers.family import of_broker_account
from trading.journal import Journal
from trading.reports.health import health_file, read_health
from trading.reports.performance import Judgement

FRESH_BARS = 3
"""A bot at work writes its health after every bar; so many bars without a word and it is not counted on."""


def alert_message(judgement: Judgement, source: str, now: float) -> Message:
    """Return the alert; its key names the UTC day, so that a day has one.

    Parameters
    ----------
    judgement : Judgement
        A degraded one.
    source : str
        Whose trades these are, in words.
    now : float
        UTC epoch seconds.
    """
    performance = judgement.performance
    lines = [
        f"The last {performance.trades} trades of {source} are not good enough:",
        *(f"- {reason}" for reason in judgement.reasons),
        *(f"Note: {note}" for note in judgement.notes),
        f"Net {performance.net:+,.2f} USD, newest exit {performance.last_exit}.",
    ]
    return Message(f"performance:{day_of(now)}", "risk", "\n".join(lines), math.floor(now))


def day_of(now: float) -> str:
    """Return the UTC day of a moment, e.g. "2024-03-03"."""
    return datetime.fromtimestamp(now, tz=UTC).strftime("%Y-%m-%d")


def served_outbox(journal: Path, now: float) -> bool:
    """Tell whether a live bot is at work on this SQLite journal and sends what is queued in it.

    Its health file says so. The journal's lock is not tried: a bot that starts in that moment
    would be refused.
    """
    health = read_health(health_file(journal))
    return (
        health is not None
        and health.state == "running"
        and of_broker_account(health.identity)
        and now - health.written <= FRESH_BARS * TIMEFRAMES[health.timeframe].seconds
    )


def queue_alert(journal: Path, message: Message, channels: Sequence[str]) -> None:
    """Put an alert into the outbox of a SQLite journal; one of the same day is there already and stays alone.

    Parameters
    ----------
    journal : Path
    message : Message
    channels : sequence of str
        The channels that are to carry it.
    """
    books = Journal(sqlite_url(journal), durable=True, channels=channels)
    try:
        books.outbox.enqueue(message)
    finally:
        books.close()
