"""A bot that cannot start says why in one line, ends with the code of its error, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import listing, run_script
from desk import Desk
from signal_sets import TRAIN_BARS

from ml.ensemble import MEMBERS, member_file
from novosky.errors import LockedError, ModelCompatibilityError, ModelError, SettingsError, StorageError, UsageError
from trading.paper_session import single_instance

ROOT = Path(__file__).resolve().parents[1]


def change(source: Path, target: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Write an edited copy of a JSON file."""
    content = json.loads(source.read_text(encoding="utf-8"))
    edit(content)
    target.write_text(json.dumps(content))
    return target


def without_models(desk: Desk, folder: Path) -> list[object]:
    return ["--models", folder / "none"]


def with_half_a_set(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    for kind in ("calibrated", "onnx", "raw"):
        (models / member_file(MEMBERS[0], kind)).unlink()
    return ["--models", models]


def with_a_swapped_pickle(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    for name in MEMBERS:
        for kind in ("calibrated", "onnx", "raw"):
            (models / member_file(name, kind)).write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    return ["--models", models]


def with_other_libraries(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    manifest = models / "model_compat.json"
    change(manifest, manifest, lambda content: content["versions"].update(lightgbm="1.0.0"))
    return ["--models", models]


def with_drifted_features(desk: Desk, folder: Path) -> list[object]:
    drifted = change(desk.ml_config, folder / "ml.json", lambda content: content["features"].reverse())
    return ["--ml-config", drifted]


def with_an_unknown_key(desk: Desk, folder: Path) -> list[object]:
    config = change(desk.config, folder / "config.json", lambda content: content.update(max_daily_los=5.0))
    return ["--config", config]


def with_broken_json(desk: Desk, folder: Path) -> list[object]:
    config = folder / "config.json"
    config.write_text(desk.config.read_text(encoding="utf-8")[:-20])
    return ["--config", config]


def without_a_config(desk: Desk, folder: Path) -> list[object]:
    return ["--config", folder / "none.json"]


def with_a_journal_that_is_none(desk: Desk, folder: Path) -> list[object]:
    (folder / "notes.txt").write_text("my notes\n" * 200)
    return ["--journal", folder / "notes.txt"]


def with_a_file_for_a_folder(desk: Desk, folder: Path) -> list[object]:
    (folder / "taken").write_text("a file")
    return ["--journal", folder / "taken" / "paper.sqlite"]


def with_the_config_as_journal(desk: Desk, folder: Path) -> list[object]:
    config = folder / "config.json"
    shutil.copy(desk.config, config)
    return ["--config", config, "--journal", config]


Obstacle = Callable[[Desk, Path], list[object]]
OBSTACLES: dict[str, tuple[Obstacle, int, str]] = {
    "no models": (without_models, ModelError.exit_code, "train_ml_model.py --ensemble"),
    "half a set": (with_half_a_set, ModelError.exit_code, "ensemble_rf"),
    "foreign pickles": (with_a_swapped_pickle, ModelError.exit_code, "SHA-256 differs"),
    "other libraries": (with_other_libraries, ModelCompatibilityError.exit_code, "lightgbm 1.0.0"),
    "drifted features": (with_drifted_features, ModelCompatibilityError.exit_code, "first difference at position 1"),
    "unknown key": (with_an_unknown_key, SettingsError.exit_code, "did you mean 'max_daily_loss'?"),
    "broken JSON": (with_broken_json, SettingsError.exit_code, "is not valid JSON"),
    "no config": (without_a_config, SettingsError.exit_code, "does not exist"),
    "not a journal": (with_a_journal_that_is_none, StorageError.exit_code, "is not a journal"),
    "no folder": (with_a_file_for_a_folder, StorageError.exit_code, "taken"),
    "config as journal": (with_the_config_as_journal, UsageError.exit_code, "name the same place"),
}


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_keeps_the_bot_from_starting_is_one_message_with_its_code(desk: Desk, tmp_path: Path, what: str) -> None:
    prepare, code, message = OBSTACLES[what]
    arguments = prepare(desk, tmp_path)
    before, desk_before = listing(tmp_path), listing(desk.folder)
    answer = run_script("trading.py", *desk.flags, "--paper", "--once", *arguments, cwd=tmp_path)
    assert answer.code == code, answer.err
    assert answer.err.startswith("error: ")
    assert answer.err.count("error: ") == 1
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    left = {name: content for name, content in listing(tmp_path).items() if not name.endswith(".lock")}
    assert left == before
    assert listing(desk.folder) == desk_before
    assert not (tmp_path / "hacked").exists(), "nothing foreign is ever unpickled"


def test_a_second_bot_is_refused_and_the_first_ones_files_are_untouched(desk: Desk, tmp_path: Path) -> None:
    assert run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path).code == 0
    before = listing(tmp_path)
    with single_instance(tmp_path / "logs" / "paper.sqlite"):
        for flags in ((), ("--fresh",)):
            answer = run_script("trading.py", *desk.flags, "--paper", "--once", *flags, cwd=tmp_path)
            assert answer.code == LockedError.exit_code
            assert "another bot is using" in answer.err
    assert listing(tmp_path) == before


STEPS = """
import json, pathlib, subprocess, sys
from command_line import listing, run_script
for kind, arguments in json.loads(sys.argv[1]):
    if kind == "shell":
        subprocess.run(arguments, shell=True, check=True)
    elif kind == "list":
        print(json.dumps(listing(pathlib.Path(arguments))))
    else:
        answer = run_script("trading.py", *arguments, cwd=pathlib.Path())
        print(json.dumps([answer.code, answer.err]))
"""
"""Runs shell lines and the bot by turns, where file systems can be mounted that end with the process."""


def play(folder: Path, *steps: tuple[str, object]) -> list[Any]:
    """Play steps in a mount namespace of their own and return what each but the shell lines answered."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0:
        pytest.skip("needs Linux with mount namespaces")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", STEPS, json.dumps(steps)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "mount",
    [
        "mount -t tmpfs -o ro tmpfs logs",
        "mount -t tmpfs -o size=64k tmpfs logs; dd if=/dev/zero of=logs/full bs=4k status=none || true",
    ],
    ids=["read-only", "full"],
)
def test_a_disk_that_cannot_be_written_stops_the_start(desk: Desk, tmp_path: Path, mount: str) -> None:
    start = [*desk.flags, "--paper", "--once"]
    before, (code, err), after = play(
        tmp_path, ("shell", f"mkdir logs; {mount}"), ("list", "logs"), ("bot", start), ("list", "logs")
    )
    assert code == StorageError.exit_code, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert {name for name in after if (tmp_path / "logs" / name).suffix != ".lock"} - set(before) <= {
        "paper.broker.sqlite",
        "paper.sqlite",
    }, "at most databases without content, which the next start fills"


def test_a_disk_that_fills_while_trading_ends_the_bot_and_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    times = pd.read_parquet(desk.bars)["time"]
    window = [str(times.iloc[row].strftime("%Y-%m-%dT%H:%M")) for row in (TRAIN_BARS, TRAIN_BARS + 250)]
    replay = [*desk.flags, "--paper", "--replay", str(desk.bars), "--start", window[0], "--end", window[1]]
    (whole, whole_err), (cut, cut_err), (resumed, resumed_err) = play(
        tmp_path,
        ("bot", [*replay, "--journal", "whole.sqlite", "--trades", "whole.csv"]),
        ("shell", "mkdir small; mount -t tmpfs -o size=160k tmpfs small"),
        ("bot", [*replay, "--journal", "small/j.sqlite", "--trades", "cut.csv"]),
        ("shell", "mount -o remount,size=64m small"),
        ("bot", [*replay, "--journal", "small/j.sqlite", "--trades", "resumed.csv"]),
    )
    assert whole == 0, whole_err
    assert cut == StorageError.exit_code, cut_err
    assert "disk" in cut_err
    assert "Traceback" not in cut_err
    assert not (tmp_path / "cut.csv").exists()
    assert resumed == 0, resumed_err
    assert (tmp_path / "resumed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert len((tmp_path / "whole.csv").read_text().splitlines()) > 10
