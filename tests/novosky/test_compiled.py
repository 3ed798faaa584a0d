"""The compile cache: named after the sources, placed where the user wants, never where stale code could hide."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from novosky.compiled import CACHES_KEPT, PACKAGES, source_hash

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from rules import double
print(double(21), double.stats.cache_path or "uncached")
"""
RULES = """
from novosky.compiled import compiled

@compiled
def double(x):
    return 2 * x
"""


@pytest.fixture
def sources(root: Path, tmp_path: Path) -> Path:
    """A copy of the sources to change at will."""
    copy = tmp_path / "sources"
    for package in (*PACKAGES, "commands"):
        shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.mark.parametrize(
    "file",
    [
        "engine/gates.py",
        "engine/records.py",
        "engine/history.py",
        "ml/features/catalogue.py",
        "ml/labels/barrier.py",
    ],
)
def test_a_change_where_compiled_code_lives_changes_the_hash(sources: Path, file: str) -> None:
    before = source_hash(sources)
    with (sources / file).open("a", encoding="utf-8") as stream:
        stream.write("\n# changed\n")
    assert source_hash(sources) != before


def test_every_file_of_the_engine_and_the_features_counts(sources: Path) -> None:
    seen = {source_hash(sources)}
    files = [file for folder in ("engine", "ml/features") for file in sorted((sources / folder).rglob("*.py"))]
    assert len(files) > 10
    for file in files:
        file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        seen.add(source_hash(sources))
    assert len(seen) == len(files) + 1


def test_a_new_and_a_renamed_file_change_the_hash(sources: Path) -> None:
    before = source_hash(sources)
    (sources / "engine/new_rule.py").write_text("LIMIT = 3\n")
    added = source_hash(sources)
    (sources / "engine/new_rule.py").rename(sources / "engine/other_rule.py")
    assert len({before, added, source_hash(sources)}) == 3


@pytest.mark.parametrize(
    "file", ["trading/journal.py", "commands/trade.py", "ml/sets/compat.py", "novosky/pages/shell.py"]
)
def test_a_change_elsewhere_keeps_the_hash(sources: Path, file: str) -> None:
    before = source_hash(sources)
    with (sources / file).open("a", encoding="utf-8") as stream:
        stream.write("\n# changed\n")
    (sources / "engine/notes.txt").write_text("not a source file")
    assert source_hash(sources) == before


def shipped_packages(root: Path) -> list[str]:
    """Return the packages of the wheel that run for a trader; the benchmark's loops are timed, not traded."""
    told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["packages"]
    return [package for package in told if package != "bench"]


def test_every_file_that_compiles_is_under_the_hash(root: Path) -> None:
    texts = {
        file.relative_to(root).as_posix(): file.read_text(encoding="utf-8")
        for package in shipped_packages(root)
        for file in (root / package).rglob("*.py")
    }
    # Numba used directly would leave the file out of the cache's name.
    assert [file for file, text in texts.items() if "numba.njit" in text or "from numba import" in text] == [
        "novosky/compiled.py"
    ]
    outside = [file for file, text in texts.items() if "@compiled" in text and file.split("/")[0] not in PACKAGES]
    assert outside == []


def compile_with(root: Path, folder: Path, **environment: str) -> tuple[str, str]:
    """Compile a small function in a process of its own; return its answer and where it is cached."""
    (folder / "rules.py").write_text(RULES)
    keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TEMP") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=root,
        env={**keep, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer, _, place = done.stdout.strip().partition(" ")
    return answer, place


def test_the_cache_lies_in_the_home_under_the_hash_of_the_sources(root: Path, tmp_path: Path) -> None:
    answer, place = compile_with(root, tmp_path, HOME=str(tmp_path / "home"), USERPROFILE=str(tmp_path / "home"))
    folder = tmp_path / "home" / ".cache" / "novosky" / "compiled" / source_hash(root)
    assert answer == "42"
    assert Path(place).is_relative_to(folder)
    assert list(Path(place).glob("rules.double*.nbc"))


def test_the_cache_folder_can_be_chosen_and_is_still_named_after_the_sources(root: Path, tmp_path: Path) -> None:
    _, place = compile_with(root, tmp_path, HOME=str(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "mine"))
    assert Path(place).is_relative_to(tmp_path / "mine" / source_hash(root))
    assert not (tmp_path / ".cache").exists()


def test_without_a_writable_home_it_compiles_and_caches_nowhere(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("not a folder")
    answer, place = compile_with(root, tmp_path, HOME=str(blocked), USERPROFILE=str(blocked))
    assert (answer, place) == ("42", "uncached")
    assert not list(tmp_path.rglob("*.nbc")), "stale code could hide beside the sources"


def test_caches_of_older_sources_are_removed_but_never_the_one_in_use(root: Path, tmp_path: Path) -> None:
    base = tmp_path / ".cache" / "novosky" / "compiled"
    for age in range(CACHES_KEPT + 2):
        folder = base / f"older-{age}"
        folder.mkdir(parents=True)
        os.utime(folder, (2_000_000_000 - age, 1_000_000_000 - age))
    mine = base / source_hash(root)
    mine.mkdir()
    os.utime(mine, (1, 1))
    compile_with(root, tmp_path, HOME=str(tmp_path), USERPROFILE=str(tmp_path))
    assert {folder.name for folder in base.iterdir()} == {
        mine.name,
        *(f"older-{age}" for age in range(CACHES_KEPT - 1)),
    }
