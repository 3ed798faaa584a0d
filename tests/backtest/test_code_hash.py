"""Kept folds and sweep rows are named by the code they came from: any room that decides a result changes the name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backtest.code_hash import code_hash
from novosky.compiled import PACKAGES, ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            target = tmp_path / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    return tmp_path


def test_the_installed_code_is_what_is_hashed(copy: Path) -> None:
    assert code_hash() == code_hash(copy)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_change_in_any_package_that_decides_a_result_changes_it(copy: Path, package: str) -> None:
    before = code_hash(copy)
    deepest = max((copy / package).rglob("*.py"), key=lambda file: len(file.parts))
    deepest.write_bytes(deepest.read_bytes() + b"\n# another rule\n")
    changed = code_hash(copy)
    assert changed != before
    deepest.rename(deepest.with_name("renamed.py"))
    assert code_hash(copy) not in (before, changed)


def test_the_engine_and_the_features_are_among_them() -> None:
    assert {"engine", "ml", "backtest", "novosky"} <= set(PACKAGES)


def test_no_sources_are_no_hash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no source"):
        code_hash(tmp_path)
