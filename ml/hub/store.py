"""The port to a store: objects under names, written once, never changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

REVISIONS = "revisions/"
BLOBS = "blobs/"
PIECE = 1 << 18
"""Bytes per piece read."""


class AbsentError(Exception):
    """No object has this name."""


class TroubleError(Exception):
    """The store did not answer properly; it may do so when asked again. The text holds no secret."""


class Store(Protocol):
    """Named objects. Any method may raise `TroubleError`; names are made by `blob_name` and `revision_name`.

    Permanent trouble is a `NetworkError` (a server refuses) or a `StorageError` (a disk does).
    """

    @property
    def place(self) -> str:
        """For messages: where it is, without secrets."""

    def names(self, prefix: str) -> list[str]:
        """Return the names of the finished objects below a prefix, sorted."""

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, None when there is none."""

    def read(self, name: str, start: int = 0) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object for reading from byte `start` (not beyond its end) in pieces.

        A connection cut in between is a `TroubleError`, never a shorter object.

        Raises
        ------
        AbsentError
        """

    def create(self, name: str, content: BinaryIO, size: int) -> bool:
        """Store an object whole or not at all; False, and nothing changes, when the name is taken.

        Parameters
        ----------
        content : binary stream
            At its beginning, seekable.
        size : int
            Bytes in it.
        """


def blob_name(digest: str) -> str:
    """Return the name of the object with this hexadecimal SHA-256."""
    return f"{BLOBS}{digest[:2]}/{digest}"


def revision_name(tag: str) -> str:
    """Return the name of a revision's signed manifest."""
    return f"{REVISIONS}{tag}.json"
