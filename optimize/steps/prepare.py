"""The steps before training: check that the run can end well, choose profile, fix bars, explain the incumbent."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from ml.sets.deployment import Deployment
from ml.sets.model_set import lock_model_set
from novosky.errors import DataError, ModelError, SettingsError, UsageError
from novosky.files import write_json
from novosky.guarded_json import read_json_file
from novosky.market.timeframe import DAY_SECONDS, Timeframe
from novosky.settings import MlSettings, Settings
from novosky.settings.profile_application import apply_confidence, apply_profile, labels_of
from novosky.settings.profiles import profile_named
from novosky.settings.sync import STRICT_VARIABLE
from optimize.state.git import check_tree
from optimize.state.run import ANALYSIS, WINDOW, OptimizeRun, Window
from optimize.state.workspace import LOCK_WAIT_SECONDS, copy_deployment, is_trained, is_writable
from optimize.steps.judge import common_start

SHAP = "shap.json"
STALE_DAYS = 8


def preflight(run: OptimizeRun) -> str:
    """Find out now what would stop the run hours later, and keep a copy of what is in use."""
    plan, live = run.plan, run.live
    run.settings_of(live)
    if plan.retrain:
        from ml.report.shap_analysis import require_shap
        from ml.tune.storage import parse_storage, require_optuna

        require_optuna()
        if plan.storage is not None:
            parse_storage(plan.storage)
        if plan.explain:
            require_shap()
    elif not is_trained(live):
        raise ModelError(f"--skip-retrain needs models, and {live.models} holds no set; train or pull one first")
    if not Path(plan.data).is_file() and not plan.download:
        raise DataError(f"{plan.data} does not exist; download it with scripts/download_data.py, or name it: --data")
    for folder in (live.models.resolve().parent, run.root):
        if not is_writable(folder):
            raise UsageError(f"{folder} is not writable, so nothing could be put in place; mend the permissions")
    if plan.commit:
        check_tree(run.root, allow_dirty=plan.allow_dirty)
    if plan.push:
        from optimize.steps.publish import check_publishable

        check_publishable(run.environment, run.root)
    drifted = check_sync(run)
    # A pull in between would leave a mixture.
    with lock_model_set(live.models, wait_seconds=LOCK_WAIT_SECONDS):
        copy_deployment(live, run.workspace.incumbent)
    note = "incumbent kept aside" if is_trained(live) else "no incumbent: this is the first set"
    return note + (f"; out of step in {drifted} place(s), see scripts/config_sync.py --check" if drifted else "")


def check_sync(run: OptimizeRun) -> int:
    """Return in how many places settings, code and models have drifted apart; refuse them where strictness is asked.

    Raises
    ------
    SettingsError
        Something drifted and the environment asks for strictness.
    """
    from ml.config_sync import sync_findings

    models = run.live.models if is_trained(run.live) else None
    findings = [
        finding.text for finding in sync_findings(run.live.config, run.live.ml_config, models) if finding.blocks
    ]
    if findings and run.environment.get(STRICT_VARIABLE, "") == "1":
        raise SettingsError(
            f"{STRICT_VARIABLE}=1 and the configuration has drifted: {'; '.join(findings)}; "
            "see scripts/config_sync.py --check"
        )
    return len(findings)


def choose_profile(run: OptimizeRun) -> str:
    """Bring the incumbent's settings under the profile; the search and the sweep begin from there."""
    profile = profile_named(run.plan.profile)
    source, target = run.workspace.incumbent, run.workspace.start
    content = _content(source.config)
    scale = Settings.model_validate_json(json.dumps(content), strict=True).risk_profile.scale
    ml_config = apply_confidence(_content(source.ml_config), profile, scale)
    config = apply_profile(content, profile, labels_of(ml_config))
    Settings.model_validate_json(json.dumps(config), strict=True)
    prediction = MlSettings.model_validate_json(json.dumps(ml_config), strict=True).prediction
    write_json(target.config, config)
    write_json(target.ml_config, ml_config)
    return (
        f"{profile.name}: {config['dynamic_position_sizing']['risk_percent']:g} % risk, {prediction.told}, "
        f"weekly pause {config['max_weekly_drawdown_pct']:g} %, hard halt {config['max_total_drawdown_pct']:g} %"
    )


def keep_settings(run: OptimizeRun) -> str:
    """Begin from the incumbent's settings as they are; the profile is the one they name."""
    source, target = run.workspace.incumbent, run.workspace.start
    write_json(target.config, _content(source.config))
    write_json(target.ml_config, _content(source.ml_config))
    return f"settings as they are, profile {run.plan.profile}"


