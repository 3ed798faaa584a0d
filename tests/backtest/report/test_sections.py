"""The sections of the report: a new one is a new file, and stands where it says."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from backtest.report import order, sections
from backtest.report.order import sections_of
from backtest.report.section import Section


def room(name: str, row: int, html: str) -> ModuleType:
    made = ModuleType(name)
    made.ROW = row  # type: ignore[attr-defined]
    made.section = lambda told: Section(f"{html} of {told}")  # type: ignore[attr-defined]
    return made


def test_sections_stand_in_the_order_of_their_rows() -> None:
    rooms = [room("b", 20, "second"), room("c", 30, "third"), room("a", 10, "first")]
    found = sections_of("it", rooms)  # type: ignore[arg-type]
    assert [section.html for section in found] == ["first of it", "second of it", "third of it"]


def test_every_file_of_the_folder_is_on_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {file.stem for file in Path(sections.__file__).parent.glob("*.py")} - {"__init__"}
    seen = []

    def noting(name: str) -> ModuleType:
        seen.append(name.rpartition(".")[2])
        return room(name, len(seen), "")

    monkeypatch.setattr(order.importlib, "import_module", noting)
    sections_of("it")  # type: ignore[arg-type]
    assert set(seen) == files
    assert len(files) > 10


def test_no_two_sections_ask_for_the_same_row() -> None:
    rows = [file.ROW for file in order._files()]
    assert len(rows) == len(set(rows))
