"""The first hour: the program installs under its own name, finds its settings, and gets models to practise with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import models as starter_command
from commands.main import COMMANDS, cli
from commands.trade_modes.practice import paper_files
from ml.arrays import MEMBERS
from ml.ensemble.onnx_export import require_exporters
from ml.ensemble.predictor import EnsemblePredictor
from ml.load_models import load_models
from ml.sets.compat import read_manifest
from ml.sets.deployment import Deployment
from ml.sets.ensemble_files import POSITION_FILES, SIGNAL_FILES
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import STAGE_ORDER, require_stage
from novosky import installation
from novosky.errors import ModelCompatibilityError, ModelError, SettingsError, UsageError
from novosky.installation import as_installed, extra_line, provide_settings, shipped_text
from novosky.settings import load_ml_settings, load_settings
from tests.commands.test_commands import SCRIPTS
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from trading.live.practice import refuse_practice_models

ROOT = Path(__file__).resolve().parents[2]


def novosky(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "novosky", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.lock"])
def test_the_lock_files_install_the_program_itself(lock: str) -> None:
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "--editable ."
    assert sum(line.startswith(("-e", "--editable")) for line in lines) == 1


def test_the_command_and_the_modules_are_one_program(tmp_path: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"novosky": "commands.main:main"}
    for module in ("novosky", "commands.main"):
        done = subprocess.run(
            [sys.executable, "-m", module, "trian"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "did you mean train or trade?" in done.stderr


@pytest.mark.parametrize(
    ("word", "meant"),
    [("trian", "train"), ("backtst", "backtest"), ("DOCTOR", "doctor"), ("walkforward", "walk-forward")],
)
def test_an_unknown_command_is_answered_with_the_nearest(word: str, meant: str) -> None:
    result = CliRunner().invoke(cli, [word])
    assert result.exit_code == 2
    assert f"did you mean {meant}" in result.output


def test_a_word_like_nothing_is_answered_with_all_commands() -> None:
    result = CliRunner().invoke(cli, ["zzzzqqqq"])
    assert result.exit_code == 2
    assert all(name in result.output for name in COMMANDS)


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_h_is_help_for_every_script(script: str) -> None:
    answer = run_script(script, "-h", cwd=ROOT)
    assert answer.code == 0
    assert answer.out.startswith("Usage:")
    assert "RANGE" not in answer.out


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_under_novosky_has_plain_kinds_and_examples_as_called(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "-h"], terminal_width=200)
    assert result.exit_code == 0, result.output
    assert not re.search(r"\b(INTEGER|FLOAT|TEXT) RANGE\b|x>", result.output)
    assert not re.search(r"python \S+\.py", result.output), "an example calls another program than the one asked"


def test_limits_are_words() -> None:
    result = CliRunner().invoke(cli, ["onboarding", "--profile", "9"])
    assert "9 is not in the range 1 to 5" in result.output
    result = CliRunner().invoke(cli, ["backtest", "--balance", "0"])
    assert "0.0 is not in the range above 0" in result.output


@pytest.mark.parametrize("script", sorted(installation.SCRIPTS))
def test_every_script_is_named_as_it_is_called_without_a_checkout(script: str) -> None:
    called = f"novosky {installation.SCRIPTS[script]}"
    assert as_installed(f"run `python {script} --all`", checkout=False) == f"run `{called} --all`"
    assert as_installed(f"run `python {script} --all`", checkout=True) == f"run `python {script} --all`"
    assert installation.SCRIPTS[script].split()[0] in COMMANDS
    assert (ROOT / script).is_file()


def test_a_name_that_only_begins_like_a_script_is_left_alone() -> None:
    assert as_installed("logs/trading.python", checkout=False) == "logs/trading.python"


# -- settings that come with the program


def test_an_empty_folder_is_given_the_shipped_settings_once(tmp_path: Path) -> None:
    config, ml_config = tmp_path / "config.json", tmp_path / "ml_config.json"
    assert provide_settings(config, ml_config, named=False) == (config, ml_config)
    assert load_settings(config) == load_settings(ROOT / "config.json")
    config.write_text("mine", encoding="utf-8")
    ml_config.unlink()
    assert provide_settings(config, ml_config, named=False) == (ml_config,)
    assert config.read_text(encoding="utf-8") == "mine"


def test_a_file_that_was_named_is_never_made_up(tmp_path: Path) -> None:
    assert provide_settings(tmp_path / "a.json", tmp_path / "b.json", named=True) == ()
    done = novosky("onboarding", "--profile", 3, "--non-interactive", "--config", "none.json", cwd=tmp_path)
    assert done.returncode == SettingsError.exit_code
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_among_installed_packages(tmp_path: Path) -> None:
    place = tmp_path / "lib" / "site-packages"
    place.mkdir(parents=True)
    with pytest.raises(UsageError, match="change to a folder of your own"):
        provide_settings(place / "config.json", place / "ml_config.json", named=False)


# -- models without what writes ONNX


@pytest.fixture
def without_onnx(desk: Desk, tmp_path: Path) -> Path:
    """The desk's set as a runtime installation would have trained it."""
    models = tmp_path / "models"
    shutil.copytree(desk.models, models)
    content = json.loads((models / "model_compat.json").read_text(encoding="utf-8"))
    for files in (SIGNAL_FILES, POSITION_FILES):
        for name in MEMBERS:
            copy = files.member(name, "onnx")
            (models / copy).unlink()
            del content["artifacts"][copy]
    (models / "model_compat.json").write_text(json.dumps(content), encoding="utf-8")
    return models


