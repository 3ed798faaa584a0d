"""Which features the models listen to: contributions that add up, an honest ranking, no stale summaries."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from ml.arrays import CLASS_NAMES, MEMBERS
from ml.feature_engineering import PROTECTED_FEATURES, get_feature_names
from ml.report.shap_analysis import (
    check_additivity,
    explain_signal,
    member_contributions,
    rank_features,
    raw_output,
    stratified_rows,
)
from ml.report.shap_page import shap_page
from ml.sets.companions import MANIFEST_NAME, SUMMARY_NAME
from ml.sets.compat import read_manifest
from ml.sets.ensemble_files import member_file
from ml.sets.model_set import replace_model_set
from ml.sets.shap_summary import ShapSummary, read_shap_summary, write_shap_summary
from ml.signal.trainer import build_dataset
from ml.train import train
from novosky.data.store import load_bars
from novosky.errors import DataError, LockedError, ModelCompatibilityError, ModelError, StorageError, UsageError
from novosky.files import sha256_of
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL
from novosky.settings import MlSettings, load_ml_settings
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import Desk
from tests.helpers.made_pages import MADE
from tests.helpers.sets.signal_sets import TRAIN_BARS, runtime_settings

ROOT = Path(__file__).resolve().parents[3]
SURGE_CARRIERS = {"volume_ratio", "volume_delta", "close_vs_open"}
"""What shows a surge of the planted market and its side: loud volume, and where the bar closed."""
Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def ml_settings(desk: Desk) -> MlSettings:
    return load_ml_settings(desk.ml_config)


@pytest.fixture(scope="module")
def bars(desk: Desk) -> pd.DataFrame:
    """All stored bars, also those after the training window."""
    return load_bars(desk.bars)


@pytest.fixture(scope="module")
def summary(desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame) -> ShapSummary:
    return explain_signal(desk.models, ml_settings, bars, USUAL)


@pytest.fixture
def models(desk: Desk, tmp_path: Path) -> Path:
    """A set to write beside or to damage."""
    return Path(shutil.copytree(desk.models, tmp_path / "models"))


@pytest.fixture
def command(desk: Desk, tmp_path: Path, models: Path) -> Command:
    """Run the command on the copied set; a later flag overrides an earlier one."""

    def run(*flags: object) -> Answer:
        usual = [*desk.flags, "--models", models, "--data", desk.bars]
        return run_script("train_ml_model.py", *usual, *flags, cwd=tmp_path)

    return run


@pytest.mark.parametrize("name", MEMBERS)
def test_contributions_and_base_value_add_up_to_the_output_of_every_row(
    name: str, desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    scaler = pickle.loads((desk.models / "ensemble_scaler.pkl").read_bytes())
    base = pickle.loads((desk.models / member_file(name, "raw")).read_bytes())
    features = build_dataset(bars.iloc[:TRAIN_BARS], ml_settings, USUAL).features
    scaled = ((features - scaler.mean_) / scaler.scale_).astype(np.float32)
    contributions, output = member_contributions(name, base, scaled), raw_output(name, base, scaled)
    assert contributions.shape == (len(features), 3, 56)
    np.testing.assert_allclose(contributions.sum(axis=2), output, rtol=0, atol=1e-4)
    assert np.ptp(contributions[:, :, -1], axis=0).max() == 0.0, "one base value per class"

    check_additivity(name, contributions, output)
    contributions[17, 1, 3] += 2e-4
    with pytest.raises(ModelError, match=f"SHAP values of member {name} miss its output by 0.0002"):
        check_additivity(name, contributions, output)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_explained_output_is_that_of_the_predictions(name: str, desk: Desk) -> None:
    base = pickle.loads((desk.models / member_file(name, "raw")).read_bytes())
    member = pickle.loads((desk.models / member_file(name, "calibrated")).read_bytes())
    scaled = np.random.default_rng(5).standard_normal((50, len(get_feature_names()))).astype(np.float32)
    output = raw_output(name, base, scaled)
    if name != "rf":
        output = np.exp(output) / np.exp(output).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(member.calibrator.apply(output), member.predict_proba(scaled), atol=1e-5)


def test_the_planted_edge_ranks_at_the_top(summary: ShapSummary) -> None:
    top = [entry.feature for entry in summary.ranked_features[:15]]
    assert set(top) >= SURGE_CARRIERS, top


def test_every_feature_is_ranked_once_in_descending_order(summary: ShapSummary, ml_settings: MlSettings) -> None:
    assert sorted(entry.feature for entry in summary.ranked_features) == sorted(ml_settings.features)
    values = [entry.mean_abs_shap for entry in summary.ranked_features]
    assert values == sorted(values, reverse=True)


def test_shares_of_each_model_sum_to_one_and_their_mean_is_the_rank(summary: ShapSummary) -> None:
    for name in MEMBERS:
        assert sum(getattr(entry, name) for entry in summary.ranked_features) == pytest.approx(1.0)
        assert summary.total[name] > 0.0
    for entry in summary.ranked_features:
        assert entry.mean_abs_shap == pytest.approx((entry.rf + entry.xgb + entry.lgb) / 3)
        for name in MEMBERS:
            assert set(entry.by_class[name]) == set(CLASS_NAMES)
            assert np.mean(list(entry.by_class[name].values())) == pytest.approx(getattr(entry, name))


def test_models_count_alike_whatever_the_scale_of_their_output() -> None:
    def table(*rows: tuple[float, float]) -> npt.NDArray[np.float64]:
        return np.array(rows)

    small = table((0.3, 0.1), (0.3, 0.1), (0.3, 0.1))
    large = table((0.0, 60.0), (20.0, 20.0), (40.0, 10.0))
    first, second = rank_features(("a", "b"), {"rf": small, "xgb": small, "lgb": large})
    assert first.feature == "a"
    assert (first.rf, first.xgb, first.lgb) == pytest.approx((0.75, 0.75, 0.4))
    assert (first.mean_abs_shap, second.mean_abs_shap) == (pytest.approx(1.9 / 3), pytest.approx(1.1 / 3))
    assert first.by_class["lgb"] == pytest.approx({"HOLD": 0.0, "BUY": 0.4, "SELL": 0.8})


def test_a_model_without_a_split_is_not_ranked() -> None:
    tables = {name: np.ones((3, 2)) for name in MEMBERS} | {"xgb": np.zeros((3, 2))}
    with pytest.raises(ModelError, match="member xgb does not use any feature"):
        rank_features(("a", "b"), tables)


def test_protected_features_are_flagged_and_the_summary_says_why_they_stay(summary: ShapSummary) -> None:
    flagged = {entry.feature for entry in summary.ranked_features if entry.protected}
    assert flagged == set(PROTECTED_FEATURES)
    assert "low value is no reason to drop" in summary.note


def test_the_sample_has_one_row_of_every_stretch_of_the_window() -> None:
    rows = stratified_rows(10_007, 2_000, np.random.default_rng(1))
    assert len(rows) == 2_000
    edges = np.arange(2_001) * 10_007 // 2_000
    assert ((rows >= edges[:-1]) & (rows < edges[1:])).all()
    assert stratified_rows(30, 50, np.random.default_rng(1)).tolist() == list(range(30))


def test_the_same_seed_gives_the_same_summary_and_another_seed_another_sample(
    summary: ShapSummary, desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    assert explain_signal(desk.models, ml_settings, bars, USUAL) == summary
    other = explain_signal(desk.models, ml_settings, bars, USUAL, seed=summary.seed + 1)
    assert other.total != summary.total


def test_the_summary_says_what_it_was_made_from(summary: ShapSummary, desk: Desk) -> None:
    manifest = read_manifest(desk.models)
    assert summary.created_from == sha256_of(desk.models / MANIFEST_NAME)
    assert summary.window == {"start": manifest.train_start, "end": manifest.train_end}
    assert (summary.rows, summary.seed, summary.synthetic) == (2_000, 7, "planted")


def test_other_bars_than_those_of_the_training_are_refused(
    desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    changed = bars.copy()
    changed.loc[100, "volume"] += 1.0
    for wrong in (changed, bars.iloc[50:], bars.iloc[: TRAIN_BARS - 50]):
        with pytest.raises(DataError, match=r"are not those the models were trained on; give the file .* --data"):
            explain_signal(desk.models, ml_settings, wrong.reset_index(drop=True), USUAL)


def test_a_calendar_that_training_did_not_have_is_refused(
    desk: Desk, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    calendar = NewsCalendar(np.array([1_641_200_000], dtype=np.int64))
    with pytest.raises(UsageError, match="trained without a news calendar; leave --calendar out"):
        explain_signal(desk.models, ml_settings, bars, USUAL, calendar)


class Trap:
    """A pickle that leaves a file where it is decoded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("file", ["ensemble_scaler.pkl", *(member_file(name, "calibrated") for name in MEMBERS)])
