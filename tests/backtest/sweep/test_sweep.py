"""Sweeps as a whole: the same table whoever makes it, the choice, what it is worth, and the window it may see."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from backtest.run import Prepared, prepare
from backtest.sweep.axes import Design, axes_for, design
from backtest.sweep.inputs import SweepInputs
from backtest.sweep.report import evidence_lines, heatmap, sweep_csv, sweep_dict, sweep_html, table_columns, table_row
from backtest.sweep.rows import FIGURES, RowRunner
from backtest.sweep.run import (
    COMPARED,
    MIN_CHOICE_TRADES,
    SweepOutcome,
    SweepPlan,
    asked_inputs,
    ranking,
    run_sweep,
    seen_window,
    sweep_key,
    unusable_rows,
)
from backtest.sweep.workers import CHUNK_ROWS, all_rows, chunks_of
from engine.inputs.models import Models
from engine.inputs.selectivity import Selectivity
from ml.feature_engineering import warm_up_bars
from novosky.data.synthetic import planted_direction, synthetic_bars
from novosky.errors import LockedError, NetworkError, StorageError, UsageError
from novosky.market.timeframe import USUAL
from novosky.measures.statistics import sharpe_ratio
from novosky.settings import MlSettings, Settings
from novosky.settings.profiles import profile_named
from tests.backtest.walk_forward.walk_examples import example_models, example_settings
from tests.helpers.made_pages import MADE
from tests.helpers.sets.signal_models import ScatteredModel, ScatteredPositionModel

WARM = warm_up_bars(USUAL)
"""Bars before the window."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A plan with the window and the models it runs on."""

    plan: SweepPlan
    prepared: Prepared
    models: Models

    def run(self, **options: Any) -> SweepOutcome:
        return run_sweep(self.plan, self.prepared, self.models, **options)

    def inputs(self) -> SweepInputs:
        plan = self.plan
        axes = axes_for(plan.target, plan.settings, plan.ml_settings, self.models.selectivity)
        drawn = design(axes, plan.settings, plan.ml_settings, plan.configurations, plan.seed)
        return asked_inputs(plan, drawn, self.prepared, self.models)


def scene_of(
    root: Path, kind: Any, bars: int, configurations: int, *, seed: int, position: bool = False, knowing: bool = False
) -> Scene:
    """A market of so many bars after the warm-up, traded at scattered opinions or at its announced sides."""
    market = synthetic_bars(kind, WARM + bars, seed=seed)
    settings = example_settings(root, costs=kind == "planted")
    content = example_models(root, spread=5.0)
    content["position_model"]["enabled"] = position
    ml_settings = MlSettings.model_validate(content)
    models = Models(signal=ScatteredModel(), position=ScatteredPositionModel() if position else None)
    prepared = prepare(market, settings, ml_settings, models.signal, start=market["time"].iloc[WARM])
    if knowing:
        prepared = replace(prepared, signals=replace(prepared.signals, probabilities=announced(prepared, seed)))
    models = replace(models, selectivity=Selectivity.of(prepared.signals.probabilities))
    target = "both" if position else "signal"
    return Scene(SweepPlan(target, settings, ml_settings, configurations, seed=seed), prepared, models)


def announced(prepared: Prepared, seed: int) -> np.ndarray:
    """Probabilities of somebody who trades every surge to its side, with confidences of no meaning.

    On the planted market that is its edge; on the null market, which has the surges too, it is nothing.
    """
    frame = prepared.frame.copy()
    frame.attrs["synthetic"] = "planted"
    side = planted_direction(frame)[prepared.signals.rows]
    trade = np.where(side == 0, 0.3, np.random.default_rng(seed).uniform(0.55, 0.75, len(side)))
    buy = np.select([side > 0, side < 0], [0.9, 0.1], 0.5)
    one = np.stack((1.0 - trade, trade * buy, trade * (1.0 - buy)), axis=1)
    return np.repeat(one[:, np.newaxis, :], 3, axis=1)


