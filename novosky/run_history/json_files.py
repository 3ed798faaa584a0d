"""Reading back the JSON files of earlier runs, whose damage must not be written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from novosky.errors import StorageError


def read_json(path: Path) -> Any:
    """Return the content of `path`, or None when there is no such file.

    Raises
    ------
    StorageError
        It is there but cannot be read as JSON. It is left as it is.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{path} is not the JSON an earlier run wrote ({error}); it is left as it is. Restore it from git or a "
            "backup, or move it away to begin anew"
        ) from error
