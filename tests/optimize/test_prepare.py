"""Which bars serve for what, and which settings a run may leave with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from backtest.sweep.axes import axes_for
from backtest.sweep.run import CONFIDENCE_SHARE
from ml.feature_engineering import get_feature_names
from ml.hub.signing import create_keys
from ml.sets.deployment import Deployment
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, StorageError
from novosky.settings import load_ml_settings, load_settings
from novosky.settings.overrides import AccountFlags
from novosky.settings.profiles import PROFILES, Profile
from optimize.history.optimize_log import tried_before
from optimize.state.run import OptimizeRun, Plan
from optimize.state.workspace import Workspace
from optimize.steps.prepare import choose_profile, fix_window
from optimize.steps.promote import tried
from optimize.steps.publish import check_publishable
from optimize.steps.sweep import SWEEP, apply_best
from optimize.steps.train import LEARNED, TUNING

ROOT = Path(__file__).resolve().parents[2]
DAYS = 260
LATE = 1_900_000_000.0


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars whose last day is not whole."""
    path = tmp_path_factory.mktemp("bars") / "bars.parquet"
    save_bars(path, synthetic_bars("planted", DAYS * 96 + 17, seed=3))
    return path


def run_in(folder: Path, data: Path, **plan: Any) -> OptimizeRun:
    told = Plan(
        command="weekly_optimize",
        profile="balanced",
        data=str(data),
        calendar=None,
        start=None,
        end=None,
        oos_days=120,
        train_months=3,
        trials=0,
        folds=4,
        configurations=0,
        drop_threshold=0.0,
        retrain=True,
        explain=True,
        min_improvement=None,
        iteration=1,
        commit=False,
        push=False,
        allow_dirty=False,
        download=False,
        storage=None,
        scheduler=None,
        jobs=1,
        seed=7,
        account=AccountFlags(),
    )
    live = Deployment(folder / "models", folder / "config.json", folder / "ml_config.json")
    for settings in (live.config, live.ml_config):
        if not settings.exists():
            shutil.copy(ROOT / settings.name, settings)
    workspace = Workspace(folder / "run")
    return OptimizeRun(
        "run-20300101-000000",
        "2030-01-01T00:00:00+00:00",
        replace(told, **plan),
        live,
        workspace,
        now=lambda: LATE,
        environment={},
        progress=lambda what, done, total: None,
    )


@pytest.mark.parametrize("days", [90, 91, 100, 120, 140])
def test_the_sweep_never_sees_the_last_thirty_percent(bars: Path, tmp_path: Path, days: int) -> None:
    run = run_in(tmp_path, bars, oos_days=days)
    fix_window(run)
    start, swept, end = (
        pd.Timestamp(moment) for moment in (run.window.oos_start, run.window.sweep_end, run.window.oos_end)
    )
    assert end - start == pd.Timedelta(days=days)
    assert (swept - start) / (end - start) <= 0.7
    assert (swept - start) / (end - start) > 0.7 - 1.0 / days
    assert swept == swept.normalize(), "no day is both chosen on and judged on"


@pytest.mark.parametrize("days", [30, 60, 89])
def test_a_window_under_ninety_days_is_swept_whole(bars: Path, tmp_path: Path, days: int) -> None:
    run = run_in(tmp_path, bars, oos_days=days)
    fix_window(run)
    assert run.window.sweep_end == run.window.oos_end


def test_training_ends_where_judging_begins(bars: Path, tmp_path: Path) -> None:
    run = run_in(tmp_path, bars)
    fix_window(run)
    times = run.training_bars["time"]
    assert times.iloc[0] == pd.Timestamp(run.window.train_start)
    assert times.iloc[-1] == pd.Timestamp(run.window.oos_start) - pd.Timedelta(minutes=15)
    assert run.bars["time"].iloc[-1] == pd.Timestamp(run.window.oos_end) - pd.Timedelta(minutes=15)
    assert run.training_bars.attrs["synthetic"] == run.window.synthetic == "planted"


def test_an_end_leaves_newer_bars_out(bars: Path, tmp_path: Path) -> None:
    run = run_in(tmp_path, bars, end="2022-08-01T00:00:00+00:00", start="2022-01-20T00:00:00+00:00")
    note = fix_window(run)
    assert run.window.oos_end == "2022-08-01T00:00:00+00:00"
    assert run.window.train_start == "2022-01-20T00:00:00+00:00"
    assert "the newest bar is" in note


def test_bars_that_come_later_change_nothing_and_changed_ones_stop_the_run(bars: Path, tmp_path: Path) -> None:
    market = synthetic_bars("planted", DAYS * 96 + 17, seed=3)
    data = tmp_path / "bars.parquet"
    early = market.iloc[:-500]
    early.attrs.update(market.attrs)
    save_bars(data, early)
    run = run_in(tmp_path, data)
    fix_window(run)
    save_bars(data, market)
    again = run_in(tmp_path, data)
    assert len(again.bars) == len(market) - 500
    market.loc[100, "volume"] += 1.0
    save_bars(data, market)
    with pytest.raises(DataError, match="no longer holds the bars this run began with"):
        _ = run_in(tmp_path, data).bars


def laid_out(run: OptimizeRun, root: Path, config: dict[str, Any], ml_config: dict[str, Any]) -> None:
    """Write the checkout's settings with changes as the incumbent's and the trained ones."""
    for place in (run.workspace.incumbent, run.workspace.trained):
        for path, name, changes in (
            (place.config, "config.json", config),
            (place.ml_config, "ml_config.json", ml_config),
        ):
            content = json.loads((root / name).read_text(encoding="utf-8"))
            content.pop("$schema")
            for key, change in changes.items():
                content[key] = {**content[key], **change} if isinstance(change, dict) else change
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content), encoding="utf-8")


