"""Bad input through the real command lines: the thing is named, the exit code fits, and nothing is written."""

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

from ml.arrays import MEMBERS
from ml.sets.ensemble_files import METADATA_NAME, SCALER_NAME, member_file
from novosky.errors import DataError, ModelCompatibilityError, ModelError, SettingsError, StorageError
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
BARS = 400
"""Bars of a broken file: enough to be one, few enough to be quick."""

Breaker = Callable[[pd.DataFrame], pd.DataFrame]


def with_value(column: str, value: float) -> Breaker:
    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars.loc[123, column] = value
        return bars

    return change


def swapped(bars: pd.DataFrame) -> pd.DataFrame:
    order = [*range(123), 124, 123, *range(125, len(bars))]
    return bars.iloc[order].reset_index(drop=True)


def duplicated(bars: pd.DataFrame) -> pd.DataFrame:
    order = [*range(123), 122, *range(123, len(bars))]
    return bars.iloc[order].reset_index(drop=True)


def every(minutes: int) -> Breaker:
    """The same prices, stamped for another timeframe."""

    def change(bars: pd.DataFrame) -> pd.DataFrame:
        bars["time"] = pd.date_range("2022-01-03", periods=len(bars), freq=f"{minutes}min", tz="UTC", unit="ns")
        return bars

    return change


def shifted(bars: pd.DataFrame) -> pd.DataFrame:
    bars.loc[123, "time"] += pd.Timedelta(seconds=1)
    return bars


def naive(bars: pd.DataFrame) -> pd.DataFrame:
    bars["time"] = bars["time"].dt.tz_localize(None)
    return bars


BROKEN_BARS: dict[str, tuple[Breaker, str]] = {
    "unsorted": (swapped, "row 124 (2022-01-04 06:45:00+00:00): time runs backwards"),
    "duplicated": (duplicated, "row 123 (2022-01-04 06:30:00+00:00): duplicate time"),
    "nan": (with_value("close", float("nan")), "row 123 (2022-01-04 06:45:00+00:00): close is NaN or infinite"),
    "infinite": (with_value("high", float("inf")), "row 123 (2022-01-04 06:45:00+00:00): high is NaN or infinite"),
    "negative": (with_value("low", -5.0), "row 123 (2022-01-04 06:45:00+00:00): low is not above zero"),
    "high below low": (with_value("high", 1.0), "row 123 (2022-01-04 06:45:00+00:00): high is below low"),
    "negative volume": (with_value("volume", -1.0), "row 123 (2022-01-04 06:45:00+00:00): volume is negative"),
    "off the grid": (shifted, "row 123 (2022-01-04 06:45:01+00:00): time is not on the 15-minute grid"),
    "one-minute bars": (every(1), "row 1 (2022-01-03 00:01:00+00:00): time is not on the 15-minute grid"),
    "half-hour bars": (every(30), "bars are 30 minutes apart, but 15-minute bars are needed"),
    "no time zone": (naive, "column time has no time zone"),
    "no bars": (lambda bars: bars.iloc[:0], "holds no bars"),
    "missing column": (lambda bars: bars.drop(columns="low"), "missing column(s) low"),
}


def break_file(desk: Desk, folder: Path, what: str) -> Path:
    """Write bars with one flaw and return the file."""
    file = folder / "broken.parquet"
    BROKEN_BARS[what][0](pd.read_parquet(desk.bars).iloc[:BARS].copy()).to_parquet(file)
    return file


def truncated(desk: Desk, folder: Path) -> Path:
    file = folder / "truncated.parquet"
    content = desk.bars.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    return file


def garbage(name: str) -> Callable[[Desk, Path], Path]:
    def write(desk: Desk, folder: Path) -> Path:
        (folder / name).write_text("these are no bars\n" * 50)
        return folder / name

    return write


