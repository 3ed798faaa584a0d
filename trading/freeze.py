"""The freeze flag: a file whose presence stops new entries."""

from __future__ import annotations

from pathlib import Path

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
