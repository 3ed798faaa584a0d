"""Which sections a report has, and their order on the page: every file of `backtest.report.sections`, by its `ROW`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

import backtest.report.sections as folder
from backtest.report.section import Reported, Section


def sections_of(told: Reported, rooms: Sequence[ModuleType] | None = None) -> list[Section]:
    """Return every section of a report in the order of the page.

    Parameters
    ----------
    told : Reported
    rooms : sequence of module, optional
        Instead of the files of the folder.
    """
    found = _files() if rooms is None else rooms
    return [room.section(told) for room in sorted(found, key=lambda room: (room.ROW, room.__name__))]


def _files() -> list[ModuleType]:
    return [importlib.import_module(f"{folder.__name__}.{file.name}") for file in pkgutil.iter_modules(folder.__path__)]