def test_a_foreign_file_is_refused_before_it_is_decoded(
    file: str, models: Path, tmp_path: Path, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    (models / file).write_bytes(pickle.dumps(Trap(tmp_path / "decoded")))
    with pytest.raises(ModelError, match=re.escape(file) + " is damaged or foreign"):
        explain_signal(models, ml_settings, bars, USUAL)
    assert not (tmp_path / "decoded").exists()


def test_swapped_members_are_refused_although_their_hashes_fit(
    models: Path, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    content = json.loads((models / MANIFEST_NAME).read_text(encoding="utf-8"))
    xgb, lgb = member_file("xgb", "calibrated"), member_file("lgb", "calibrated")
    (models / xgb).write_bytes((models / lgb).read_bytes())
    content["artifacts"][xgb] = content["artifacts"][lgb]
    (models / MANIFEST_NAME).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=re.escape(xgb) + " does not hold the calibrated member xgb"):
        explain_signal(models, ml_settings, bars, USUAL)


def test_what_is_written_is_read_back(models: Path, summary: ShapSummary) -> None:
    path = write_shap_summary(models, summary)
    assert path == models / SUMMARY_NAME
    assert read_shap_summary(models) == summary


def test_the_summary_of_other_models_is_refused(models: Path, summary: ShapSummary) -> None:
    write_shap_summary(models, summary)
    content = json.loads((models / MANIFEST_NAME).read_text(encoding="utf-8"))
    content["artifacts"]["risk_lgb.txt"] = "0" * 64
    (models / MANIFEST_NAME).write_text(json.dumps(content))
    assert read_shap_summary(models) == summary, "a model of another stage changes nothing"

    content["artifacts"][member_file("rf", "calibrated")] = "0" * 64
    (models / MANIFEST_NAME).write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"describes other models .* Run `python train_ml_model.py --shap-only`"):
        read_shap_summary(models)


