"""Additions to the house as a person would write them, made in one scratch copy of the sources and tried there.

    python -m tests.program.adding.additions FOLDER

runs with the copy first on its path, and prints what became of each.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("gate", "feature", "channel", "section", "command")
FILES = ("config.json", "ml_config.json", "README.md", "pyproject.toml")
"""What the packages read beside themselves."""
PATIENCE = 300.0
"""Seconds: the rules are compiled anew, for their sources have changed."""


class Addition(Protocol):
    """A module of this folder.

    Attributes
    ----------
    ROW : str
        What is added, as CONTRIBUTING's table calls it.
    EDITS : mapping
        By file: where, and what stands there afterwards. A file that is not there yet begins with the place "".
    """

    ROW: str
    EDITS: Mapping[str, Sequence[tuple[str, str]]]

    @staticmethod
    def check(folder: Path) -> None:
        """Try it, in the copy, with a folder to write to."""


def addition(name: str) -> Addition:
    """Return an addition by its file's name."""
    return cast(Addition, import_module(f"tests.program.adding.{name}"))


def copy_sources(copy: Path) -> None:
    """Copy the program, without its tests."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]["packages"]
    for package in packages:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)


def write(copy: Path, edits: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Write what a person writes; every place must be there once."""
    for name, changes in edits.items():
        file = copy / name
        for place, written in changes:
            if not place:
                assert not file.exists(), f"{name} is there already"
                file.write_text(written, encoding="utf-8")
                continue
            text = file.read_text(encoding="utf-8")
            assert text.count(place) == 1, (name, place)
            file.write_text(text.replace(place, written), encoding="utf-8")


def add_all(folder: Path) -> dict[str, str]:
    """Make every addition in one copy and try them in one process; return what failed of each, "" for nothing."""
    copy = folder / "copy"
    copy_sources(copy)
    for name in NAMES:
        write(copy, addition(name).EDITS)
    done = subprocess.run(
        [sys.executable, "-m", "tests.program.adding.additions", str(folder)],
        cwd=copy,
        # Not this process's compiled rules: they are those of the house without the additions.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(copy), str(ROOT))),
            "XDG_CACHE_HOME": str(folder / "compiled"),
            # They run once: to compile them is the work, and to make them quick would be a third of it.
            "NUMBA_OPT": "0",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def main(folder: Path) -> None:
    """Try every addition and print what failed, as JSON."""
    outcome: dict[str, str] = {}
    for name in NAMES:
        try:
            addition(name).check(folder)
            outcome[name] = ""
        except Exception:
            outcome[name] = traceback.format_exc()
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
