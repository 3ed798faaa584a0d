"""The bot's journal: what it decided, intended, traded and is, in a database.

Everything that belongs to one bar is written in one transaction, so that a bar has either
been processed or not. An intent is written before its order is sent. SQLite in WAL mode is
the default, PostgreSQL the other choice; both pass `tests/contracts/journal.py`.
"""

from alerts.message import Message, QueuedMessage
from alerts.views import AccountSnapshot
from novosky.database.place import journal_url, sqlite_url
from trading.journal.journal import Journal
from trading.journal.outbox import Outbox
from trading.journal.tables import SCHEMA_VERSION
from trading.journal.values import (
    INTENT_FILLED,
    INTENT_NEW,
    INTENT_REJECTED,
    BarNotes,
    BotStatus,
    Decision,
    Flag,
    Intent,
    ModelMetric,
    MoneyMove,
    NewsEvent,
    PositionEvent,
)

__all__ = [
    "INTENT_FILLED",
    "INTENT_NEW",
    "INTENT_REJECTED",
    "SCHEMA_VERSION",
    "AccountSnapshot",
    "BarNotes",
    "BotStatus",
    "Decision",
    "Flag",
    "Intent",
    "Journal",
    "Message",
    "ModelMetric",
    "MoneyMove",
    "NewsEvent",
    "Outbox",
    "PositionEvent",
    "QueuedMessage",
    "journal_url",
    "sqlite_url",
]
