"""Where a run of the tests keeps its compiled modules and its files."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM, LEFT = 4 << 30, 8 << 30
"""Bytes: a whole run leaves 1.6 GiB; so much must be free there, and so much memory on the machine."""
TEMPORARY = "PYTEST_DEBUG_TEMPROOT"
"""Pytest's own variable for the place of its temporary folders."""


def keep_bytecode(config: pytest.Config) -> None:
    """Keep compiled modules beside pytest's own cache where the environment forbids them in the checkout.

    Workers and hundreds of programs that the tests start would each compile all sources anew, two seconds of work
    a start. Where Python may write its `__pycache__`, nothing is done.
    """
    cache = getattr(config, "cache", None)
    if not sys.dont_write_bytecode or cache is None or sys.pycache_prefix is not None:
        return
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(cache.mkdir("bytecode"))
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def work_in_memory() -> None:
    """Put the temporary folders of the tests into memory where there is plenty of it.

    Journals, studies and model sets are forced to the disk thousands of times; that takes milliseconds on a disk and
    nothing here. What a killed process leaves behind is the same: only a power cut would tell the two apart.
    """
    if TEMPORARY in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK) or not os.path.ismount(MEMORY):
        return
    try:
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(told["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return
    if shutil.disk_usage(MEMORY).free >= ROOM and available >= LEFT:
        os.environ[TEMPORARY] = str(MEMORY)


def obey_ctrl_c() -> None:
    """Take Ctrl-C as a program of a person's own shell does.

    A shell that starts the tests in the background has them ignore it, and every program they start would
    inherit that and could not be interrupted.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
