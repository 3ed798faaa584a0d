"""The words of a message as every channel needs them: titles by kind, figures with units, text without marks."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime

from alerts.message import QueuedMessage

MARKED_KINDS = frozenset({"reply", "report"})
"""Kinds of messages whose text is HTML already; all others are plain text."""
TITLES = {
    "trade": "Trade",
    "risk": "Risk",
    "broker": "Broker",
    "error": "Error",
    "news": "News calendar",
}
UNKNOWN = "unknown"


def plain(text: str) -> str:
    """Return text with HTML's own characters escaped."""
    return html.escape(text, quote=False)


def plain_text(marked: str) -> str:
    """Return the words of HTML without its marks."""
    return html.unescape(re.sub(r"<[^>]*>", "", marked))


def words_of(message: QueuedMessage) -> str:
    """Return a message's words without marks, whatever its kind."""
    return plain_text(message.text) if message.kind in MARKED_KINDS else message.text


def moment(time: int | None) -> str:
    """Return a time as "2024-05-07 10:00 UTC"."""
    return UNKNOWN if time is None else datetime.fromtimestamp(time, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")


def money(value: float | None, *, signed: bool = False) -> str:
    """Return USD, e.g. "1,234.50 USD" or "+3.00 USD"."""
    if value is None:
        return UNKNOWN
    return f"{round(value, 2) + 0.0:{'+' if signed else ''},.2f} USD"


def price(value: float | None) -> str:
    """Return a price in USD without its unit, or "none" where there is none."""
    return "none" if value is None else f"{value:,.2f}"
