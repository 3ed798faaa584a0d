"""Reading back the JSON files of earlier runs, whose damage must not be written over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from novosky.errors import StorageError
from novosky.guarded_json import JsonError, read_json_file

MOST_BYTES = 1 << 28
"""The log of every iteration of every run grows for years."""


def read_json(path: Path) -> Any:
    """Return the content of `path`, or None when there is no such file.

    Raises
    ------
    StorageError
        It is there but cannot be read as JSON. It is left as it is.
    """
    try:
        return read_json_file(path, max_bytes=MOST_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, JsonError) as error:
        raise StorageError(
            f"{path} is not the JSON an earlier run wrote ({error}); it is left as it is. Restore it from git or a "
            "backup, or move it away to begin anew"
        ) from error
