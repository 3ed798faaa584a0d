"""A SQLite file that stays the one that was opened: nobody must go on with one that is gone.

A file that was deleted, moved away or replaced lives on for whoever has it open: everything
written would be lost with the process, without a word.
"""

from __future__ import annotations

import os
from pathlib import Path

from novosky.database.use import Use
from novosky.errors import StorageError


class OneFile:
    """Remembers which file a path led to when it was first opened.

    Parameters
    ----------
    path : Path
    use : Use
    """

    def __init__(self, path: Path, use: Use) -> None:
        self._path, self._use = path, use
        self._opened: os.stat_result | None = None

    def opened(self) -> None:
        """Say that the database has just been opened; SQLite creates the file with its first reading."""
        if self._opened is not None:
            # A second connection must lead to the same file.
            self.check()
        elif self._path.exists():
            self._opened = self._path.stat()

    def check(self) -> None:
        """Look whether the file is still in its place.

        Raises
        ------
        StorageError
            It was deleted or replaced.
        """
        if self._opened is None:
            return
        try:
            same = os.path.samestat(self._path.stat(), self._opened)
        except FileNotFoundError:
            same = False
        if not same:
            raise StorageError(
                f"the {self._use.noun} {self._path} was deleted or replaced while it was in use; nothing more is "
                f"written or sent; put the newest copy in its place, or {self._use.start_anew}"
            )
