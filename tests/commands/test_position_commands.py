"""`position_model.enabled` in ml_config.json, as the commands see it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.backtest import backtest
from commands.trade import trade
from ml.sets.ensemble_files import POSITION_FILES
from novosky.data.store import save_bars
from novosky.errors import ModelError
from novosky.settings.ml import MlSettings
from tests.helpers.sets.position_sets import PositionSet, position_ml_settings

WIDE = {"sl_atr_mult": 2.5, "tp_atr_mult": 3.0}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, root: Path, position_set: PositionSet) -> Path:
    """A folder with bars, settings and a trained set of both models."""
    folder = tmp_path_factory.mktemp("office")
    shutil.copytree(position_set.models_dir, folder / "models")
    save_bars(folder / "bars.parquet", position_set.bars)
    config = json.loads((root / "config.json").read_text(encoding="utf-8"))
    config.pop("$schema")
    config["risk_management"] |= WIDE
    (folder / "config.json").write_text(json.dumps(config))
    write_ml_config(folder / "on.json", position_ml_settings())
    write_ml_config(folder / "off.json", position_ml_settings(enabled=False))
    return folder


def write_ml_config(path: Path, settings: MlSettings) -> None:
    path.write_text(json.dumps(settings.model_dump(mode="json", exclude={"schema_reference"})))


def flags(office: Path, ml_config: str, models: Path | None = None) -> list[str]:
    files = {"--config": office / "config.json", "--ml-config": office / ml_config, "--models": models}
    files["--models"] = models or office / "models"
    window = ["--start", "2022-03-03", "--end", "2022-03-05"]
    return [*(str(part) for pair in files.items() for part in pair), *window]


def run_backtest(office: Path, ml_config: str, trades: Path, models: Path | None = None) -> Result:
    data = ["--data", str(office / "bars.parquet"), "--no-chart", "--trades", str(trades)]
    return CliRunner().invoke(backtest, [*flags(office, ml_config, models), *data])


def run_replay(office: Path, ml_config: str, folder: Path, models: Path | None = None) -> Result:
    files: dict[str, Any] = {
        "--replay": office / "bars.parquet",
        "--journal": folder / "journal.sqlite",
        "--trades": folder / "bot.csv",
    }
    given = [str(part) for pair in files.items() for part in pair]
    return CliRunner().invoke(trade, ["--paper", "--fresh", *flags(office, ml_config, models), *given])


def test_backtest_and_replay_write_the_same_trades(office: Path, tmp_path: Path) -> None:
    assert run_backtest(office, "on.json", tmp_path / "on.csv").exit_code == 0
    assert run_replay(office, "on.json", tmp_path).exit_code == 0
    trades = (tmp_path / "on.csv").read_bytes()
    assert (tmp_path / "bot.csv").read_bytes() == trades
    assert b",model," in trades


def test_health_names_the_position_models(office: Path, tmp_path: Path) -> None:
    run_replay(office, "on.json", tmp_path)
    health = CliRunner().invoke(trade, ["--health", "--journal", str(tmp_path / "journal.sqlite")])
    assert "position: rf (calibrated), xgb (calibrated), lgb (calibrated)" in health.stdout


def test_switched_off_nothing_of_it_is_needed(office: Path, tmp_path: Path) -> None:
    models = without_position_models(office, tmp_path)
    assert run_backtest(office, "off.json", tmp_path / "off.csv", models).exit_code == 0
    assert run_backtest(office, "off.json", tmp_path / "whole.csv").exit_code == 0
    assert (tmp_path / "off.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert b",model," not in (tmp_path / "off.csv").read_bytes()


def test_switched_on_without_the_models_names_the_command(office: Path, tmp_path: Path) -> None:
    models = without_position_models(office, tmp_path)
    for result in (
        run_backtest(office, "on.json", tmp_path / "on.csv", models),
        run_replay(office, "on.json", tmp_path, models),
    ):
        assert isinstance(result.exception, ModelError)
        assert "python train_ml_model.py --position" in str(result.exception)
    assert not (tmp_path / "journal.sqlite").exists()


def without_position_models(office: Path, folder: Path) -> Path:
    models = folder / "models"
    models.mkdir()
    for file in (office / "models").iterdir():
        if file.name not in POSITION_FILES.names:
            (models / file.name).write_bytes(file.read_bytes())
    return models