@pytest.fixture(scope="module")
def scene(root: Path) -> Scene:
    return scene_of(root, "planted", 4_000, 700, seed=3, position=True)


@pytest.fixture(scope="module")
def alone(scene: Scene) -> SweepOutcome:
    """What one process makes of it."""
    return scene.run()


def same(left: SweepOutcome, right: SweepOutcome) -> None:
    assert sweep_csv(left) == sweep_csv(right)
    assert left.best == right.best
    assert left.overfitting == right.overfitting
    assert left.deflated == right.deflated
    assert left.against_present == right.against_present


def test_two_processes_give_the_bytes_of_one(scene: Scene, alone: SweepOutcome, tmp_path: Path) -> None:
    assert len(chunks_of(len(alone.table))) >= 3
    same(scene.run(folder=tmp_path, jobs=2), alone)
    assert not list(tmp_path.rglob("inputs")), "the shared arrays are gone with the processes"


def test_a_cluster_of_two_workers_gives_the_bytes_of_one_process(
    scene: Scene, alone: SweepOutcome, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("dask.distributed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(root), os.environ.get("PYTHONPATH", ""))))
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", local_directory=str(tmp_path / "dask"), **options) as cluster:
        same(scene.run(folder=tmp_path / "out", scheduler=cluster.scheduler_address), alone)


def test_a_scheduler_that_is_not_there_is_named(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask.distributed")
    monkeypatch.setattr("backtest.sweep.workers._CONNECT_SECONDS", 1)
    with pytest.raises(NetworkError, match=r"tcp://127\.0\.0\.1:9"):
        all_rows(scene.inputs(), tmp_path, scheduler="tcp://127.0.0.1:9")


class StoppedError(Exception):
    """The run was ended from outside."""


def stop_after(chunks: int) -> Callable[[str, int, int], None]:
    heard = []

    def progress(step: str, done: int, total: int) -> None:
        heard.append(step == "configurations" and done > 0)
        if sum(heard) == chunks:
            raise StoppedError

    return progress


def test_a_stopped_sweep_goes_on_where_it_was(scene: Scene, alone: SweepOutcome, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        scene.run(folder=tmp_path, progress=stop_after(1))
    (finished,) = tmp_path.rglob("rows-*.npy")
    written = finished.stat().st_mtime_ns
    steps: list[tuple[str, int, int]] = []
    same(scene.run(folder=tmp_path, progress=lambda *step: steps.append(step)), alone)
    assert finished.stat().st_mtime_ns == written
    assert next(step for step in steps if step[0] == "configurations") == ("configurations", CHUNK_ROWS, 700)


def test_rows_of_other_settings_are_never_taken_for_these(scene: Scene, tmp_path: Path) -> None:
    inputs = scene.inputs()
    assert sweep_key(inputs) == sweep_key(scene.inputs())
    other = scene.inputs()
    other.params["slippage"] += 0.01
    assert sweep_key(other) != sweep_key(inputs)
    changed = replace(inputs, bars=inputs.bars._replace(close=inputs.bars.close + 0.01))
    assert sweep_key(changed) != sweep_key(inputs)


def test_inputs_come_back_from_disk_as_they_were(scene: Scene, tmp_path: Path) -> None:
    inputs = scene.inputs()
    inputs.save(tmp_path)
    loaded = SweepInputs.load(tmp_path)
    assert loaded.content_hash() == inputs.content_hash()
    assert all(array.flags.writeable for _, array in loaded.arrays())


def test_a_damaged_chunk_is_named_and_not_believed(scene: Scene, tmp_path: Path) -> None:
    inputs = scene.inputs()
    inputs = replace(inputs, params=inputs.params[:3], brackets=inputs.brackets[:3], gates=inputs.gates[:3])
    all_rows(inputs, tmp_path)
    (file,) = tmp_path.glob("rows-*.npy")
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(StorageError, match=r"rows-00000000\.npy.*delete it"):
        all_rows(inputs, tmp_path)
    np.save(file, np.zeros((3, 2)))
    with pytest.raises(StorageError, match="does not hold"):
        all_rows(inputs, tmp_path)


def test_a_second_sweep_in_the_folder_is_refused(scene: Scene, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(LockedError, match="another sweep"):
        scene.run(folder=tmp_path)


def test_a_model_that_is_switched_on_must_be_there(scene: Scene) -> None:
    with pytest.raises(UsageError, match=r"position_model\.enabled"):
        run_sweep(scene.plan, scene.prepared, Models(signal=ScatteredModel()))


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_a_sweep_sees_the_first_seventy_percent() -> None:
    start, end = seen_window(day("2024-01-01"), day("2024-04-10"), USUAL)
    assert start == day("2024-01-01")
    assert end == day("2024-03-11")


def test_seventy_percent_are_whole_bars() -> None:
    _, end = seen_window(day("2024-01-01 00:15"), day("2024-04-30 00:00"), USUAL)
    assert end.value % pd.Timedelta(minutes=15).value == 0
    assert end <= day("2024-01-01 00:15") + 0.7 * (day("2024-04-30") - day("2024-01-01 00:15"))


def test_a_window_shorter_than_ninety_days_is_seen_whole() -> None:
    short = day("2024-01-01"), day("2024-03-30 23:45")
    assert seen_window(*short, USUAL) == short
    assert seen_window(day("2024-01-01"), day("2024-03-31"), USUAL)[1] == day("2024-03-04")


def table_of(**columns: Any) -> pd.DataFrame:
    columns[COMPARED] = columns.pop("score")
    rows = len(columns[COMPARED])
    return pd.DataFrame({"trades": [50] * rows, "halted": [False] * rows} | columns)


def test_the_highest_score_is_chosen_and_of_equals_the_earliest() -> None:
    assert ranking(table_of(score=[1.0, 3.0, 2.0, 3.0])).tolist() == [1, 3, 2, 0]


def test_betting_less_wins_nothing(root: Path) -> None:
    """Rows that differ in the risk of a trade alone differ in the score and not in the figure they are ranked by."""
    scene = scene_of(root, "planted", 2_000, 1, seed=3, knowing=True)
    settings, ml_settings = _roomy(scene)
    (risk,) = [axis for axis in axes_for("signal", settings, ml_settings) if axis.title == "risk %"]
    count = len(risk.choices)
    drawn = Design((risk,), np.arange(count, dtype=np.int64)[:, np.newaxis])
    plan = replace(scene.plan, settings=settings, ml_settings=ml_settings)
    figures, _ = RowRunner(asked_inputs(plan, drawn, scene.prepared, scene.models)).run(np.arange(count))
    compared, scores = (figures[:, FIGURES.index(name)] for name in (COMPARED, "score"))
    assert count >= 3
    assert np.ptp(compared) < 1e-3 * compared.max(), "lots are steps, and so nearly the same"
    assert np.ptp(scores) > 0.02 * scores.max()


def _roomy(scene: Scene) -> tuple[Settings, MlSettings]:
    """An account so large that lot steps and the largest lot shape nothing, and the position model off."""
    settings, ml_settings = scene.plan.settings, scene.plan.ml_settings
    sizing = settings.dynamic_position_sizing.model_copy(update={"max_lot": 1e6, "max_risk_per_trade_pct": 20.0})
    broker = settings.broker.model_copy(update={"volume_max": 1e6})
    profile = settings.risk_profile.model_copy(update={"starting_balance_usd": 1e7})
    changed = {"dynamic_position_sizing": sizing, "broker": broker, "risk_profile": profile}
    position = ml_settings.position_model.model_copy(update={"enabled": False})
    return settings.model_copy(update=changed), ml_settings.model_copy(update={"position_model": position})


def test_few_trades_no_score_or_a_halt_are_never_chosen() -> None:
    trades = [MIN_CHOICE_TRADES, MIN_CHOICE_TRADES - 1, 90, 90]
    table = table_of(score=[1.0, 9.0, np.nan, 8.0], trades=trades, halted=[False, False, False, True])
    assert ranking(table).tolist() == [0]


def test_too_few_trades_are_said_and_nothing_is_chosen(root: Path) -> None:
    short = scene_of(root, "planted", 60, 20, seed=3)
    outcome = short.run()
    assert outcome.table["trades"].max() < MIN_CHOICE_TRADES
    assert (outcome.best_row, outcome.best, outcome.deflated, outcome.overfitting) == (None, None, None, None)
    assert outcome.note is not None
    assert outcome.note.startswith("too few trades")
    assert ("best", outcome.note) in evidence_lines(outcome)
    assert sweep_dict(outcome)["best_figures"] is None
    assert outcome.note in sweep_html(outcome, MADE)


def test_the_outcome_names_its_best_row_by_file_and_key(alone: SweepOutcome, scene: Scene) -> None:
    assert alone.best_row is not None
    assert alone.best is not None
    line = alone.table.iloc[alone.best_row]
    assert line[COMPARED] == alone.table.loc[ranking(alone.table), COMPARED].max()
    assert "ml_config.prediction.confidence_threshold" not in alone.best, "a share, for the next training has another"
    assert alone.best["ml_config.prediction.confidence_share"] == pytest.approx(line["confidence_share"], abs=1e-4)
    assert scene.models.selectivity is not None
    assert scene.models.selectivity.confidence(line["confidence_share"]) == line["confidence_threshold"]
    assert alone.best["config.risk_management.sl_atr_mult"] == line["sl_atr_mult"]
    present = alone.table.iloc[0]
    assert present["confidence_threshold"] == scene.plan.ml_settings.prediction.confidence_threshold
    assert present["sl_atr_mult"] == scene.plan.settings.risk_management.sl_atr_mult


def test_the_absolute_scale_keeps_to_the_profiles_probabilities(scene: Scene) -> None:
    profile = scene.plan.settings.risk_profile.model_copy(update={"scale": "absolute"})
    settings = scene.plan.settings.model_copy(update={"risk_profile": profile})
    plan = replace(scene.plan, settings=settings, configurations=40)
    outcome = run_sweep(plan, scene.prepared, replace(scene.models, selectivity=None))
    least, most = profile_named(profile.name).confidence
    assert outcome.table["confidence_threshold"].iloc[1:].between(least, most).all()
    assert "confidence_share" not in outcome.table


def test_a_share_that_the_settings_state_is_what_the_present_row_trades(scene: Scene) -> None:
    prediction = scene.plan.ml_settings.prediction.model_copy(update={"confidence_share": 3.0})
    plan = replace(
        scene.plan, configurations=2, ml_settings=scene.plan.ml_settings.model_copy(update={"prediction": prediction})
    )
    outcome = run_sweep(plan, scene.prepared, scene.models)
    assert scene.models.selectivity is not None
    assert outcome.table["confidence_threshold"].iloc[0] == scene.models.selectivity.confidence(3.0)
    assert outcome.table["trades"].iloc[0] > 0


def test_shares_without_knowing_how_sure_the_models_were_are_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="train them anew, or set it to absolute"):
        run_sweep(scene.plan, scene.prepared, replace(scene.models, selectivity=None))


def test_the_daily_returns_are_those_of_the_rows(alone: SweepOutcome) -> None:
    assert alone.best_row is not None
    assert alone.best_daily is not None
    for daily, row in ((alone.best_daily, alone.best_row), (alone.present_daily, 0)):
        assert np.prod(1.0 + daily) - 1.0 == pytest.approx(alone.table["total_return"].iloc[row])
        # Six weeks are too short for a yearly figure, in the table as elsewhere.
        assert sharpe_ratio(daily) is None
        assert math.isnan(alone.table["sharpe"].iloc[row])
    assert alone.against_present is not None
    assert alone.against_present.days == len(alone.present_daily) == len(alone.best_daily)


def test_earlier_trials_count_in_the_deflated_ratio(scene: Scene, alone: SweepOutcome, tmp_path: Path) -> None:
    later = replace(scene, plan=replace(scene.plan, earlier_trials=5_000)).run()
    assert later.deflated is not None
    assert alone.deflated is not None
    assert (later.trials, alone.trials) == (5_700, 700)
    assert later.deflated.deflated < alone.deflated.deflated
    assert sweep_csv(later) == sweep_csv(alone)


def test_heatmaps_show_the_median_of_the_rows_in_a_field(alone: SweepOutcome) -> None:
    axes, picks = alone.design.axes, alone.design.picks
    across, up = (
        next(at for at, axis in enumerate(axes) if axis.keys[0].name == name) for name in ("sl_atr_mult", "tp_atr_mult")
    )
    field = heatmap(alone, across, up)["data"][0]
    assert field["x"] == [f"{value:g}" for (value,) in axes[across].choices]
    chosen = alone.table[COMPARED][(picks[:, across] == 1) & (picks[:, up] == 2)]
    assert field["z"][2][1] == pytest.approx(chosen.median(), abs=1e-4)


def test_the_page_needs_no_network_and_shows_the_present_row_and_the_best(alone: SweepOutcome) -> None:
    page = sweep_html(replace(alone, labels=("SYNTHETIC DATA (planted market)",)), MADE)
    assert "default-src 'none'" in page
    assert "SYNTHETIC DATA" in page
    assert page.count('<div id="map') == 6
    for row in (0, int(ranking(alone.table)[0])):
        assert "".join(f"<td>{cell}</td>" for cell in table_row(alone, row)) in page
    assert len(table_row(alone, 0)) == len(table_columns(alone))


def test_unusable_rows_are_counted_by_their_first_reason(alone: SweepOutcome) -> None:
    table = pd.DataFrame(
        {
            "trades": [0, 0, 29, 30, 400, 31],
            COMPARED: [math.nan, math.nan, 2.0, 1.0, 5.0, math.nan],
            "halted": [False, True, True, False, True, False],
        }
    )
    assert unusable_rows(table) == {"no trade": 2, "fewer than 30 trades": 1, "hard halt": 1, "no score": 1}
    assert ranking(table).tolist() == [3]
    left_out = sum(unusable_rows(alone.table).values())
    assert left_out + len(ranking(alone.table)) == len(alone.table)
    said = dict(evidence_lines(replace(alone, table=alone.table.assign(halted=True), best_row=None, note="none")))
    assert said["unusable"].startswith(f"{len(alone.table):,} of {len(alone.table):,} configurations: ")
    assert "hard halt" in said["unusable"]


def test_the_json_holds_no_unknown_as_a_number(alone: SweepOutcome) -> None:
    import json

    content = json.loads(json.dumps(sweep_dict(alone), allow_nan=False))
    assert content["best_figures"]["row"] == alone.best_row
    assert content["present_figures"]["confidence_asian"] is None
    assert content["overfitting"]["configurations"] <= len(alone.table)
    assert content["top"][0][COMPARED] == content["best_figures"][COMPARED]


def test_choosing_on_the_null_market_is_overfitting_and_deflates_to_nothing(root: Path) -> None:
    chances = []
    for seed in range(1, 9):
        outcome = scene_of(root, "null", 8_500, 120, seed=seed, knowing=True).run()
        assert outcome.overfitting is not None
        assert outcome.deflated is not None
        print(f"null {seed}: PBO {outcome.overfitting.probability:.2f}, deflated {outcome.deflated.deflated:.2f}")
        assert outcome.deflated.deflated < 0.95
        chances.append(outcome.overfitting.probability)
    # One market says little: their spread is about 0.25, that of the mean of eight 0.09.
    assert np.mean(chances) == pytest.approx(0.5, abs=0.2)


def test_choosing_on_the_planted_market_is_worth_something(root: Path) -> None:
    outcome = scene_of(root, "planted", 35_040, 120, seed=3, knowing=True).run()
    assert outcome.overfitting is not None
    assert outcome.deflated is not None
    print(f"planted: PBO {outcome.overfitting.probability:.2f}, deflated {outcome.deflated.deflated:.3f}")
    assert outcome.overfitting.probability < 0.1
    assert outcome.deflated.deflated > 0.95
