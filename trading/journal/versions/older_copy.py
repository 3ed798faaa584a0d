"""A copy of a journal's file as it was, kept beside it before it is brought to a new layout."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from novosky.errors import StorageError
from novosky.persistence import discard_file, replace_file


def copy_name(file: Path, version: int) -> Path:
    """Return where the copy of a journal of this version lies."""
    return file.with_name(f"{file.name}.version-{version}")


def keep_copy(file: Path, version: int) -> Path:
    """Copy a SQLite journal, with what its write-ahead log holds; a copy that exists is replaced as a whole.

    Parameters
    ----------
    file : Path
    version : int
        Of the layout it has now.

    Returns
    -------
    Path
        The copy.

    Raises
    ------
    StorageError
        It cannot be written; the journal is as it was.
    """
    target = copy_name(file, version)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        discard_file(unfinished)
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(unfinished)) as copy:
            source.backup(copy)
        replace_file(unfinished, target)
    except (OSError, sqlite3.Error) as error:
        discard_file(unfinished)
        raise StorageError(
            f"journal {file} has an older layout, and no copy of it could be kept at {target} ({error}); free space "
            "on the disk or correct the folder's permissions, then start again"
        ) from error
    return target
