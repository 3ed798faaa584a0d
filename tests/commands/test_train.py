"""`train_ml_model.py`: what it asks for, what it prints, how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.train import train
from ml.sets.compat import read_manifest
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, NovoskyError, SettingsError, UsageError
from tests.helpers.sets.signal_sets import TRAIN_BARS, small_ml_settings

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workplace")
    save_bars(folder / "bars.parquet", synthetic_bars("planted", TRAIN_BARS, seed=3))
    settings = small_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    (folder / "ml_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def command(workplace: Path, root: Path, tmp_path: Path) -> Command:
    """Run the command on the small workplace; a later flag overrides an earlier one."""

    def run(*flags: str) -> Result:
        usual = {
            "--data": workplace / "bars.parquet",
            "--config": root / "config.json",
            "--ml-config": workplace / "ml_config.json",
            "--models": tmp_path / "models",
        }
        given = [str(part) for pair in usual.items() for part in pair]
        return CliRunner().invoke(train, [*given, *flags])

    return run


def test_it_trains_a_set_and_prints_what_it_did(command: Command, tmp_path: Path) -> None:
    result = command("--ensemble", "--end", "2022-02-20")
    assert result.exit_code == 0, result.output
    assert "trained signal" in result.stdout
    assert "trained afresh: there is no earlier set" in result.stdout
    assert "SYNTHETIC" in result.stderr
    manifest = read_manifest(tmp_path / "models")
    assert manifest.train_end == "2022-02-19T23:45:00Z"

    refreshed = command("--refresh")
    assert refreshed.exit_code == 0, refreshed.output
    assert "continued from" in refreshed.stdout
    assert read_manifest(tmp_path / "models").train_start == manifest.train_start
    assert read_manifest(tmp_path / "models").train_end > manifest.train_end


@pytest.mark.parametrize("more", [(), ("--start", "2022-01-20")])
def test_there_is_nothing_to_refresh_before_the_first_training(
    command: Command, tmp_path: Path, more: tuple[str, ...]
) -> None:
    error = command("--refresh", *more).exception
    assert isinstance(error, UsageError)
    assert "no last window" in str(error)
    for option in ("--ensemble", "--start", "--end"):
        assert option in str(error)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "flags", [(), ("--ensemble", "--start", "yesterday"), ("--refresh", "--end", "2022-02-20"), ("--ensembel",)]
)
def test_bad_arguments_exit_2(command: Command, flags: tuple[str, ...]) -> None:
    assert command(*flags).exit_code == 2


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("--data", "nowhere.parquet"), DataError),
        (("--config", "nowhere.json"), SettingsError),
        (("--ml-config", "nowhere.json"), SettingsError),
        (("--start", "2031-01-01"), DataError),
    ],
)
def test_each_error_keeps_its_class(command: Command, flags: tuple[str, ...], error: type[NovoskyError]) -> None:
    assert isinstance(command("--ensemble", *flags).exception, error)


def test_a_missing_settings_file_exits_with_its_code_and_one_line(root: Path) -> None:
    script = [sys.executable, "train_ml_model.py", "--ensemble", "--data", "nowhere.parquet"]
    done = subprocess.run(
        [*script, "--ml-config", "nowhere.json"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == SettingsError.exit_code
    assert done.stderr.startswith("error: nowhere.json")
    assert done.stdout == ""


def test_help_gives_examples_without_loading_a_library(root: Path) -> None:
    code = (
        "import sys; from click.testing import CliRunner; from commands.train import train;"
        "print(CliRunner().invoke(train, ['--help']).output);"
        "print([n for n in ('pandas', 'numpy', 'sklearn', 'xgboost', 'lightgbm', 'numba') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "python train_ml_model.py --ensemble --no-warmstart" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
