"""Run a script that dies before its n-th change of the disk: `python optimize_killer.py N SCRIPT …`.

With N = 0 it lives, and the last line it prints says how many changes there were. They are
counted by the interpreter's audit events, so the code under test knows nothing of it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.ml.hub.hub_kills import is_change


def arm(number: int) -> list[int]:
    """Count changes from now on and die before the given one; return the count as it grows."""
    seen = [0]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        # Bytecode and streams are no part of it.
        if is_change(event, arguments) and not str(arguments[0]).startswith("/dev/"):
            seen[0] += 1
            if seen[0] == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return seen


def main() -> None:
    sys.dont_write_bytecode = True
    number = int(sys.argv[1])
    sys.argv = sys.argv[2:]
    seen = arm(number)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        print("changes", seen[0])


if __name__ == "__main__":
    main()
