"""Walk-forward: where folds lie, what training may know, and what the pooled figures say of known markets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from backtest.walk_forward.folds import VARIANTS, FoldOutcome, Leg, fold_windows, load_outcome, save_outcome
from backtest.walk_forward.pooled import chained_equity, fold_figures, pool, pool_random
from backtest.walk_forward.report import WalkForward, notes
from backtest.walk_forward.run import WalkPlan, fold_bars, fold_key, run_fold, training_bars, walk_forward
from backtest.walk_forward.yardstick import Yardstick, fit_yardstick
from commands.walk_forward import print_walk
from commands.walk_forward import walk_forward as command
from ml.load_models import load_selectivity
from ml.signal.trainer import build_dataset
from ml.train import train
from novosky.data.store import save_bars
from novosky.errors import DataError, StorageError, UsageError
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import USUAL
from tests.backtest.walk_forward.walk_examples import (
    END,
    START,
    TRAIN_DAYS,
    example_models,
    example_plan,
    example_windows,
    leg,
    outcome,
)


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def dates(*moments: int) -> list[str]:
    return [str(pd.Timestamp(moment, unit="s"))[:16] for moment in moments]


def numbers_of(found: FoldOutcome) -> dict[str, bytes]:
    """Return every number of a fold as bytes."""
    flat: dict[str, bytes] = {}
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    values |= {f"with {name}": variant for name, variant in values.pop("variants").items()}
    for title, value in values.items():
        parts = [getattr(value, part.name) for part in fields(value)] if isinstance(value, Leg) else [value]
        flat[title] = b"|".join(
            part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode() for part in parts
        )
    return flat


@dataclass(frozen=True)
class Walk:
    """The planted market, walked once."""

    plan: WalkPlan
    cache: Path
    outcomes: list[FoldOutcome]


@pytest.fixture(scope="module")
def planted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Walk:
    plan, cache = example_plan(root, "planted"), tmp_path_factory.mktemp("planted")
    return Walk(plan, cache, walk_forward(plan, example_windows(), cache))


def choosy(plan: WalkPlan, **prediction: float | None) -> WalkPlan:
    """The plan with the signal models alone and another threshold."""
    stated = plan.ml_settings.prediction.model_copy(update=prediction)
    return replace(plan, all_models=False, ml_settings=plan.ml_settings.model_copy(update={"prediction": stated}))


def test_a_share_of_bars_is_a_threshold_of_each_fold_s_own_models(root: Path, tmp_path: Path) -> None:
    plan, thresholds = choosy(example_plan(root, "planted"), confidence_share=15.0), []
    for window in example_windows():
        bars = fold_bars(plan.history, window, USUAL)
        past, models = training_bars(bars, window), tmp_path / str(window.number)
        train(past, plan.ml_settings, plan.settings, models, ("signal",), warm_start=False, seed=plan.seed, onnx=False)
        thresholds.append(load_selectivity(models, plan.ml_settings).confidence(15.0))
        found = run_fold(replace(plan, history=bars), window)
        stated = choosy(plan, confidence_share=None, confidence_threshold=thresholds[-1])
        expected = run_fold(replace(stated, history=bars), window)
        assert numbers_of(found) == numbers_of(expected)
        assert len(found.signal.net) > 0
    assert thresholds[0] != thresholds[1]


# Folds


def test_the_folds_of_three_years_lie_where_they_were_agreed() -> None:
    windows = fold_windows(utc("2021-07-01"), utc("2024-07-01"), 10, 730, 96, USUAL)
    assert len(windows) == 10
    first, second, last = windows[0], windows[1], windows[-1]
    assert dates(first.train_start, first.train_end, first.test_start, first.test_end) == [
        "2019-07-02 00:00",
        "2021-06-30 00:00",
        "2021-07-01 00:00",
        "2021-10-18 14:15",
    ]
    assert dates(second.train_start, second.train_end) == ["2019-10-19 14:15", "2021-10-17 14:15"]
    assert dates(last.test_start, last.test_end) == ["2024-03-13 09:30", "2024-07-01 00:00"]


@pytest.mark.parametrize(("folds", "days", "embargo"), [(1, 30, 0), (7, 100, 96), (13, 365, 500)])
def test_folds_follow_each_other_without_gap_and_behind_the_embargo(folds: int, days: int, embargo: int) -> None:
    windows = fold_windows(utc("2022-01-03"), utc("2022-06-01"), folds, days, embargo, USUAL)
    assert windows[0].test_start == utc("2022-01-03").timestamp()
    assert windows[-1].test_end == utc("2022-06-01").timestamp()
    assert [w.test_end for w in windows[:-1]] == [w.test_start for w in windows[1:]]
    assert {w.test_start - w.train_end for w in windows} == {embargo * 900}
    assert {w.test_start - w.train_start for w in windows} == {days * 86_400}
    assert all(w.test_start % 900 == 0 for w in windows)


@pytest.mark.parametrize(("folds", "days", "embargo"), [(0, 30, 96), (32, 30, 96), (4, 1, 96)])
def test_folds_that_measure_nothing_are_refused(folds: int, days: int, embargo: int) -> None:
    with pytest.raises(UsageError):
        fold_windows(utc("2022-01-01"), utc("2022-02-01"), folds, days, embargo, USUAL)


# What training may know


def test_training_rows_fill_the_window_and_no_label_looks_past_it(planted: Walk) -> None:
    for window in example_windows():
        bars = training_bars(fold_bars(planted.plan.history, window, USUAL), window)
        dataset = build_dataset(bars, planted.plan.ml_settings, USUAL)
        assert dataset.times[0].timestamp() == window.train_start
        assert dataset.cutoff.timestamp() < window.train_end < window.test_start
        # The last labels do reach up to the edge: what is cut is the embargo, not more.
        assert window.train_end - dataset.cutoff.timestamp() <= 4 * 900


def test_each_fold_reports_a_cutoff_before_its_first_bar(planted: Walk) -> None:
    for found in planted.outcomes:
        assert found.train_cutoff < found.window.train_end
        assert found.times[0] == found.window.test_start
        assert found.times[-1] == found.window.test_end - 900


def test_another_future_trains_the_same_model(planted: Walk) -> None:
    window = example_windows()[0]
    changed = planted.plan.history.copy()
    later = epoch_seconds(changed) >= window.train_end
    changed.loc[later, ["open", "high", "low", "close"]] *= 1.5
    first, second = (
        fit_yardstick(
            training_bars(fold_bars(bars, window, USUAL), window), planted.plan.ml_settings, frame=USUAL, seed=7
        )
        for bars in (planted.plan.history, changed)
    )
    assert first.long.model_to_string() == second.long.model_to_string()
    assert first.short.model_to_string() == second.short.model_to_string()


def test_a_history_that_begins_too_late_is_refused(planted: Walk) -> None:
    window = fold_windows(START, END, 2, 40, 96, USUAL)[0]
    with pytest.raises(DataError, match="later --start"):
        fold_bars(planted.plan.history, window, USUAL)


def test_a_fold_without_bars_is_refused(planted: Walk) -> None:
    window = example_windows()[1]
    early = planted.plan.history[epoch_seconds(planted.plan.history) < window.test_start]
    with pytest.raises(DataError, match="holds no bar"):
        fold_bars(early, window, USUAL)


# The yardstick


class Fixed:
    """A regressor that has already answered."""

    def __init__(self, *answers: float) -> None:
        self.answers = np.array(answers)

    def predict(self, features: np.ndarray, num_threads: int) -> np.ndarray:
        return self.answers[: len(features)]


def test_the_yardstick_enters_the_side_above_its_threshold_and_the_better_of_two() -> None:
    yardstick = Yardstick(
        long=Fixed(0.1, 0.3, 0.1, 0.3, 0.4, 0.2),
        short=Fixed(0.1, 0.1, 0.5, 0.5, 0.35, 0.3),
        long_least=0.2,
        short_least=0.3,
        train_cutoff=utc("2022-01-01"),
        rows=1,
    )
    assert yardstick.sides(np.empty((6, 1))).tolist() == [0, 1, -1, -1, 1, 0]
    answer = yardstick.predict_proba(np.empty((6, 1)))
    assert answer.shape == (6, 3, 3)
    assert answer.argmax(axis=2)[:, 0].tolist() == [0, 1, 2, 2, 1, 0]
    assert (answer.sum(axis=2) == 1.0).all()


def test_the_yardstick_trades_about_the_share_it_was_told_to(planted: Walk) -> None:
    window = example_windows()[0]
    past = training_bars(fold_bars(planted.plan.history, window, USUAL), window)
    dataset = build_dataset(past, planted.plan.ml_settings, USUAL)
    shares = []
    for quantile in (0.8, 0.95):
        fitted = fit_yardstick(past, planted.plan.ml_settings, frame=USUAL, seed=7, quantile=quantile)
        shares.append(float(np.mean(fitted.sides(dataset.features) != 0)))
    # Two sides, one quantile each, on the very rows the quantile was taken from.
    assert shares == [pytest.approx(0.4, abs=0.06), pytest.approx(0.1, abs=0.015)]


# Pooling


def test_chained_equity_goes_on_with_what_was_left() -> None:
    assert chained_equity([leg([], [1.1, 1.2]), leg([], [0.5, 1.0])]).tolist() == pytest.approx([1.1, 1.2, 0.6, 1.2])


def test_a_ruined_account_stays_ruined() -> None:
    assert chained_equity([leg([], [1.0, -0.2]), leg([], [2.0, 3.0])]).tolist() == [1.0, -0.2, 0.0, 0.0]


def test_pooled_figures_by_hand() -> None:
    legs = [leg([10.0] * 12 + [-10.0] * 3, [1.2, 0.9]), leg([10.0] * 4 + [-5.0] * 6, [1.0, 1.1], max_drawdown=0.1)]
    found = pool([outcome(0, legs[0]), outcome(1, legs[1])], legs, seed=1, trials=1)
    figures = found.figures
    assert (figures.trades, figures.win_rate) == (25, 16 / 25)
    assert figures.profit_factor == pytest.approx(160 / 60)
    assert figures.expectancy_r == pytest.approx((16 - 3 - 3) / 25)
    assert figures.max_drawdown == pytest.approx(0.25)
    assert figures.total_return == pytest.approx(0.9 * 1.1 - 1.0)
    assert figures.score == pytest.approx(0.64 * (160 / 60) / 0.5)
    assert found.pf_low is not None
    assert found.pf_high is not None
    assert found.pf_low < 160 / 60 < found.pf_high


def test_the_worst_fold_can_be_worse_than_the_chain_shows_at_closes() -> None:
    legs = [leg([1.0], [1.0, 1.1], max_drawdown=0.3)]
    assert pool([outcome(0, legs[0])], legs, seed=1, trials=1).figures.max_drawdown == 0.3


def test_too_few_trades_have_no_score_and_no_interval() -> None:
    legs = [leg([1.0] * 19, [1.1])]
    found = pool([outcome(0, legs[0])], legs, seed=1, trials=1)
    assert (found.figures.score, found.pf_low, fold_figures(legs[0]).score) == (None, None, None)


def test_a_walk_without_trades_is_unknown_not_zero() -> None:
    legs = [leg([], [1.0])]
    found = pool([outcome(0, legs[0])], legs, seed=1, trials=1)
    assert (found.figures.win_rate, found.figures.profit_factor, found.figures.expectancy_r) == (None, None, None)
    assert pool_random([outcome(0, legs[0])]) is None


def test_run_k_of_every_fold_becomes_run_k() -> None:
    runs = {"random_run": np.array([0, 0, 1]), "random_net": np.array([1.0, 1.0, -1.0])}
    traded = replace(
        outcome(0, leg([5.0], [1.1])), **runs, random_r=np.array([1.0, 1.0, -1.0]), random_growth=np.array([1.5, 0.5])
    )
    found = pool_random([traded, replace(traded, window=traded.window)])
    assert found is not None
    assert found.trades == 3.0
    assert found.total_return is not None
    assert found.total_return.median == pytest.approx(((1.5**2 - 1) + (0.5**2 - 1)) / 2)
    assert found.win_rate is not None
    assert found.win_rate.median == 0.5


# What the reader is told


def told(signal_net: list[float], yardstick_net: list[float]) -> str:
    legs = leg(signal_net, [1.0]), leg(yardstick_net, [1.0])
    both = [replace(outcome(0, legs[0]), yardstick=legs[1])]
    pooled = [pool(both, [one], seed=1, trials=3) for one in legs]
    return " ".join(notes(WalkForward(tuple(both), pooled[0], pooled[1], pooled[0], None, {}, 3, True, (), ())))


@pytest.mark.parametrize(
    ("signal_net", "yardstick_net", "said", "unsaid"),
    [
        ([10.0, -10.0] * 15, [-1.0] * 30, "no edge is shown", "yardstick earned"),
        ([1.0, -10.0] * 15, [-9.0] * 30, "lies below 1", "no edge is shown"),
        ([10.0, -1.0] * 15, [9.0] * 30, "yardstick earned +0.900 R", "no edge is shown"),
        ([10.0] * 19, [1.0] * 19, "Too few trades: 19", "yardstick earned"),
    ],
)
def test_the_notes_say_what_was_not_shown(
    signal_net: list[float], yardstick_net: list[float], said: str, unsaid: str
) -> None:
    words = told(signal_net, yardstick_net)
    assert said in words
    assert unsaid not in words
    assert "for 3 configuration(s) ever tried." in words


# Known markets


def test_on_the_planted_market_the_signal_beats_random_entries(planted: Walk) -> None:
    found = pool_random(planted.outcomes)
    assert found is not None
    assert found.profit_factor is not None
    assert found.expectancy_r is not None
    assert found.profit_factor.percentile > 99.0
    assert found.expectancy_r.percentile > 99.0


def test_on_the_null_market_without_costs_the_interval_contains_one(root: Path, tmp_path: Path) -> None:
    outcomes = walk_forward(example_plan(root, "null"), example_windows(), tmp_path)
    found = pool(outcomes, [one.signal for one in outcomes], seed=7, trials=1)
    assert found.figures.trades > 100
    assert found.pf_low is not None
    assert found.pf_high is not None
    assert found.pf_low < 1.0 < found.pf_high


def test_every_model_is_traded_alone_and_with_all_others(planted: Walk) -> None:
    for found in planted.outcomes:
        assert tuple(found.variants) == VARIANTS
        legs = [found.signal, *found.variants.values()]
        assert all(len(one.net) > 20 for one in legs)
        assert len({one.net.tobytes() for one in legs}) == len(legs), "each model changes something"
        # The risk model changes sizes, not what a trade earns in units of its risk.
        assert np.allclose(found.variants["risk"].r, found.signal.r, atol=0.05)


@pytest.mark.parametrize(
    ("section", "change", "missing"),
    [
        ("risk_model", {"min_trades": 100_000}, ("risk",)),
        ("position_model", {"min_entries": 100_000}, ("position", "sltp", "risk")),
    ],
)
def test_a_fold_that_cannot_train_a_model_goes_on_without_it(
    planted: Walk, tmp_path: Path, section: str, change: dict[str, int], missing: tuple[str, ...]
) -> None:
    ml_settings = planted.plan.ml_settings
    scarce = ml_settings.model_copy(update={section: getattr(ml_settings, section).model_copy(update=change)})
    window = example_windows()[0]
    plan = replace(planted.plan, ml_settings=scarce, history=fold_bars(planted.plan.history, window, USUAL))
    found = run_fold(plan, window)
    whole = planted.outcomes[0]
    assert tuple(found.untrained) == missing
    assert "100000" in found.untrained[missing[0]]
    assert found.signal.net.tobytes() == whole.signal.net.tobytes()
    # A model that is not there changes nothing; those that are there trade as they would beside it.
    for name in ("position", "sltp", "risk"):
        expected = whole.signal if name in missing else whole.variants[name]
        assert found.variants[name].net.tobytes() == expected.net.tobytes(), name
    save_outcome(tmp_path / "fold.npz", found)
    assert load_outcome(tmp_path / "fold.npz").untrained == found.untrained
    pooled = pool([found], [found.signal], seed=1, trials=1)
    words = notes(WalkForward((found,), pooled, pooled, pooled, None, {}, 1, True, (), ()))
    for name in missing:
        assert any(note.startswith(f"Fold 1 went on without the {name} model: ") for note in words)


def test_the_signal_leg_is_the_same_with_and_without_the_other_models(planted: Walk) -> None:
    window = example_windows()[0]
    alone = run_fold(
        replace(planted.plan, history=fold_bars(planted.plan.history, window, USUAL), all_models=False), window
    )
    assert alone.variants == {}
    # What the other models learned from may reach further than the signal labels.
    known, together = (numbers_of(one) for one in (alone, planted.outcomes[0]))
    assert {name for name in known if known[name] != together[name]} <= {"train_cutoff"}


# The cache


def test_two_jobs_give_the_same_numbers_as_one(planted: Walk, tmp_path: Path) -> None:
    again = walk_forward(planted.plan, example_windows(), tmp_path, jobs=2)
    assert [numbers_of(one) for one in again] == [numbers_of(one) for one in planted.outcomes]


def test_finished_folds_are_read_back_byte_for_byte(planted: Walk) -> None:
    heard: list[bool] = []
    again = walk_forward(planted.plan, example_windows(), planted.cache, done=lambda _, known: heard.append(known))
    assert heard == [True, True]
    assert [numbers_of(one) for one in again] == [numbers_of(one) for one in planted.outcomes]


def test_a_fold_is_known_by_everything_that_decides_it(planted: Walk) -> None:
    plan, (window, other) = planted.plan, example_windows()
    bars = fold_bars(plan.history, window, USUAL)
    changed = bars.copy()
    changed.loc[len(bars) - 1, "close"] += 0.01
    settings = plan.settings.model_copy(update={"max_consecutive_losses": 3})
    keys = [
        fold_key(plan, window, bars),
        fold_key(plan, window, changed),
        fold_key(plan, other, bars),
        fold_key(replace(plan, settings=settings), window, bars),
        fold_key(replace(plan, seed=8), window, bars),
        fold_key(replace(plan, quantile=0.9), window, bars),
    ]
    assert len(set(keys)) == len(keys)
    training = plan.ml_settings.training.model_copy(update={"threads": 5})
    threads = replace(plan, ml_settings=plan.ml_settings.model_copy(update={"training": training}))
    assert fold_key(threads, window, bars) == keys[0]


def test_a_damaged_fold_is_named(tmp_path: Path) -> None:
    file = tmp_path / "fold.npz"
    save_outcome(file, outcome(0, leg([1.0], [1.1])))
    assert numbers_of(load_outcome(file)) == numbers_of(outcome(0, leg([1.0], [1.1])))
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StorageError, match=r"fold\.npz"):
        load_outcome(file)


# The command


def test_the_widest_fold_table_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    wide = replace(leg([999_999.0, -1.0] * 5_000, [0.001], max_drawdown=0.999), halted=True)
    # Windows that begin within a day are the widest dates.
    folds = [outcome(number, wide) for number in range(1, 3)]
    pooled = pool(folds, [wide, wide], seed=1, trials=1)
    print_walk(WalkForward(tuple(folds), pooled, pooled, pooled, None, {}, 1, False, (), ()))
    assert "\N{HORIZONTAL ELLIPSIS}" not in capsys.readouterr().out


@pytest.fixture
def flags(root: Path, tmp_path: Path, planted: Walk) -> Iterator[list[str]]:
    """The example walk as a command line; it hits the cache of the module's walk when given it."""
    save_bars(tmp_path / "bars.parquet", planted.plan.history)
    (tmp_path / "ml_config.json").write_text(json.dumps(example_models(root, spread=16.95)))
    (tmp_path / "config.json").write_text(planted.plan.settings.model_dump_json(exclude={"schema_reference"}))
    yield [
        *("--data", str(tmp_path / "bars.parquet"), "--ml-config", str(tmp_path / "ml_config.json")),
        *("--config", str(tmp_path / "config.json"), "--start", f"{START:%Y-%m-%d}", "--end", f"{END:%Y-%m-%d}"),
        *("--folds", "2", "--train-days", str(TRAIN_DAYS), "--random-runs", "60", "--report", str(tmp_path / "r.html")),
    ]