def test_a_summary_is_not_written_beside_a_set_that_came_since(models: Path, summary: ShapSummary) -> None:
    (models / MANIFEST_NAME).write_text((models / MANIFEST_NAME).read_text(encoding="utf-8") + "\n")
    with pytest.raises(ModelError, match="were replaced while they were explained"):
        write_shap_summary(models, summary)
    assert not (models / SUMMARY_NAME).exists()


def test_a_summary_is_not_written_into_a_set_that_is_being_replaced(models: Path, summary: ShapSummary) -> None:
    with replace_model_set(models), pytest.raises(LockedError):
        write_shap_summary(models, summary)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [(None, "does not exist"), ("{", "cannot be read"), ("[]", "cannot be read"), ('{"rows": 3}', "cannot be read")],
)
def test_a_summary_that_cannot_be_read_names_the_mend(models: Path, content: str | None, wrong: str) -> None:
    if content is not None:
        (models / SUMMARY_NAME).write_text(content)
    with pytest.raises(ModelError, match=rf"shap_summary\.json {wrong}.*--shap-only"):
        read_shap_summary(models)


def test_a_training_without_shap_takes_the_old_summary_away(
    root: Path, models: Path, summary: ShapSummary, ml_settings: MlSettings, bars: pd.DataFrame
) -> None:
    write_shap_summary(models, summary)
    train(bars, ml_settings, runtime_settings(root), models, ("signal",))
    assert not (models / SUMMARY_NAME).exists()


