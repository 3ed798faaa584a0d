"""No contract case is forgotten: each has a test for every implementation it is to be run for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tests.trading.brokers.mt5.test_through_bridge as through_bridge
from tests.contracts.cases import CASES, NOT_HERE

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = re.compile(r"test_((?:\d{1,2}_)+)")
MODULES = {
    "S": ("trading/brokers/simulated/test_*.py",),
    "B": ("trading/brokers/bridge/test_*.py", "truth/test_bridge_parity.py"),
    "A": ("trading/brokers/mt5/test_*.py", "truth/test_mt5_parity.py"),
    "R": ("trading/brokers/mt5/test_through_bridge.py",),
}
"""Where each implementation's tests stand below tests/; parity stands with the other tests of truth."""


def names_in(module: ModuleType) -> Iterator[str]:
    """Give the names of a module's tests as they are collected, those in classes included."""
    for name, thing in vars(module).items():
        if name.startswith("test_") and callable(thing):
            yield name
        elif name.startswith("Test") and isinstance(thing, type):
            yield from (method for method in dir(thing) if method.startswith("test_"))


def cases_of(letter: str) -> dict[int, list[str]]:
    """Return the tests of an implementation by case."""
    found: dict[int, list[str]] = {}
    files = sorted(file for pattern in MODULES[letter] for file in (ROOT / "tests").glob(pattern))
    for file in files:
        if letter == "A" and file == ROOT / "tests" / MODULES["R"][0]:
            continue
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for name in names_in(importlib.import_module(module)):
            match = NUMBERS.match(name)
            for number in re.findall(r"\d+", match[1]) if match else ():
                found.setdefault(int(number), []).append(name)
    if letter == "R":
        # Every test of that module is the adapter's parity through the bridge.
        found[59] = [*names_in(through_bridge)]
    return found


@pytest.fixture(scope="module")
def run() -> dict[str, dict[int, list[str]]]:
    return {letter: cases_of(letter) for letter in MODULES}


def test_the_cases_are_numbered_from_1_to_60() -> None:
    assert list(CASES) == list(range(1, 61))
    assert all(set(case.runs) <= {*MODULES, "L"} for case in CASES.values())


@pytest.mark.parametrize("number", [number for number in CASES if number not in NOT_HERE])
def test_a_case_has_a_test_for_each_of_its_implementations(number: int, run: dict[str, dict[int, list[str]]]) -> None:
    missing = [letter for letter in CASES[number].runs if letter != "L" and not run[letter].get(number)]
    assert not missing, f"case {number}, {CASES[number].subject}: no test for {missing}"


def test_what_is_not_run_here_needs_a_demo_account_and_says_so() -> None:
    assert {number for number, case in CASES.items() if case.runs == "L"} == set(NOT_HERE)
    assert all(NOT_HERE.values())


def test_no_test_bears_the_number_of_a_case_that_does_not_exist(run: dict[str, dict[int, list[str]]]) -> None:
    assert {number for cases in run.values() for number in cases} <= set(CASES)


def test_every_test_left_out_of_the_adapters_run_through_the_bridge_exists() -> None:
    known = {name for module in through_bridge.MODULES for name in vars(module)}
    assert known >= through_bridge.ELSEWHERE.keys()
    assert not through_bridge.ELSEWHERE.keys() & set(names_in(through_bridge))