LIMITS = {"max_weekly_drawdown_pct": 90.0, "max_total_drawdown_pct": 90.0}
RANGE = {"risk_management": {"atr_mult_range": None}}


@pytest.mark.parametrize("scale", ["absolute", "selectivity"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_profile_s_limits_win_over_the_sweep_s_choice(
    root: Path, tmp_path: Path, bars: Path, profile: Profile, scale: str
) -> None:
    run = run_in(tmp_path, bars, profile=profile.name)
    laid_out(run, root, LIMITS | RANGE | {"risk_profile": {"scale": scale}}, {})
    # The shipped labels are three ATR.
    nearest, farthest = profile.atr_mult if scale == "absolute" else (2.0, 4.0)
    chosen = {
        "config.dynamic_position_sizing.risk_percent": 50.0,
        "config.risk_management.sl_atr_mult": 9.0,
        "config.risk_management.tp_atr_mult": 0.1,
        "config.adx_filter.enabled": True,
        ("ml_config.prediction.confidence_threshold" if scale == "absolute" else CONFIDENCE_SHARE): 0.2,
        "ml_config.prediction.min_probability_diff": 0.05,
    }
    run.write(SWEEP, {"configurations": 6, "values": chosen, "pbo": None})
    apply_best(run)
    settings = load_settings(run.workspace.challenger.config)
    ml_settings = load_ml_settings(run.workspace.challenger.ml_config)
    assert settings.risk_profile.name == profile.name
    assert settings.dynamic_position_sizing.risk_percent == profile.risk_percent[1]
    assert settings.risk_management.sl_atr_mult == farthest
    assert settings.risk_management.tp_atr_mult == nearest
    assert settings.max_weekly_drawdown_pct <= profile.max_weekly_drawdown_pct
    assert settings.max_total_drawdown_pct <= profile.max_total_drawdown_pct
    if scale == "absolute":
        assert ml_settings.prediction.confidence_threshold == profile.confidence[0]
        assert ml_settings.prediction.confidence_share is None
    else:
        assert ml_settings.prediction.confidence_share == profile.shares[0]
    assert ml_settings.prediction.min_probability_diff == 0.05
    assert settings.adx_filter.enabled


@pytest.mark.parametrize("scale", ["absolute", "selectivity"])
@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_sweep_begins_inside_the_profile_and_no_axis_leaves_it(
    root: Path, tmp_path: Path, bars: Path, profile: Profile, scale: str
) -> None:
    run = run_in(tmp_path, bars, profile=profile.name)
    laid_out(
        run,
        root,
        LIMITS | RANGE | {"risk_profile": {"scale": scale}},
        {"prediction": {"confidence_threshold": 0.3}},
    )
    bracket = profile.atr_mult if scale == "absolute" else (2.0, 4.0)
    said = choose_profile(run)
    assert ("confidence" if scale == "absolute" else f"the surest {profile.selectivity:g} % of bars") in said
    settings, ml_settings = load_settings(run.workspace.start.config), load_ml_settings(run.workspace.start.ml_config)
    ranges = {
        "confidence_threshold": profile.confidence,
        "risk_percent": profile.risk_percent,
        "sl_atr_mult": bracket,
        "tp_atr_mult": bracket,
    }
    named = {axis.keys[0].name: axis for axis in axes_for("signal", settings, ml_settings)}
    for name, (least, most) in ranges.items():
        values = [choice[0] for choice in named[name].choices]
        assert all(isinstance(value, float) and least <= value <= most for value in values), name


def test_a_loop_leaves_the_person_s_settings_alone(root: Path, tmp_path: Path, bars: Path) -> None:
    run = run_in(tmp_path, bars, command="optimize_loop")
    laid_out(run, root, {"max_consecutive_losses": 2}, {"prediction": {"confidence_threshold": 0.41}})
    run.write(SWEEP, {"configurations": 0, "values": {}, "pbo": None})
    assert apply_best(run) == "settings stay as searched"
    challenger, trained = run.workspace.challenger, run.workspace.trained
    assert json.loads(challenger.config.read_text()) == json.loads(trained.config.read_text())
    assert load_ml_settings(challenger.ml_config).features == tuple(get_feature_names())


def test_everything_ever_tried_is_counted(tmp_path: Path, bars: Path) -> None:
    log = tmp_path / "optimize_log.json"
    assert tried_before(log) == 0
    entries = [{"evidence": {"configurations_tried": 120}}, {"evidence": {"configurations_tried": None}}, {}]
    log.write_text(json.dumps([*entries, {"evidence": {"configurations_tried": 3}}]))
    assert tried_before(log) == 123
    run = run_in(tmp_path, bars)
    run.write(TUNING, {"trials": 20})
    run.write(LEARNED, {"position_trials": 5})
    run.write(SWEEP, {"configurations": 2_000})
    assert tried(run) == 2_025


def test_a_named_hub_that_is_not_there_is_noticed_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_keys(tmp_path)
    monkeypatch.chdir(tmp_path)
    keys = {"NOVOSKY_HUB_PRIVATE_KEY": str(tmp_path / "hub.key")}
    check_publishable(keys, tmp_path)
    with pytest.raises(StorageError, match="there is no hub"):
        check_publishable(keys | {"NOVOSKY_HUB": str(tmp_path / "share")}, tmp_path)