def test_the_page_shows_every_feature_and_loads_nothing(summary: ShapSummary) -> None:
    page = shap_page(summary, MADE)
    assert page.count("<rect") == 3 * len(get_feature_names())
    assert page.count("&#9670;</text>") == len(PROTECTED_FEATURES)
    assert "SYNTHETIC DATA" in page
    assert summary.note in page
    assert not re.search(r"https?:|src=|@import|url\(|<script", page)


def test_shap_only_writes_summary_and_page_and_touches_nothing_else(
    command: Command, models: Path, tmp_path: Path, summary: ShapSummary
) -> None:
    before = listing(tmp_path)
    answer = command("--shap-only")
    assert answer.code == 0, answer.err
    added = set(listing(tmp_path)) - set(before) - {".models.lock"}
    assert added == {f"models/{SUMMARY_NAME}", "reports", "reports/shap.html"}
    assert before.items() <= listing(tmp_path).items()
    assert read_shap_summary(models) == summary
    assert summary.note in answer.out
    assert "SYNTHETIC DATA" in answer.err


def test_shap_after_training_describes_the_new_models(command: Command, models: Path, desk: Desk) -> None:
    answer = command("--ensemble", "--no-warmstart", "--shap", "--seed", "11", "--shap-report", "page.html")
    assert answer.code == 0, answer.err
    made = read_shap_summary(models)
    assert made.seed == 11
    assert made.window["end"] == read_manifest(models).train_end != read_manifest(desk.models).train_end
    assert (models.parent / "page.html").exists()


def test_shap_only_without_models_exits_5_with_the_mend(command: Command, tmp_path: Path) -> None:
    answer = command("--shap-only", "--models", tmp_path / "nowhere")
    assert answer.code == ModelError.exit_code == 5
    assert "nowhere/model_compat.json does not exist, so there is no model set to use; " in answer.err
    assert "train one with `python train_ml_model.py" in answer.err


@pytest.mark.parametrize(
    "flags",
    [("--shap",), ("--shap-only", "--ensemble"), ("--shap-only", "--refresh"), ("--shap-only", "--end", "2022-02-01")],
)
def test_contradicting_flags_exit_2(command: Command, flags: tuple[str, ...]) -> None:
    assert command(*flags).code == 2


def test_without_the_shap_package_nothing_is_begun(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing(tmp_path)
    # What the import system keeps for a module that must not be found.
    monkeypatch.setitem(sys.modules, "shap", None)
    answer = command("--ensemble", "--shap")
    assert answer.code == ModelCompatibilityError.exit_code
    assert "the library shap is not installed" in answer.err
    assert listing(tmp_path) == before


LIMITED = """
import json, pathlib, sys
from tests.helpers.command_line import run_script
from tests.helpers.small_disk import disk_with_room_for
with disk_with_room_for(256):
    answer = run_script("train_ml_model.py", *json.loads(sys.argv[1]), cwd=pathlib.Path())
print(json.dumps([answer.code, answer.err]))
"""
"""Runs the command with files that cannot grow beyond 256 bytes: to a program, that is a full disk."""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_a_full_disk_leaves_the_old_summary(command: Command, desk: Desk, models: Path, tmp_path: Path) -> None:
    assert command("--shap-only", "--seed", "1").code == 0
    before = listing(tmp_path)
    arguments = [*desk.flags, "--models", str(models), "--data", str(desk.bars), "--shap-only"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, json.dumps(arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, err = json.loads(done.stdout)
    assert code == StorageError.exit_code
    assert "shap_summary.json could not be written (File too large); the previous version is unchanged" in err
    assert listing(tmp_path) == before
    assert read_shap_summary(models).seed == 1