def test_a_set_without_onnx_copies_is_whole_and_serves_the_same(desk: Desk, without_onnx: Path) -> None:
    manifest, ml_settings = read_manifest(without_onnx), load_ml_settings(desk.ml_config)
    for stage in STAGE_ORDER:
        require_stage(without_onnx, manifest, stage)
    ours = load_models(without_onnx, load_settings(desk.config), ml_settings)
    theirs = load_models(desk.models, load_settings(desk.config), ml_settings)
    assert ours.signal.sources == theirs.signal.sources
    (without_onnx / "ensemble_rf_calibrated.pkl").unlink()
    assert load_undisturbed(without_onnx, ml_settings, EnsemblePredictor).sources["rf"] == "ensemble_rf.pkl"


def test_a_set_without_a_member_is_not_whole(without_onnx: Path) -> None:
    content = json.loads((without_onnx / "model_compat.json").read_text(encoding="utf-8"))
    del content["artifacts"]["ensemble_rf.pkl"]
    (without_onnx / "model_compat.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match=r"ensemble_rf\.pkl"):
        require_stage(without_onnx, read_manifest(without_onnx), "signal")


def no_exporters() -> tuple[str, ...]:
    return ("onnx", "skl2onnx")


def test_a_missing_exporter_is_noticed_before_training(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml.ensemble.onnx_export.missing_exporters", no_exporters)
    models = tmp_path / "models"
    flags = ["--data", desk.bars, "--config", desk.config, "--ml-config", desk.ml_config, "--models", models]
    answer = run_script("train_ml_model.py", "--ensemble", *flags, cwd=tmp_path)
    assert answer.code == ModelCompatibilityError.exit_code
    assert "onnx, skl2onnx, not installed here" in answer.err
    assert extra_line("train") in answer.err and "--no-onnx" in answer.err
    assert not models.exists()


def test_installed_exporters_are_no_obstacle() -> None:
    require_exporters(())


def test_the_line_that_installs_an_extra_works_where_the_program_is() -> None:
    assert extra_line("train", checkout=False) == 'pip install "novosky[train]"'
    lock = extra_line("train", checkout=True).split()[-1]
    assert "\nonnx==" in (ROOT / lock).read_text(encoding="utf-8")


# -- the starter set


@pytest.fixture
def small_starter(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings for small models, and a market small enough for a test."""
    for file in (desk.config, desk.ml_config):
        shutil.copy(file, tmp_path / file.name)
    monkeypatch.setattr(starter_command, "TRAIN_BARS", 6_000)
    monkeypatch.setattr(starter_command, "HELD_BACK_BARS", 500)
    monkeypatch.setattr(installation, "missing_exporters", no_exporters)
    monkeypatch.delenv("NOVOSKY_HUB", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def starter(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["models", "starter", *map(str, arguments)])
    code = result.exception.exit_code if hasattr(result.exception, "exit_code") else result.exit_code
    return code, result.output + str(result.exception or "")


def test_a_starter_set_is_labelled_wherever_it_is_used(small_starter: Path) -> None:
    code, out = starter()
    assert code == 0, out
    assert "SYNTHETIC" in out and "without ONNX copies" in out
    ml_settings = load_ml_settings(small_starter / "ml_config.json")
    models = load_models(small_starter / "models", load_settings(small_starter / "config.json"), ml_settings)
    assert models.synthetic == "planted"
    assert models.description.startswith("SYNTHETIC")
    assert not list((small_starter / "models").glob("*.onnx"))
    refuse_practice_models(models, real=False)
    with pytest.raises(ModelError, match="never trade real money"):
        refuse_practice_models(models, real=True)
    assert re.search(r"trading\.py --paper --replay data/SYNTHETIC_BTCUSD_M15\.parquet --days \d+", out)
    code, out = starter()
    assert (code, "--replace" in out) == (UsageError.exit_code, True)


def test_two_sources_at_once_are_refused(small_starter: Path) -> None:
    code, out = starter("--data", "bars.parquet", "--hub", "hub")
    assert (code, "give one of them" in out) == (UsageError.exit_code, True)


def test_a_named_hub_that_is_not_there_is_an_error_and_no_invented_set(
    small_starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVOSKY_HUB", str(small_starter / "nowhere"))
    code, out = starter()
    assert code != 0
    assert not (small_starter / "models").exists()
    assert "SYNTHETIC" not in out


def test_too_few_given_bars_are_refused(small_starter: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter_command, "HELD_BACK_BARS", 1_000_000)
    code, out = starter("--data", desk.bars)
    assert code == 4
    assert "held back" in out


# -- paper trading right after a demo


@pytest.mark.parametrize(
    ("trained", "named", "demo", "taken"),
    [
        (False, False, True, True),
        (True, False, True, False),
        (False, True, True, False),
        (False, False, False, False),
    ],
)
def test_paper_takes_the_demos_files_only_where_there_are_none(
    tmp_path: Path, trained: bool, named: bool, demo: bool, taken: bool
) -> None:
    own = Deployment(tmp_path / "models", tmp_path / "config.json", tmp_path / "ml_config.json")
    left = tmp_path / "demo"
    for folder, wanted in ((own.models, trained), (left / "models", demo)):
        if wanted:
            folder.mkdir(parents=True)
            (folder / "model_compat.json").write_text("{}", encoding="utf-8")
    if demo:
        for name in ("config.json", "ml_config.json"):
            (left / name).write_text("{}", encoding="utf-8")
    choice = paper_files(own, named=named, demo=left)
    assert choice.files.models == (left / "models" if taken else own.models)
    assert (choice.note is not None) is taken
    if choice.note is not None:
        assert "SYNTHETIC" in choice.note and "--models" in choice.note


def test_the_shipped_text_is_the_checkouts() -> None:
    for name in installation.SHIPPED:
        assert shipped_text(name) == (ROOT / name).read_text(encoding="utf-8")
