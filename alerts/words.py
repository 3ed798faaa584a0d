"""The words of a message as every channel needs them: titles by kind, and text without marks."""

from __future__ import annotations

import html
import re

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


def plain(text: str) -> str:
    """Return text with HTML's own characters escaped."""
    return html.escape(text, quote=False)


def plain_text(marked: str) -> str:
    """Return the words of HTML without its marks."""
    return html.unescape(re.sub(r"<[^>]*>", "", marked))


def words_of(message: QueuedMessage) -> str:
    """Return a message's words without marks, whatever its kind."""
    return plain_text(message.text) if message.kind in MARKED_KINDS else message.text
