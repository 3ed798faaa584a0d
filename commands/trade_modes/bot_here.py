"""Which bot is meant by "the bot here": asked the same by every command that only looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

    from trading.journal import BotStatus, Journal


@dataclass(frozen=True)
class BotHere:
    """The journal of a bot.

    Attributes
    ----------
    words : str
        The place, for people; without a password.
    url : URL
    file : Path or None
        The SQLite file; None when a database server holds the journal.
    beside : Path
        The file in whose folder the bot keeps its health and its tables.
    """

    words: str
    url: URL
    file: Path | None
    beside: Path

    @property
    def exists(self) -> bool:
        """Whether there is such a file; of a server that shows when it is asked."""
        return self.file is None or self.file.exists()


def known_status(books: Journal, words: str) -> BotStatus:
    """Return where the bot of a journal stands.

    Parameters
    ----------
    books : Journal
    words : str
        The journal's place, for people.

    Raises
    ------
    StorageError
        No bot has begun with it.
    """
    from novosky.errors import StorageError

    status = books.status()
    if status is None:
        raise StorageError(f"{words} holds no bot yet; start the bot once")
    return status


def find_bot(named: str | Path | None, environment: Mapping[str, str]) -> BotHere:
    """Find the bot: the one that is named, else the live bot's, else the paper bot's.

    The live bot keeps its journal where NOVOSKY_DATABASE_URL says, and otherwise in
    `logs/novosky.sqlite`; the paper bot in `logs/paper.sqlite`.

    Parameters
    ----------
    named : str, Path or None
        A file, or the URL of a database.
    environment : mapping
        See `novosky.environment.read_environment`.

    Raises
    ------
    SettingsError
        The URL is none.
    """
    from commands.trade_modes.live import JOURNAL, database_of, default_journal
    from novosky.database.place import journal_url, shown, sqlite_url

    address = database_of(environment) if named is None else str(named)
    if address is not None and "://" in address:
        url = journal_url(address)
        file = Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
        return BotHere(f"the database {shown(url)}", url, file, file or JOURNAL)
    file = Path(named) if named is not None else JOURNAL if JOURNAL.exists() else default_journal(None)
    return BotHere(str(file), sqlite_url(file), file, file)
