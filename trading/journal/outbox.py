"""Messages on their way to a person: queued with what they tell of, sent later, never twice.

A message is queued in the transaction that makes it true (`Journal.record_bar`,
`Journal.close_intent`), so death before it loses both and death after it loses neither. It is
queued once for every channel this bot tells, each with a story of its own, so that a channel that
fails holds back no other. Its key keeps a repeated occasion, e.g. an order settled again after a
restart, from queueing it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, update

from alerts.message import Message, QueuedMessage
from novosky.database.connection import Database
from novosky.remote_text import clean_lines
from trading.journal.tables import OUTBOX

LONGEST_TEXT = 50_000
"""Characters of one message; Telegram would be sent a dozen for it."""


class Outbox:
    """The queue of messages in a journal's database.

    Parameters
    ----------
    database : Database
    channels : sequence of str
        Who is told, see `alerts.family`. With none nothing is queued: it would only grow.
    """

    def __init__(self, database: Database, channels: Sequence[str] = ()) -> None:
        self._database = database
        self.channels = tuple(channels)
        self._insert = database.insert_new(OUTBOX)
        self._mine = OUTBOX.c.channel.in_(self.channels)

    def queue(self, channel: str) -> Outbox:
        """Return the same queue as one channel sees it: `alerts.port.Queue`."""
        return Outbox(self._database, (channel,))

    def enqueue(self, *messages: Message) -> None:
        """Queue messages on every channel; one whose key is known there already is dropped.

        Raises
        ------
        StorageError
            Nothing was queued.
        """
        if self.channels:
            self._database.write(lambda connection: self.enqueue_within(connection, messages))

    def enqueue_within(self, connection: Connection, messages: Iterable[Message]) -> None:
        """Queue messages as part of a transaction under way."""
        if not self.channels:
            return
        # Whatever a remote's words brought along: a database takes no half character and no NUL.
        # One by one: ids rise in the order given, which a batched insert does not promise.
        for message in messages:
            text = clean_lines(message.text, LONGEST_TEXT)
            values = {**message.__dict__, "text": text, "attempts": 0, "next_try": message.created}
            for channel in self.channels:
                connection.execute(self._insert, {**values, "channel": channel})

    def due(self, now: int, limit: int) -> Sequence[QueuedMessage]:
        """Return at most `limit` messages to be sent at `now` (UTC epoch seconds), oldest first."""
        query = select(OUTBOX).where(OUTBOX.c.next_try <= now, self._mine).order_by(OUTBOX.c.id).limit(limit)
        return [QueuedMessage(**row) for row in self._database.read(query)]

    def message(self, key: str) -> QueuedMessage | None:
        """Return the message with a key, whatever became of it, or None; of several channels the first's."""
        query = select(OUTBOX).where(OUTBOX.c.key == key, self._mine).order_by(OUTBOX.c.id).limit(1)
        rows = self._database.read(query)
        return QueuedMessage(**rows[0]) if rows else None

    def mark_sent(self, message_id: int, now: int) -> None:
        """Record that a message has arrived; it is never due again."""
        sent = update(OUTBOX).where(OUTBOX.c.id == message_id, OUTBOX.c.sent_at.is_(None))
        self._database.write(lambda connection: connection.execute(sent.values(sent_at=now, next_try=None)))

    def mark_failed(self, message_id: int, now: int, next_try: int | None, error: str) -> None:
        """Record a failed attempt.

        Parameters
        ----------
        message_id : int
        now : int
            When it failed, UTC epoch seconds.
        next_try : int or None
            Not due before this moment, which must lie after `now`; None gives the message up.
        error : str
            Why; without secrets.
        """
        if next_try is not None and next_try <= now:
            raise ValueError(f"the next try at {next_try} does not lie after {now}")
        # Only a message that was due can have failed: so a repeated mark counts once.
        failed = update(OUTBOX).where(OUTBOX.c.id == message_id, OUTBOX.c.next_try <= now)
        values = {"attempts": OUTBOX.c.attempts + 1, "next_try": next_try, "error": error}
        self._database.write(lambda connection: connection.execute(failed.values(values)))