UNREADABLE: dict[str, tuple[Callable[[Desk, Path], Path], str]] = {
    "missing": (lambda desk, folder: folder / "missing.parquet", "no such file; run scripts/download_data.py"),
    "truncated": (truncated, "it is damaged or not Parquet"),
    "garbage.parquet": (garbage("garbage.parquet"), "it is damaged or not Parquet"),
    "garbage.csv": (garbage("garbage.csv"), "garbage.csv"),
    "unknown kind": (garbage("garbage.xlsx"), "unknown kind of file .xlsx"),
}

BAR_COMMANDS: dict[str, Callable[[Desk, Path], list[object]]] = {
    "backtest_config.py": lambda desk, file: [*desk.flags, "--data", file, "--json", "new.json", "--trades", "new.csv"],
    "trading.py": lambda desk, file: [*desk.flags, "--paper", "--replay", file, "--trades", "new.csv"],
    "train_ml_model.py": lambda desk, file: [*desk.flags, "--models", "new", "--ensemble", "--data", file],
    "scripts/leakage_check.py": lambda desk, file: ["--data", file],
    "scripts/download_data.py": lambda desk, file: ["--source", "parquet", "--input", file, "--output", "new.parquet"],
}
READERS = ["backtest_config.py", "trading.py", "train_ml_model.py"]
USERS_OF_MODELS = ["backtest_config.py", "trading.py"]


def refuse(script: str, arguments: list[object], folder: Path, desk: Desk) -> Answer:
    """Run a command that must fail and leave its folder and the desk as they were."""
    before, desk_before = listing(folder), listing(desk.folder)
    answer = run_script(script, *arguments, cwd=folder)
    left = {name: content for name, content in listing(folder).items() if not is_lock(name)}
    assert left == before
    assert listing(desk.folder) == desk_before
    assert answer.out == ""
    assert "Traceback" not in answer.err
    return answer


def is_lock(name: str) -> bool:
    # The store takes its lock before it reads: an empty hidden file that holds nothing.
    return name == ".new.parquet.lock"