def test_the_command_prints_and_writes_what_was_found(planted: Walk, flags: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*flags, "--cache", str(planted.cache), "--json", str(tmp_path / "walk.json")])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("found in the cache") == 2
    assert "SYNTHETIC DATA (planted market)" in done.stdout
    assert "State the true number with --trials" in done.stdout
    assert "\N{HORIZONTAL ELLIPSIS}" not in done.stdout, "a figure is cut off"
    found = json.loads((tmp_path / "walk.json").read_text())
    pooled = pool(planted.outcomes, [one.signal for one in planted.outcomes], seed=7, trials=1)
    assert found["signal_trades"] == sum(fold["signal_trades"] for fold in found["fold_list"])
    assert found["signal_profit_factor"] == pooled.figures.profit_factor
    assert found["fold_list"][0]["train_start"] == "2022-01-25"
    page = (tmp_path / "r.html").read_text()
    assert "SYNTHETIC DATA" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_stated_trials_deflate(planted: Walk, flags: list[str], tmp_path: Path) -> None:
    left = []
    for trials in ("1", "50"):
        words = ["--cache", str(planted.cache), "--json", str(tmp_path / "walk.json"), "--trials", trials]
        done = CliRunner().invoke(command, [*flags, *words])
        assert done.exit_code == 0, done.output
        assert "State the true number" not in done.stdout
        left.append(json.loads((tmp_path / "walk.json").read_text())["signal_deflated_sharpe"])
    assert left[1] < left[0]


def test_an_end_before_the_start_is_refused(flags: list[str]) -> None:
    assert isinstance(CliRunner().invoke(command, [*flags, "--end", "2022-01-01"]).exception, UsageError)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_walk_goes_on_where_it_was(planted: Walk, flags: list[str], root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    script = [sys.executable, "scripts/walk_forward.py", *flags, "--cache", str(cache)]
    killed = subprocess.Popen(script, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(cache.glob("fold-*.npz")) and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = {file: file.stat().st_mtime_ns for file in cache.glob("fold-*.npz")}
    assert len(kept) == 1, "the walk ended before it could be killed"

    done = CliRunner().invoke(command, [*flags, "--cache", str(cache), "--json", str(tmp_path / "walk.json")])
    assert done.exit_code == 0, done.output
    assert done.stderr.count("found in the cache") == 1
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    files = {load_outcome(file).window.number: load_outcome(file) for file in cache.glob("fold-*.npz")}
    assert [numbers_of(files[n]) for n in (1, 2)] == [numbers_of(one) for one in planted.outcomes]
