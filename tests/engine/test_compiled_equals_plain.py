"""The compiled rules and the same rules as plain Python give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.fills import EXIT_NAMES
from engine.gates import GATE_NAMES, gate_names
from novosky.compiled import source_hash
from tests.engine.cases.bar_cases import CASES
from tests.engine.outcomes import RANDOM_PLAYS, all_outcomes

Outcomes = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def compiled() -> Outcomes:
    return all_outcomes()


@pytest.fixture(scope="module")
def plain(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    file = tmp_path_factory.mktemp("plain") / "outcomes.npz"
    subprocess.run(
        [sys.executable, "-m", "tests.engine.outcomes", str(file)],
        cwd=root,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        timeout=120,
    )
    with np.load(file) as content:
        outcomes = dict(content)
    assert not outcomes.pop("compiled"), "the child process was to run uncompiled"
    return outcomes


def differing(left: Outcomes, right: Outcomes, prefix: str) -> list[str]:
    keys = [key for key in left if key.startswith(prefix + ".")]
    assert len(keys) == 6
    return [key for key in keys if left[key].dtype != right[key].dtype or left[key].tobytes() != right[key].tobytes()]


@pytest.mark.parametrize("name", [case.id for case in CASES])
def test_case_gives_the_same_bytes(name: str, compiled: Outcomes, plain: Outcomes) -> None:
    assert differing(compiled, plain, name) == []


@pytest.mark.parametrize("name", RANDOM_PLAYS)
def test_random_market_gives_the_same_bytes(name: str, compiled: Outcomes, plain: Outcomes) -> None:
    assert differing(compiled, plain, name) == []


def test_random_markets_meet_every_exit_and_every_gate(compiled: Outcomes) -> None:
    """Equal bytes prove little about a rule that no market ever met."""
    exits = {EXIT_NAMES[reason] for name in RANDOM_PLAYS for reason in compiled[f"{name}.trades"]["reason"]}
    masks = [int(mask) for name in RANDOM_PLAYS for mask in compiled[f"{name}.blocks"]["gates"]]
    gates = {gate for mask in masks for gate in gate_names(mask)}
    assert exits == set(EXIT_NAMES) - {"", "manual"}
    # The freeze flag is the bot's: history has none.
    assert gates == set(GATE_NAMES) - {"frozen"}


@pytest.mark.parametrize("file", ["bar.py", "fills.py", "history.py", "records.py"])
def test_a_changed_rule_never_runs_from_an_older_compilation(file: str, root: Path, tmp_path: Path) -> None:
    """The compiled loop contains the rules of every file, so each of them must name the cache."""
    engine = tmp_path / "engine"
    shutil.copytree(root / "engine", engine, ignore=shutil.ignore_patterns("__pycache__"))
    before = source_hash(tmp_path)
    changed = engine / file
    changed.write_text(changed.read_text(encoding="utf-8") + "\nNEW_RULE = 1\n", encoding="utf-8")
    assert source_hash(tmp_path) != before
