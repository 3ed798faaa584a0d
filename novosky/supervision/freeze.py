"""The freeze flag: a file whose presence stops new entries."""

from __future__ import annotations

from pathlib import Path

from novosky.errors import StorageError
from novosky.files import write_text
from novosky.persistence import remove_file

FREEZE_FLAG = Path("logs/trading_frozen.flag")


def is_frozen(flag: Path = FREEZE_FLAG) -> bool:
    """Tell whether the flag is set; a flag that cannot be looked up counts as set."""
    try:
        flag.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def freeze(reason: str, flag: Path = FREEZE_FLAG) -> None:
    """Set the flag; `reason` is for whoever finds the file. Raises `StorageError` when it cannot be set."""
    write_text(flag, reason + "\n")


def unfreeze(flag: Path = FREEZE_FLAG) -> None:
    """Remove the flag, if it is set; raises `StorageError` when it is there and cannot be removed."""
    try:
        remove_file(flag, missing_ok=True)
    except OSError as error:
        raise StorageError(f"{flag} cannot be removed ({error.strerror}); remove it by hand") from error
