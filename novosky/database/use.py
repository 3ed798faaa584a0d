"""What a database is used for, in the words of its messages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """Who keeps what in a database.

    Attributes
    ----------
    noun : str
        What it holds, e.g. "journal".
    holder : str
        Who writes to it, e.g. "bot".
    lock_class : int
        First half of the advisory lock's key on PostgreSQL: two uses may share a server, two holders of one use
        may not. The second half is the schema's name.
    start_anew : str
        What to do when what it held is gone and there is no copy.
    """

    noun: str
    holder: str
    lock_class: int
    start_anew: str
