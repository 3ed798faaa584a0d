"""A hub in a folder: on this machine, a mounted share, a stick."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ml.hub.store import PIECE, AbsentError
from novosky.errors import StorageError
from novosky.files import sync_directory
from novosky.persistence import discard_file, replace_file

_UNFINISHED = ".tmp"


class FolderStore:
    """Objects as files below a folder; the port `ml.hub.store.Store`.

    Parameters
    ----------
    root : Path
    create : bool
        Whether a folder that is not there is an empty hub, as for a first push, or an error:
        a share that is not mounted must not look like a hub without revisions.
    """

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self._root = root
        self._create = create

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._root)

    def names(self, prefix: str) -> list[str]:
        """Return the names of the finished objects below a prefix, sorted."""
        with self._errors("read"):
            if not self._root.is_dir() and not self._create:
                raise StorageError(
                    f"there is no hub at {self._root}; mount it, correct NOVOSKY_HUB, or publish the first revision "
                    "with `python ml/r2_hub.py --push`"
                )
            return sorted(
                path.relative_to(self._root).as_posix()
                for path in (self._root / prefix).rglob("*")
                if path.is_file() and not path.name.endswith(_UNFINISHED)
            )

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, None when there is none."""
        with self._errors("read"):
            try:
                return (self._root / name).stat().st_size
            except FileNotFoundError:
                return None

    @contextmanager
    def read(self, name: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Open an object for reading from byte `start` in pieces."""
        try:
            stream = (self._root / name).open("rb")
        except FileNotFoundError as error:
            raise AbsentError(name) from error
        except OSError as error:
            raise self._storage_error("read", error) from error
        with stream:
            stream.seek(start)
            yield self._pieces(stream)

    def create(self, name: str, content: BinaryIO, size: int) -> bool:
        """Store an object whole or not at all; False when the name is taken."""
        path = self._root / name
        with self._errors("written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                return False
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_UNFINISHED, dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    shutil.copyfileobj(content, stream, PIECE)
                    stream.flush()
                    os.fsync(stream.fileno())
                # Those who pull may be other users of this machine.
                Path(temporary).chmod(0o644)
                return _put(Path(temporary), path)
            finally:
                discard_file(Path(temporary))

    def _pieces(self, stream: BinaryIO) -> Iterator[bytes]:
        with self._errors("read"):
            while piece := stream.read(PIECE):
                yield piece

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._storage_error(done, error) from error

    def _storage_error(self, done: str, error: OSError) -> StorageError:
        return StorageError(
            f"the hub at {self._root} cannot be {done} ({error.strerror or error}); check the disk and its permissions"
        )


def _put(temporary: Path, path: Path) -> bool:
    """Give a finished file its name unless it is taken: a link never replaces."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links; two publishers at the same instant are told apart by no other means there.
        if path.exists():
            return False
        replace_file(temporary, path)
    sync_directory(path.parent)
    return True
