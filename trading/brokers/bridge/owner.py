"""Locks of a bridge: one for each terminal, port and simulated account; a second bridge is refused."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from novosky.errors import LockedError, StorageError


@dataclass(frozen=True)
class Property:
    """What only one bridge may hold at a time.

    Attributes
    ----------
    lock : Path
        The file that is locked; the system lets go of it when the process ends, however it does.
    name : str
        For people.
    mend : str
        What the second one may do instead.
    """

    lock: Path
    name: str
    mend: str


def terminal_program(program: Path) -> Property:
    """Return a terminal by its program file, by whatever path it is named."""
    return Property(_shared(os.path.normcase(program.resolve())), f"the terminal {program}", "serve another terminal")


def port(number: int) -> Property:
    """Return a port of this machine."""
    return Property(_shared(f"port {number}"), f"port {number}", "choose another --port")


def account_file(account: Path) -> Property:
    """Return a simulated account by its file."""
    place = account.resolve()
    return Property(place.with_name(place.name + ".lock"), f"the simulated account {account}", "name another --account")


def _shared(name: str) -> Path:
    # In the machine's temporary folder: a program's own may not be written, and every bridge must find it.
    short = hashlib.sha256(name.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"novosky-bridge-{short}.lock"


@contextmanager
def owned(held: Property) -> Iterator[None]:
    """Hold something alone.

    Raises
    ------
    LockedError
        Another bridge holds it.
    StorageError
        The lock cannot be made.
    """
    lock = FileLock(held.lock)
    try:
        held.lock.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockedError(f"another bridge serves {held.name}; stop it first, or {held.mend}") from error
    except OSError as error:
        raise StorageError(f"{held.lock} cannot be locked ({error.strerror}); mend the permissions") from error
    try:
        yield
    finally:
        lock.release()
