"""Names in manifests become files of their folder on every system, or none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import read_manifest
from ml.sets.deployment import set_files
from novosky.errors import ModelError
from novosky.file_names import LONGEST, refusal_of_name, refusal_of_names
from tests.ml.hub.hub_sets import lay_out_checkout

GOOD = [
    "ensemble_rf.pkl",
    "a",
    ".hidden",
    "Größe.txt",
    "a b.txt",
    "console.txt",
    "com10",
    "nullable.pkl",
    "x" * LONGEST,
]
BAD = [
    "",
    ".",
    "..",
    "../config.json",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:\\x",
    "C:x",
    "a.pkl:stream",
    "a\0",
    "\0",
    "a\nb",
    "a\x7f",
    "a\x85",
    "half\ud800",
    "a?",
    "a*",
    'a"',
    "a<b",
    "a|b",
    "trailing ",
    "trailing.",
    " leading",
    "trailing\u3000",
    "NUL",
    "nul.pkl",
    "Con",
    "con .txt",
    "aux.tar.gz",
    "COM1",
    "lpt9.txt",
    "com¹",
    "CONIN$",
    "x" * (LONGEST + 1),
    "ü" * LONGEST,
]


@pytest.mark.parametrize("name", GOOD)
def test_a_plain_name_is_one(name: str) -> None:
    assert refusal_of_name(name) is None


@pytest.mark.parametrize("name", BAD)
def test_what_some_system_takes_for_something_else_is_none(name: str) -> None:
    assert refusal_of_name(name) is not None


@pytest.mark.parametrize(
    "names", [["A.pkl", "a.PKL"], ["straße", "STRASSE"], ["\u00e9.pkl", "e\u0301.pkl"], ["a.pkl", "b.pkl", "B.pkl"]]
)
def test_two_names_of_one_file_are_refused(names: list[str]) -> None:
    assert refusal_of_names(names) is not None
    assert refusal_of_names([names[0]]) is None


@pytest.mark.parametrize("name", [*BAD, "ENSEMBLE_RF.PKL"])
def test_a_manifest_with_such_a_name_is_refused_before_any_file_is_looked_at(tmp_path: Path, name: str) -> None:
    target = lay_out_checkout(tmp_path, "set")
    path = target.models / MANIFEST_NAME
    content = json.loads(path.read_text(encoding="utf-8"))
    content["artifacts"][name] = "0" * 64
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=MANIFEST_NAME):
        read_manifest(target.models)
    assert name not in set_files(target.models)
