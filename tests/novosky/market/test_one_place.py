"""The length of a bar, the usual symbol and the bot's mark stand in one place each; all else is handed them.

Held on the syntax tree, not on text: docstrings may give examples.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("alerts", "backtest", "bench", "commands", "engine", "ml", "novosky", "optimize", "trading")
PLACES = {
    900: {
        "novosky/market/timeframe.py": "the table of lengths",
        "novosky/market/server_time.py": "quarters of an hour by which time zones differ",
        "novosky/data/synthetic.py": "bars of a wave of the embedded market",
        "alerts/delivery.py": "seconds until a message is sent again",
    },
    "BTCUSD": {
        "novosky/market/instrument.py": "the usual symbol",
        "novosky/market/same_market.py": "names under which brokers list it",
    },
    770_001: {
        "novosky/market/instrument.py": "the bot's mark",
        "trading/journal/journal.py": "class of a lock in PostgreSQL, no mark of orders",
    },
}
"""Where a figure or a name may stand, and what it means there."""
TOLD = {
    "load_bars": "seconds",
    "save_bars": "seconds",
    "validate_bars": "seconds",
    "find_gaps": "seconds",
    "download_bars": "seconds",
}
"""Functions whose default is for reading a file of the usual bars; the program says which bars it means."""


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    prose = {id(each.value) for each in ast.walk(tree) if isinstance(each, ast.Expr)}
    yield from (each for each in ast.walk(tree) if isinstance(each, ast.Constant) and id(each) not in prose)


def is_the(value: object, wanted: object) -> bool:
    return not isinstance(value, bool) and value == wanted


@pytest.mark.parametrize("wanted", list(PLACES), ids=str)
def test_a_literal_stands_only_where_it_is_meant(wanted: int | str) -> None:
    found: dict[str, list[int]] = {}
    for path in sources():
        for each in literals(ast.parse(path.read_text(encoding="utf-8"))):
            if is_the(each.value, wanted):
                found.setdefault(path.relative_to(ROOT).as_posix(), []).append(each.lineno)
    strangers = {path: lines for path, lines in found.items() if path not in PLACES[wanted]}
    assert not strangers, f"{wanted!r} belongs to novosky.market; take it from the instrument or its time frame"
    assert set(found) == set(PLACES[wanted]), "an exception that nothing needs any more goes"


def test_no_module_speaks_of_one_length_of_bars() -> None:
    names = {
        (path.relative_to(ROOT).as_posix(), each.id)
        for path in sources()
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(each, ast.Name) and each.id in ("M15_SECONDS", "MAGIC")
    }
    assert not names


def test_the_program_says_which_bars_it_means_wherever_a_default_would_do() -> None:
    silent = []
    for path in sources():
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in TOLD and TOLD[name] not in {each.arg for each in call.keywords}:
                silent.append(f"{path.relative_to(ROOT).as_posix()}:{call.lineno} {name}")
    assert not silent
