"""What many tests read and none writes: made once in a run, however many processes share it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from filelock import FileLock

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what `make` returns for a folder that all processes of this run share; only the first one makes it.

    Parameters
    ----------
    factory : pytest.TempPathFactory
    name : str
        The folder's; it does not exist when `make` is called.
    make : callable
        Its answer must survive pickling: the other processes get it so.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, told = shared / name, shared / f"{name}.made"
    with FileLock(shared / f"{name}.lock"):
        if told.exists():
            made: Made = pickle.loads(told.read_bytes())
            return made
        # Whoever began before did not finish.
        shutil.rmtree(folder, ignore_errors=True)
        made = make(folder)
        told.write_bytes(pickle.dumps(made))
        return made
