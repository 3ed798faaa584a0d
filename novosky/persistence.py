"""Replacing, removing and opening files that another program holds for a moment.

Windows refuses a rename, a removal or a write while a virus scanner, an indexer or a backup
looks at the file, which it does just after every write, for some milliseconds. Network shares
do the same. What is refused so is tried again for a second or two; a refusal that lasts is the
permission's fault and comes out as the `OSError` it is.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

T = TypeVar("T")
WAITS = (0.01, 0.02, 0.04, 0.08, 0.15, 0.25, 0.4, 0.5)
"""Seconds between the attempts, 1.45 together: far longer than a scanner takes, short beside a bar."""
_HELD = frozenset({5, 32, 33, 145, 1224})
"""Windows: access denied, sharing violation, lock violation, directory not empty (yet), mapped by another."""


def patiently(act: Callable[[], T]) -> T:
    """Return what `act` returns; where it is refused like a file that is being looked at, try again.

    Raises
    ------
    OSError
        The last refusal, or at once any other error.
    """
    for wait in WAITS:
        try:
            return act()
        except OSError as error:
            if not isinstance(error, PermissionError) and getattr(error, "winerror", None) not in _HELD:
                raise
            time.sleep(wait)
    return act()


def replace_file(source: Path, target: Path) -> None:
    """Give a file the name of another one, which it replaces."""
    patiently(lambda: source.replace(target))


def rename(source: Path, target: Path) -> None:
    """Rename a file or a folder; on Windows a folder is held by any file in it."""
    patiently(lambda: source.rename(target))


def remove_file(path: Path, *, missing_ok: bool = False) -> None:
    """Remove a file."""
    patiently(lambda: path.unlink(missing_ok=missing_ok))


def discard_file(path: Path) -> None:
    """Remove what is left of an attempt, if that is possible: it must not hide why the attempt failed."""
    with contextlib.suppress(OSError):
        remove_file(path, missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it."""
    patiently(lambda: shutil.rmtree(folder))


def open_binary(path: Path, mode: Literal["wb", "ab", "rb+"]) -> BinaryIO:
    """Open a file for writing, appending, or changing in place."""
    return patiently(lambda: path.open(mode))
