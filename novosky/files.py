"""Atomic files: a reader sees the old version or the new one, never a mixture."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from novosky.errors import StorageError
from novosky.persistence import discard_file, open_binary, patiently, replace_file


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; Windows cannot, NTFS journals the rename itself."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replace_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it into place.

    Parameters
    ----------
    path : Path
        The file to create or replace. Its directory is created when missing.

    Yields
    ------
    Path
        A unique temporary name in the same directory, to be written by the caller.

    Raises
    ------
    StorageError
        When writing, syncing or renaming fails (disk full, read-only, no permission; what is
        refused only for a moment is tried again, see `novosky.persistence`). The previous file, if
        any, is untouched and the temporary file is removed.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = written = Path(name)
        yield written
        # mkstemp creates 0600; a new file gets the permissions a plain open() would give.
        umask = os.umask(0)
        os.umask(umask)
        patiently(lambda: written.chmod(0o666 & ~umask))
        with open_binary(written, "rb+") as stream:
            os.fsync(stream.fileno())
        replace_file(written, path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}); the previous version is "
            "unchanged. Free disk space or mend the permissions and run the command again."
        ) from error
    finally:
        if temporary is not None:
            discard_file(temporary)


def write_with(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace `path` with whatever `write` puts into the binary stream it is given."""
    with replace_atomically(path) as temporary, open_binary(temporary, "wb") as stream:
        write(stream)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` with `content`, atomically and durably."""
    write_with(path, lambda stream: stream.write(content))


def write_text(path: Path, content: str) -> None:
    """Replace `path` with UTF-8 text, line ends as given, atomically and durably."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Replace `path` with indented JSON; NaN and infinity are refused rather than written."""
    text = json.dumps(value, indent=2, sort_keys=sort_keys, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
