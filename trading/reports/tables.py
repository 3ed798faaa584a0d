"""The tables a trader opens beside the running bot: closed trades and blocked signals, as they stand now."""

from __future__ import annotations

import logging
from pathlib import Path

from novosky.errors import StorageError
from novosky.settings import Settings
from trading.journal import Journal
from trading.reports.exports import export_blocks, export_trades

TRADES_NAME, BLOCKED_NAME = "trades.csv", "blocked_signals.csv"
_log = logging.getLogger(__name__)


class CurrentTables:
    """Writes the two CSV files again whenever the journal holds another trade or blocked signal.

    Parameters
    ----------
    journal : Journal
    settings : Settings
    trades, blocked : Path
        The files; each is replaced as a whole, so a reader never sees half of one.
    """

    def __init__(self, journal: Journal, settings: Settings, trades: Path, blocked: Path) -> None:
        self._journal, self._settings = journal, settings
        self.trades, self.blocked = trades, blocked
        self._written: tuple[int, int] | None = None
        self._complained = False

    def follow(self) -> None:
        """Write what has changed; while a file cannot be written, that is said once and tried again.

        A spreadsheet that holds a file open must not end a bot that may hold a position.
        """
        try:
            self.write()
            self._complained = False
        except StorageError as error:
            if not self._complained:
                _log.warning("%s; the tables are behind the journal until then", error)
            self._complained = True

    def write(self) -> None:
        """Write what has changed.

        Raises
        ------
        StorageError
            A file cannot be written; what it held stays.
        """
        trades, blocked = self._journal.table_sizes()
        before = self._written or (-1, -1)
        digits = self._settings.broker.digits
        if trades != before[0]:
            export_trades(self._journal, self.trades, digits, self._settings.money_digits)
        if blocked != before[1]:
            export_blocks(self._journal, self.blocked, self._settings.symbol, digits)
        self._written = trades, blocked
