"""CONTRIBUTING's table, proved: one of each family is added in a copy by the files it names and no other."""

from __future__ import annotations

import re

import pytest

from tests.program.adding.additions import NAMES, ROOT, add_all, addition

MOST_FILES = 3


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of every addition."""
    return add_all(tmp_path_factory.mktemp("adding"))


def files_of(row: str) -> list[str]:
    """Return the files and folders that CONTRIBUTING's table names for a change; names alone are files at the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (files,) = re.findall(rf"^\| {re.escape(row)} \| (.*?) \|", text, re.MULTILINE)
    return [name for name in re.findall(r"`([^`]+)`", files) if "/" in name or "." in name]


def covers(named: str, file: str) -> bool:
    """Tell whether a name of the table means a file: itself, or one anywhere in a folder."""
    return file.startswith(named) if named.endswith("/") else file == named


@pytest.mark.parametrize("name", NAMES)
def test_one_of_each_is_added(outcome: dict[str, str], name: str) -> None:
    assert outcome[name] == ""


@pytest.mark.parametrize("name", NAMES)
def test_the_guide_names_the_files_that_adding_one_touches(name: str) -> None:
    added = addition(name)
    named, touched = files_of(added.ROW), list(added.EDITS)
    assert len(touched) <= MOST_FILES
    assert [file for file in touched if not any(covers(each, file) for each in named)] == []
    assert [each for each in named if not any(covers(each, file) for file in touched)] == []
    assert len(named) == len(touched)