def fix_window(run: OptimizeRun) -> str:
    """Bring the bars up to date where asked, and fix which of them serve for what."""
    import pandas as pd

    from backtest.sweep.run import seen_window
    from ml.sets.compat import hash_bars
    from novosky.data.market_bars import require_bars_of
    from novosky.data.store import load_bars
    from novosky.market.bars import slice_bars

    path = Path(run.plan.data)
    settings = run.settings_of(run.live)[0]
    frame = settings.frame
    bars = _downloaded(run, path, frame) if run.plan.download else load_bars(path, seconds=frame.seconds)
    require_bars_of(bars, path, settings)
    if run.plan.end is not None:
        bars = slice_bars(bars, None, pd.Timestamp(run.plan.end), source=str(path))
    first, end = bars["time"].iloc[0], bars["time"].iloc[-1] + pd.Timedelta(seconds=frame.seconds)
    oos_start = end - timedelta(days=run.plan.oos_days)
    train_start = oos_start - pd.DateOffset(months=run.plan.train_months)
    if run.plan.start is not None:
        train_start = pd.Timestamp(run.plan.start)
        if train_start >= oos_start:
            raise UsageError(f"--start {train_start:%Y-%m-%d} leaves no training before {oos_start:%Y-%m-%d}")
    if first > train_start:
        asked = f"{run.plan.train_months} months of training before the last {run.plan.oos_days} days begin"
        raise DataError(
            f"{path} begins {first:%Y-%m-%d}, but {asked if run.plan.start is None else 'training begins'} "
            f"{train_start:%Y-%m-%d}; download more, or choose --train-months, --start and --oos-days accordingly"
        )
    _, seen = seen_window(oos_start, end, frame)
    # Whole days, so that no day is both chosen on and judged on.
    sweep_end = end if seen == end else seen.floor("D")
    window = Window(
        first_bar=first.isoformat(),
        train_start=train_start.isoformat(),
        oos_start=oos_start.isoformat(),
        sweep_end=sweep_end.isoformat(),
        oos_end=end.isoformat(),
        bars_hash=hash_bars(bars),
        synthetic=bars.attrs.get("synthetic"),
    )
    run.write(WINDOW, asdict(window))
    # Hours of training would only lead to the same answer.
    common_start(run)
    age = (run.now() - end.timestamp()) / DAY_SECONDS
    old = f"; the newest bar is {age:.0f} days old" if age > STALE_DAYS else ""
    return (
        f"training {train_start:%Y-%m-%d} to {oos_start:%Y-%m-%d}, judged to {end:%Y-%m-%d}, "
        f"of which the sweep sees up to {sweep_end:%Y-%m-%d}{old}"
    )


def _downloaded(run: OptimizeRun, path: Path, frame: Timeframe) -> Any:
    from novosky.data.candle_sources import BinanceCandles, BitstampCandles
    from novosky.data.download import download_bars
    from novosky.data.store import load_bars

    if not path.is_file():
        raise DataError(
            f"{path} does not exist, so its venue is unknown; begin it with scripts/download_data.py --source binance"
        )
    label = load_bars(path, seconds=frame.seconds).attrs.get("source", "")
    venue = next((each for each in (BinanceCandles(), BitstampCandles()) if each.label == label), None)
    if venue is None:
        raise DataError(f"{path} comes from {label or 'nowhere known'}, which no download extends; give --no-download")
    return download_bars(
        venue,
        path,
        now=int(run.now()),
        seconds=frame.seconds,
        progress=lambda done, total: run.progress(f"bars from {venue.label}", done, total),
    )


def explain_incumbent(run: OptimizeRun) -> str:
    """Rank the incumbent's features, and drop unprotected ones below the threshold where one is given."""
    files, start, shaped = run.workspace.incumbent, run.workspace.start, run.workspace.shaped
    content = _content(start.ml_config)
    ranked: list[tuple[str, float, bool]] = []
    note = "no models yet to explain" if run.plan.explain else "left out"
    threshold = run.plan.drop_threshold if run.plan.retrain else 0.0
    if is_trained(files) and run.plan.explain:
        try:
            ranked = _ranking(run, files)
            note = "strongest " + ", ".join(f"{name} {share:.1%}" for name, share, _ in ranked[:3])
        except (DataError, UsageError) as error:
            # The models are fine, these bars or this calendar are not theirs.
            if threshold > 0.0 or run.plan.command == ANALYSIS:
                raise
            note = f"not explained: {error}"
    dropped = [name for name, share, protected in ranked if share < threshold and not protected]
    if dropped:
        content["features"] = [name for name in content["features"] if name not in dropped]
        note += f"; below {threshold:g} and not protected: {', '.join(dropped)}"
    MlSettings.model_validate_json(json.dumps(content), strict=True)
    write_json(shaped.config, _content(start.config))
    write_json(shaped.ml_config, content)
    run.write(SHAP, {"ranked_features": [[name, share] for name, share, _ in ranked], "dropped": dropped})
    return note


def _ranking(run: OptimizeRun, files: Deployment) -> list[tuple[str, float, bool]]:
    import pandas as pd

    from ml.report.shap_analysis import explain_signal
    from ml.sets.compat import read_manifest
    from novosky.market.bars import slice_bars

    start = pd.Timestamp(read_manifest(files.models).train_start)
    bars = slice_bars(run.bars, start, None, source=run.plan.data)
    settings, ml_settings = run.settings_of(files)
    summary = explain_signal(
        files.models,
        ml_settings,
        bars,
        settings.frame,
        run.news,
        calendar=settings.instrument.calendar,
        progress=run.progress,
    )
    return [(entry.feature, entry.mean_abs_shap, entry.protected) for entry in summary.ranked_features]


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json_file(path)
    return content