@pytest.mark.parametrize("what", BROKEN_BARS)
@pytest.mark.parametrize("script", BAR_COMMANDS)
def test_bars_that_break_a_rule_are_refused_naming_the_row(desk: Desk, tmp_path: Path, script: str, what: str) -> None:
    file = break_file(desk, tmp_path, what)
    answer = refuse(script, BAR_COMMANDS[script](desk, file), tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert answer.err.startswith(f"error: {file}: ")
    assert BROKEN_BARS[what][1] in answer.err


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("script", [*READERS, "scripts/leakage_check.py"])
def test_files_that_hold_no_bars_are_refused(desk: Desk, tmp_path: Path, script: str, what: str) -> None:
    write, message = UNREADABLE[what]
    file = write(desk, tmp_path)
    answer = refuse(script, BAR_COMMANDS[script](desk, file), tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert answer.err.startswith(f"error: {file}: ")
    assert message in answer.err


@pytest.mark.parametrize("script", USERS_OF_MODELS)
def test_quarter_hours_are_refused_as_one_minute_bars(desk: Desk, tmp_path: Path, script: str) -> None:
    arguments = [*BAR_COMMANDS[script](desk, desk.bars), "--m1", desk.bars]
    answer = refuse(script, arguments, tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert "bars are 15 minutes apart, but 1-minute bars are needed" in answer.err


@pytest.mark.parametrize("script", READERS)
def test_a_window_without_bars_is_refused(desk: Desk, tmp_path: Path, script: str) -> None:
    arguments = [*BAR_COMMANDS[script](desk, desk.bars), "--start", "2031-01-01", "--end", "2031-02-01"]
    answer = refuse(script, arguments, tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert "2031-01-01" in answer.err
    assert "2022-01-03" in answer.err, "the message says what the data covers"


def test_a_window_the_models_have_seen_whole_is_not_out_of_sample(desk: Desk, tmp_path: Path) -> None:
    arguments = [*BAR_COMMANDS["backtest_config.py"](desk, desk.bars), "--oos-only", "--oos-end", "2022-02-01"]
    answer = refuse("backtest_config.py", arguments, tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert "no bar is out of sample: the models know everything up to 2022-03-" in answer.err


@pytest.mark.parametrize("what", ["missing", "garbage.parquet"])
@pytest.mark.parametrize("script", READERS)
def test_a_calendar_that_is_none_is_refused(desk: Desk, tmp_path: Path, script: str, what: str) -> None:
    file = UNREADABLE[what][0](desk, tmp_path)
    answer = refuse(script, [*BAR_COMMANDS[script](desk, desk.bars), "--calendar", file], tmp_path, desk)
    assert answer.code == DataError.exit_code
    assert answer.err.startswith(f"error: {file}: ")


def change_settings(source: Path, target: Path, *, keys: dict[str, Any]) -> Path:
    target.write_text(json.dumps({**json.loads(source.read_text(encoding="utf-8")), **keys}))
    return target


@pytest.mark.parametrize("keys", [{"max_daily_los": 5.0}, {"max_daily_loss": 500.0}, {"costs": {}}], ids=str)
@pytest.mark.parametrize("script", READERS)
def test_a_mistake_in_the_settings_is_refused(desk: Desk, tmp_path: Path, script: str, keys: dict[str, Any]) -> None:
    config = change_settings(desk.config, tmp_path / "config.json", keys=keys)
    answer = refuse(script, [*BAR_COMMANDS[script](desk, desk.bars), "--config", config], tmp_path, desk)
    assert answer.code == SettingsError.exit_code
    assert answer.err.startswith(f"error: {config} has ")
    assert next(iter(keys)) in answer.err


@pytest.mark.parametrize("script", READERS)
def test_a_mistake_in_the_model_settings_is_refused(desk: Desk, tmp_path: Path, script: str) -> None:
    config = change_settings(desk.ml_config, tmp_path / "ml.json", keys={"predicton": {}})
    answer = refuse(script, [*BAR_COMMANDS[script](desk, desk.bars), "--ml-config", config], tmp_path, desk)
    assert answer.code == SettingsError.exit_code
    assert "predicton: unknown key; did you mean 'prediction'?" in answer.err


def damage(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def damage_a_member(models: Path) -> None:
    for kind in ("calibrated", "onnx", "raw"):
        damage(models / member_file("xgb", kind))


def swap_members(models: Path) -> None:
    for kind in ("calibrated", "onnx", "raw"):
        first, second = models / member_file("rf", kind), models / member_file("lgb", kind)
        content = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(content)


def remove_a_member(models: Path) -> None:
    for kind in ("calibrated", "onnx", "raw"):
        (models / member_file("lgb", kind)).unlink()


def remove_scaler_and_metadata(models: Path) -> None:
    (models / SCALER_NAME).unlink()
    (models / METADATA_NAME).unlink()


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no set": (shutil.rmtree, "model_compat.json does not exist"),
    "no manifest": (lambda models: (models / "model_compat.json").unlink(), "model_compat.json does not exist"),
    "half a manifest": (lambda models: damage(models / "model_compat.json"), "model_compat.json cannot be read"),
    "damaged member": (damage_a_member, "ensemble_xgb"),
    "swapped members": (swap_members, "ensemble_rf"),
    "missing member": (remove_a_member, "ensemble_lgb"),
    "missing scaler and metadata": (remove_scaler_and_metadata, METADATA_NAME),
}


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("script", USERS_OF_MODELS)
def test_a_damaged_model_set_is_refused_with_the_mend(desk: Desk, tmp_path: Path, script: str, what: str) -> None:
    hurt, message = DAMAGES[what]
    models = tmp_path / "models"
    shutil.copytree(desk.models, models)
    hurt(models)
    answer = refuse(script, [*BAR_COMMANDS[script](desk, desk.bars), "--models", models], tmp_path, desk)
    assert answer.code == ModelError.exit_code
    assert message in answer.err
    assert "train_ml_model.py --ensemble" in answer.err


def test_one_damaged_file_of_a_member_is_not_the_end_of_it(desk: Desk, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(desk.models, models)
    for name in MEMBERS:
        damage(models / member_file(name, "calibrated"))
    arguments = [*desk.flags, "--data", desk.bars, "--oos-only", "--no-chart", "--models", models]
    assert run_script("backtest_config.py", *arguments, cwd=tmp_path).code == 0


@pytest.mark.parametrize("change", ["one less", "other order", "one unknown"])
@pytest.mark.parametrize("script", USERS_OF_MODELS)
def test_models_for_another_feature_list_are_refused(desk: Desk, tmp_path: Path, script: str, change: str) -> None:
    features = json.loads(desk.ml_config.read_text(encoding="utf-8"))["features"]
    other, message = {
        "one less": (features[:-1], f"the models use {len(features)} features, ml_config.json lists"),
        "other order": ([features[1], features[0], *features[2:]], "first difference at position 1"),
        "one unknown": ([*features, "volume_zscore_20"], "does not compute: volume_zscore_20"),
    }[change]
    config = change_settings(desk.ml_config, tmp_path / "ml.json", keys={"features": other})
    answer = refuse(script, [*BAR_COMMANDS[script](desk, desk.bars), "--ml-config", config], tmp_path, desk)
    assert answer.code == ModelCompatibilityError.exit_code
    assert message in answer.err


def test_a_replay_that_cannot_start_keeps_the_account_it_would_have_discarded(desk: Desk, tmp_path: Path) -> None:
    journal = tmp_path / "account.sqlite"
    journal.write_text("what the account remembers")
    arguments = [*desk.flags, "--paper", "--replay", tmp_path / "missing.parquet", "--fresh", "--journal", journal]
    answer = refuse("trading.py", arguments, tmp_path, desk)
    assert answer.code == DataError.exit_code


def test_health_without_a_journal_says_so(desk: Desk, tmp_path: Path) -> None:
    answer = refuse("trading.py", ["--health"], tmp_path, desk)
    assert answer.code == StorageError.exit_code
    assert "no journal at" in answer.err


BACKTEST = ["--oos-only", "--start", "2022-03-15"]


@pytest.mark.parametrize("flag", ["--json", "--trades", "--blocked", "--report"])
def test_an_output_folder_that_is_a_file_is_refused(desk: Desk, tmp_path: Path, flag: str) -> None:
    (tmp_path / "taken").write_text("a file")
    before = listing(tmp_path)
    no_chart = [] if flag == "--report" else ["--no-chart"]
    arguments = [*desk.flags, "--data", desk.bars, *BACKTEST, *no_chart, flag, tmp_path / "taken" / "out"]
    answer = run_script("backtest_config.py", *arguments, cwd=tmp_path)
    assert answer.code == StorageError.exit_code
    assert answer.err.startswith(f"error: {tmp_path / 'taken' / 'out'} could not be written")
    assert listing(tmp_path) == before


LIMITED = """
import json, pathlib, sys
from tests.helpers.command_line import run_script
from tests.helpers.small_disk import disk_with_room_for
for arguments in json.loads(sys.argv[1]):
    with disk_with_room_for(256):
        answer = run_script("backtest_config.py", *arguments, cwd=pathlib.Path())
    print(json.dumps([answer.code, answer.err]))
"""
"""Runs backtests whose files cannot grow beyond 256 bytes: to a program, that is a full disk."""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_a_full_disk_leaves_the_old_files(desk: Desk, tmp_path: Path) -> None:
    usual = [*desk.flags, "--data", str(desk.bars), *BACKTEST]
    runs = [
        [*usual, "--no-chart", "--json", "out.json"],
        [*usual, "--no-chart", "--trades", "trades.csv"],
        [*usual, "--report", "report.html"],
    ]
    # Yesterday the disk had room, also for what Numba keeps.
    assert [run_script("backtest_config.py", *arguments, cwd=tmp_path).code for arguments in runs] == [0, 0, 0]
    before = listing(tmp_path)
    assert min((tmp_path / name).stat().st_size for name in before) > 256
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(runs)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    for line, name in zip(done.stdout.splitlines(), ("out.json", "trades.csv", "report.html"), strict=True):
        code, err = json.loads(line)
        assert code == StorageError.exit_code
        assert err.startswith(f"error: {name} could not be written (File too large); the previous version is unchanged")
    assert listing(tmp_path) == before
