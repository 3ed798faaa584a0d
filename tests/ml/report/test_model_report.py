"""The model report: calibration in and out of sample, drift, its files, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects
import pytest

from ml.ensemble.predictor import EnsemblePredictor
from ml.feature_engineering import PROTECTED_FEATURES, add_all_features
from ml.labels.barrier import triple_barrier
from ml.report.figures import CLASSES, MODELS, ModelReport
from ml.report.measure import MIN_ROWS, build_report
from ml.report.page import model_page, psi_figure, reliability_figure
from ml.sets.compat import read_manifest, write_manifest
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import OUT_OF_FOLD_NAME, STAGE_FILES
from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, ModelCompatibilityError, ModelError, UsageError
from novosky.market.timeframe import USUAL
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import LATER_BARS, Desk
from tests.helpers.made_pages import MADE, MADE_TEXT, without_moment
from tests.helpers.sets.position_sets import PositionSet
from tests.helpers.sets.signal_sets import TRAIN_BARS, runtime_settings

Command = Callable[..., Answer]
BAR = pd.Timedelta(minutes=15)


@pytest.fixture(scope="module")
def ml_settings(desk: Desk) -> MlSettings:
    return load_ml_settings(desk.ml_config)


@pytest.fixture(scope="module")
def settings(desk: Desk) -> Settings:
    return load_settings(desk.config)


@pytest.fixture(scope="module")
def bars(desk: Desk) -> pd.DataFrame:
    """The training window and the bars after it."""
    return load_bars(desk.bars)


@pytest.fixture(scope="module")
def report(desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame) -> ModelReport:
    return build_report(desk.models, settings, ml_settings, bars)


@pytest.fixture(scope="module")
def cutoff(desk: Desk) -> pd.Timestamp:
    return read_manifest(desk.models).train_cutoff


@pytest.fixture
def command(desk: Desk, tmp_path: Path) -> Command:
    """Run the command at the desk; a later flag overrides an earlier one."""

    def run(*flags: object) -> Answer:
        return run_script("scripts/model_report.py", *desk.flags, "--data", desk.bars, *flags, cwd=tmp_path)

    return run


def moment(text: str | None) -> pd.Timestamp:
    assert text is not None
    return pd.Timestamp(text)


def numbers(value: object, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a JSON value with its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from numbers(inner, f"{place}[{at}]")
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield place, value


def read_strictly(file: Path) -> Any:
    """Read JSON that holds no NaN and no infinity."""

    def refuse(word: str) -> float:
        raise AssertionError(f"the file holds {word}")

    return json.loads(file.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_training_window_is_judged_out_of_fold_never_in_sample(
    report: ModelReport, desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    with np.load(desk.models / OUT_OF_FOLD_NAME) as stored:
        times, labels, probabilities = stored["time"], stored["label"], stored["probabilities"].astype(np.float64)
    assert report.training.rows == len(times)
    every = np.arange(len(labels))
    for at, name in enumerate(("rf", "xgb", "lgb")):
        loss = -np.log(probabilities[every, at, labels]).mean()
        assert report.training.models[name].log_loss == pytest.approx(loss, rel=1e-9)
    out_of_fold = -np.log(probabilities.mean(axis=1)[every, labels]).mean()
    assert report.training.models["ensemble"].log_loss == pytest.approx(out_of_fold, rel=1e-9)

    rows = np.searchsorted(bars["time"].astype("datetime64[s, UTC]").astype("int64").to_numpy(), times)
    features = add_all_features(bars)[list(ml_settings.features)].to_numpy()[rows]
    served = load_undisturbed(desk.models, ml_settings, EnsemblePredictor).predict_proba(features).mean(axis=1)
    assert -np.log(served[every, labels]).mean() < out_of_fold - 0.02, "in sample the models look better"


def test_the_live_window_is_what_the_served_models_say_of_bars_after_the_cutoff(
    report: ModelReport, desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame, cutoff: pd.Timestamp
) -> None:
    frame = add_all_features(bars)
    labels = triple_barrier(bars, frame["atr"].to_numpy(), spread=ml_settings.labeling.spread, frame=USUAL)
    chosen = np.flatnonzero((bars["time"] > cutoff).to_numpy() & labels.valid)
    features = frame[list(ml_settings.features)].to_numpy()[chosen]
    said = load_undisturbed(desk.models, ml_settings, EnsemblePredictor).predict_proba(features).mean(axis=1)
    side = labels.side[chosen]
    assert report.live.rows == len(chosen)
    assert report.live.models["ensemble"].log_loss == pytest.approx(-np.log(said[np.arange(len(side)), side]).mean())
    outcome = np.eye(3)[side]
    assert report.live.models["ensemble"].brier == pytest.approx(((said - outcome) ** 2).sum(axis=1).mean())
    assert list(report.live.base_rates.values()) == pytest.approx(outcome.mean(axis=0).tolist())


def test_the_live_window_begins_strictly_after_the_cutoff(
    report: ModelReport,
    desk: Desk,
    settings: Settings,
    ml_settings: MlSettings,
    bars: pd.DataFrame,
    cutoff: pd.Timestamp,
) -> None:
    assert moment(report.live.start) == cutoff + BAR
    assert moment(report.training.end) < moment(report.live.start)
    early = build_report(desk.models, settings, ml_settings, bars, start=bars["time"].iloc[0])
    assert early == report, "an early --start changes nothing"


def test_start_and_end_narrow_the_live_window_alone(
    report: ModelReport,
    desk: Desk,
    settings: Settings,
    ml_settings: MlSettings,
    bars: pd.DataFrame,
    cutoff: pd.Timestamp,
) -> None:
    start, end = cutoff + 200 * BAR, cutoff + 1_200 * BAR
    narrow = build_report(desk.models, settings, ml_settings, bars, start=start, end=end)
    assert narrow.training == report.training
    assert moment(narrow.live.start) == start
    assert moment(narrow.live.end) < end
    assert narrow.drift.live_rows == 1_000
    assert MIN_ROWS < narrow.live.rows < 1_000, "the last labels are not decided yet"


def test_bars_from_the_end_on_are_not_looked_at(
    desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame, cutoff: pd.Timestamp
) -> None:
    end = cutoff + 1_200 * BAR
    known = build_report(desk.models, settings, ml_settings, bars, end=end)
    cut = bars[bars["time"] < end].reset_index(drop=True)
    cut.attrs.update(bars.attrs)
    assert build_report(desk.models, settings, ml_settings, cut) == known


def test_a_gap_is_counted_in_the_bars_of_the_settings(
    desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame, cutoff: pd.Timestamp
) -> None:
    """Three lengths of a bar between two opens are no gap; eight are one, and no label may span it."""
    begin = int(bars["time"].searchsorted(cutoff)) + 300
    rows = {}
    for lacking in (2, 7):
        missing = [row for first in range(begin, len(bars) - 8, 200) for row in range(first, first + lacking)]
        holed = bars.drop(index=missing).reset_index(drop=True)
        holed.attrs.update(bars.attrs)
        rows[lacking] = build_report(desk.models, settings, ml_settings, holed).live.rows + len(missing)
    whole = build_report(desk.models, settings, ml_settings, bars).live.rows
    assert abs(rows[2] - whole) < 20, "a label moves a little where its path has a hole"
    assert rows[7] < min(rows[2], whole) - 10


def test_rows_that_would_be_traded_are_those_of_the_signal_decision(
    report: ModelReport, desk: Desk, ml_settings: MlSettings
) -> None:
    with np.load(desk.models / OUT_OF_FOLD_NAME) as stored:
        labels, probabilities = stored["label"], stored["probabilities"].astype(np.float64)
    rule = ml_settings.prediction
    confidences, came = [], []
    for row, label in zip(probabilities, labels, strict=True):
        mean = row.mean(axis=0)
        best = int(mean.argmax())
        second = sorted(mean)[1]
        votes = sum(int(member.argmax()) == best for member in row)
        if best and votes >= 2 and mean[best] >= rule.confidence_threshold:
            if mean[best] - second < rule.min_probability_diff:
                continue
            confidences.append(mean[best])
            came.append(label == best)
    both = report.training.traded["both"]
    assert both.realised.rows == len(came) > 100
    assert both.realised.share == pytest.approx(np.mean(came))
    assert both.predicted == pytest.approx(np.mean(confidences))
    sides = [report.training.traded[side] for side in ("buy", "sell")]
    assert sum(side.won.rows for side in sides) == both.won.rows


def test_a_threshold_that_nothing_passes_is_reported_as_unknown(
    desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    strict = ml_settings.model_copy(
        update={"prediction": ml_settings.prediction.model_copy(update={"confidence_threshold": 0.99})}
    )
    both = build_report(desk.models, settings, strict, bars).live.traded["both"]
    assert (both.realised.rows, both.predicted, both.realised.share, both.won.low, both.mean_r) == (0, *[None] * 4)


def test_every_feature_and_the_predictions_are_compared(report: ModelReport, ml_settings: MlSettings) -> None:
    drift = report.drift
    assert sorted(one.feature for one in drift.features) == sorted(ml_settings.features)
    assert {one.feature for one in drift.features if one.protected} == set(PROTECTED_FEATURES)
    assert drift.training_rows == report.training.rows
    assert drift.live_rows == LATER_BARS + TRAIN_BARS - 1 - _row_of(report)
    assert [one.feature for one in drift.predictions] == [
        "most probable class",
        *(f"probability of {name}" for name in CLASSES),
    ]
    assert set(drift.predictions[0].bins) <= set(CLASSES)


def _row_of(report: ModelReport) -> int:
    """Return the row of the training cutoff."""
    return round((moment(report.train_cutoff) - moment(report.train_start)) / BAR)


def test_another_market_drifts_more_than_the_same_one(
    report: ModelReport, desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    wild = bars.copy()
    later = wild.index >= TRAIN_BARS
    # Candles ten times as long on the same closes.
    for name in ("open", "high", "low"):
        wild.loc[later, name] += 9.0 * (wild.loc[later, name] - wild.loc[later, "close"])
    wild.attrs.update(bars.attrs)
    drifted = {one.feature: one for one in build_report(desk.models, settings, ml_settings, wild).drift.features}
    before = {one.feature: one for one in report.drift.features}
    assert drifted["atr_14"].psi > 10 * before["atr_14"].psi
    assert drifted["atr_14"].band == "large"
    assert drifted["hour_sin"].psi == before["hour_sin"].psi


def test_a_set_without_position_models_says_so(
    desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(desk.models, models)
    manifest = read_manifest(models)
    kept = {name: digest for name, digest in manifest.artifacts.items() if name not in STAGE_FILES["position"]}
    write_manifest(models, replace(manifest, artifacts=kept))
    found = build_report(models, settings, ml_settings, bars).position
    assert (found.present, dict(found.training)) == (False, {})
    assert found.reason == "the set has no position models"


def test_position_models_are_not_measured_live_and_the_report_says_so(position_set: PositionSet) -> None:
    trained = position_set
    found = build_report(
        trained.models_dir, trained.settings, trained.ml_settings, trained.bars, training_only=True
    ).position
    assert (found.present, found.live_measured) == (True, False)
    assert "not measured" in found.reason
    assert set(found.training) == set(MODELS)
    assert all(math.isfinite(value) for figures in found.training.values() for value in figures.values())


def test_the_notes_name_a_bracket_that_differs_from_the_labels(
    desk: Desk, root: Path, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    settings = runtime_settings(root)
    rule = ml_settings.labeling
    for stop, wanted in ((rule.atr_sl_mult, False), (rule.atr_sl_mult + 1.5, True)):
        levels = settings.risk_management.model_copy(update={"sl_atr_mult": stop, "tp_atr_mult": rule.atr_tp_mult})
        changed = settings.model_copy(update={"risk_management": levels})
        notes = build_report(desk.models, changed, ml_settings, bars, training_only=True).notes
        assert any("are of the labels' bracket" in note for note in notes) == wanted


def test_labels_follow_the_rule_of_the_training_whatever_the_settings_say_now(
    report: ModelReport, desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    other = ml_settings.model_copy(
        update={"labeling": ml_settings.labeling.model_copy(update={"atr_tp_mult": 2.0, "horizon_bars": 10})}
    )
    found = build_report(desk.models, settings, other, bars)
    assert (found.training, found.live) == (report.training, report.live)
    assert any("other labeling than the models were trained with" in note for note in found.notes)


def test_the_command_writes_numbers_and_a_page(command: Command, tmp_path: Path, report: ModelReport) -> None:
    answer = command("--json", "model.json")
    assert answer.code == 0, answer.err
    assert set(listing(tmp_path)) == {"model.json", "reports", "reports/model_report.html"}
    assert answer.out.startswith("SYNTHETIC DATA (planted market)")
    assert "rows that would be traded" in answer.out
    assert "most drifted features" in answer.out
    content = read_strictly(tmp_path / "model.json")
    assert content == json.loads(json.dumps(report.as_dict()))
    assert content["synthetic"] == "planted"


def test_every_number_is_finite_or_null_and_keys_are_snake_case(command: Command, tmp_path: Path) -> None:
    assert command("--json", "model.json", "--no-chart").code == 0
    assert set(listing(tmp_path)) == {"model.json"}
    content = read_strictly(tmp_path / "model.json")
    found = dict(numbers(content))
    assert len(found) > 1_000
    assert [place for place, value in found.items() if not math.isfinite(value)] == []
    keys = set(re.findall(r"\.([^.\[]+)", "".join(found)))
    assert [key for key in keys if not re.fullmatch(r"[a-z][a-z0-9_]*", key)] == []


def test_the_same_inputs_give_the_same_files(command: Command, tmp_path: Path) -> None:
    assert command("--json", "a.json", "--report", "a.html").code == 0
    assert command("--json", "b.json", "--report", "b.html").code == 0
    files = listing(tmp_path)
    assert files["a.json"] == files["b.json"]
    pages = [without_moment((tmp_path / name).read_bytes()) for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]


def test_training_only_needs_no_later_bars_and_says_what_is_left_out(
    command: Command, tmp_path: Path, bars: pd.DataFrame, report: ModelReport
) -> None:
    window = bars.iloc[:TRAIN_BARS]
    window.attrs.update(bars.attrs)
    save_bars(tmp_path / "window.parquet", window)
    answer = command("--data", "window.parquet", "--training-only", "--json", "model.json")
    assert answer.code == 0, answer.err
    content = read_strictly(tmp_path / "model.json")
    assert content["training"] == json.loads(json.dumps(report.as_dict()["training"]))
    for part in ("live", "drift"):
        assert (content[part]["measured"], content[part]["reason"]) == (False, "left out by --training-only")
    assert "Live, out of sample: not measured: left out by --training-only." in answer.out


def test_too_few_live_rows_are_not_measured_and_the_report_says_why(
    command: Command, tmp_path: Path, cutoff: pd.Timestamp
) -> None:
    answer = command("--end", (cutoff + 300 * BAR).strftime("%Y-%m-%dT%H:%M"), "--json", "model.json")
    assert answer.code == 0, answer.err
    content = read_strictly(tmp_path / "model.json")
    live, drift = content["live"], content["drift"]
    assert (live["measured"], live["models"], live["traded"], live["effective_rows"]) == (False, {}, {}, None)
    assert 0 < live["rows"] < drift["live_rows"] == 299
    assert f"{live['rows']} labelled rows are fewer than {MIN_ROWS}" in live["reason"]
    assert f"299 rows with features are fewer than {MIN_ROWS}" in drift["reason"]
    page = (tmp_path / "reports" / "model_report.html").read_text(encoding="utf-8")
    # Calibration, drift, and the position models, whose live closes are never followed.
    assert page.count("Not measured: ") == 3


@pytest.mark.parametrize("window", ["--start 2031-01-01", "--end 2022-01-20"])
def test_no_bar_after_the_cutoff_exits_4_naming_the_cutoff_and_the_mend(
    command: Command, tmp_path: Path, cutoff: pd.Timestamp, window: str
) -> None:
    answer = command(*window.split())
    assert answer.code == DataError.exit_code == 4
    assert f"the models know everything up to {cutoff:%Y-%m-%d %H:%M} UTC" in answer.err
    assert "scripts/download_data.py" in answer.err
    assert "--training-only" in answer.err
    assert listing(tmp_path) == {}


def test_an_end_at_the_cutoff_leaves_no_bar_and_one_bar_later_one(
    desk: Desk, settings: Settings, ml_settings: MlSettings, bars: pd.DataFrame, cutoff: pd.Timestamp
) -> None:
    with pytest.raises(DataError, match="no bar of the window is out of sample"):
        build_report(desk.models, settings, ml_settings, bars, end=cutoff + BAR)
    assert build_report(desk.models, settings, ml_settings, bars, end=cutoff + 2 * BAR).drift.live_rows == 1


@pytest.mark.parametrize("what", ["other price", "other market", "later bars only", "one bar short"])
def test_other_bars_than_those_of_the_training_exit_4(
    command: Command, tmp_path: Path, bars: pd.DataFrame, what: str
) -> None:
    changed = bars.copy()
    if what == "other price":
        changed.loc[100, "volume"] += 1.0
    elif what == "other market":
        changed = synthetic_bars("null", len(bars), seed=4)
    elif what == "later bars only":
        changed = changed.iloc[TRAIN_BARS:]
    else:
        changed = changed.iloc[1:]
    changed.attrs.update(bars.attrs)
    save_bars(tmp_path / "other.parquet", changed.reset_index(drop=True))
    answer = command("--data", "other.parquet")
    assert answer.code == DataError.exit_code
    assert "are not those the models were trained on; give the file of the training with --data" in answer.err


def test_no_models_exit_5_with_the_mend(command: Command, tmp_path: Path) -> None:
    answer = command("--models", tmp_path / "nowhere")
    assert answer.code == ModelError.exit_code == 5
    assert "model_compat.json does not exist, so there is no model set to use; " in answer.err
    assert "train one with `python train_ml_model.py" in answer.err
    assert listing(tmp_path) == {}


def test_damaged_out_of_fold_probabilities_exit_5(command: Command, desk: Desk, tmp_path: Path) -> None:
    models = Path(shutil.copytree(desk.models, tmp_path / "models"))
    (models / OUT_OF_FOLD_NAME).write_bytes(b"not what it was")
    answer = command("--models", models)
    assert answer.code == ModelError.exit_code
    assert f"{OUT_OF_FOLD_NAME} is damaged or foreign" in answer.err


def test_settings_with_other_features_exit_6(command: Command, desk: Desk, tmp_path: Path) -> None:
    content = json.loads(desk.ml_config.read_text(encoding="utf-8"))
    content["features"] = [*content["features"][1:], content["features"][0]]
    (tmp_path / "other.json").write_text(json.dumps(content), encoding="utf-8")
    assert command("--ml-config", "other.json").code == ModelCompatibilityError.exit_code == 6


def test_a_calendar_that_training_did_not_have_exits_2(command: Command, tmp_path: Path) -> None:
    events = pd.DataFrame(
        {"time": pd.to_datetime(["2022-02-02 13:30"], utc=True), "impact": ["high"], "currency": ["USD"]}
    )
    events.to_parquet(tmp_path / "calendar.parquet")
    answer = command("--calendar", "calendar.parquet")
    assert answer.code == UsageError.exit_code == 2
    assert "trained without a news calendar; leave --calendar out" in answer.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--training-only", "--start", "2022-03-10"), "--start and --end narrow the live window"),
        (("--start", "2022-03-10", "--end", "2022-03-10"), "is not after --start"),
        (("--json", "same", "--report", "same"), "--report and --json name the same place"),
        (("--start", "soon"), "is not a date"),
    ],
)
def test_contradicting_arguments_exit_2(command: Command, tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    answer = command(*flags)
    assert answer.code == 2
    assert message in answer.err
    assert listing(tmp_path) == {}


def test_a_report_never_replaces_what_was_read(command: Command, desk: Desk) -> None:
    before = listing(desk.folder)
    for file in (desk.bars, desk.config, desk.ml_config, desk.models / "report.html"):
        assert command("--report", file).code == UsageError.exit_code
        assert command("--json", file, "--no-chart").code == UsageError.exit_code
    assert listing(desk.folder) == before


def test_the_page_holds_everything_and_loads_nothing(report: ModelReport) -> None:
    page = model_page(report, MADE)
    shown = page.partition("<script")[0]
    assert "default-src 'none'" in shown
    assert not re.search(r"https?:|src=|@import|url\(", shown)
    assert "SYNTHETIC DATA: planted market" in shown
    for note in report.notes:
        assert note.replace("'", "&#x27;") in shown
    assert all(text in shown for text in MADE_TEXT)
    for name in ("training", "live", "psi"):
        assert f'<div id="{name}"></div>' in shown
    for one in report.drift.features:
        assert f">{one.feature}" in shown
    figures = re.search(r'id="page">(.*?)</script>', page)
    assert figures is not None
    assert set(json.loads(figures[1])["figures"]) == {"training", "live", "psi"}


def test_the_figures_are_valid_and_draw_the_numbers_of_the_report(report: ModelReport) -> None:
    def drawable(figure: dict[str, Any]) -> Any:
        # The page puts the colours of its style sheet in.
        return plotly.graph_objects.Figure(json.loads(re.sub(r"var\(--\w+\)", "#123456", json.dumps(figure))))

    reliability = drawable(reliability_figure(report.live))
    buy = [trace for trace in reliability.data if trace.name == "ensemble"][1]
    table = report.live.models["ensemble"].classes["buy"].bins
    assert list(buy.x) == [one.predicted for one in table]
    assert list(buy.y) == [one.observed.share for one in table]
    bars = drawable(psi_figure(report)).data[0]
    assert list(bars.x)[::-1] == [one.psi for one in report.drift.features]
