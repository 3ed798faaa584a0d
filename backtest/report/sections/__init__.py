"""The sections of the report, one file each; `ROW` says where on the page a section stands.

A new section, or a chart in one of its own, is a new file with a `ROW` and a function `section(told)`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from types import ModuleType

from backtest.report.section import Reported, Section


def sections_of(told: Reported, rooms: Sequence[ModuleType] | None = None) -> list[Section]:
    """Return every section of a report in the order of the page.

    Parameters
    ----------
    told : Reported
    rooms : sequence of module, optional
        Instead of the files of this folder.
    """
    found = _files() if rooms is None else rooms
    return [room.section(told) for room in sorted(found, key=lambda room: (room.ROW, room.__name__))]


def _files() -> list[ModuleType]:
    return [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
