"""The study of a search: exact counts, resumption, pruning, what may be compared, what may be told."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from ml.tune.adoption import SettingsFile, adopt
from ml.tune.scoring import TOO_FEW
from ml.tune.search import search_settings
from ml.tune.storage import held_study, parse_storage, public_text, sqlite_storage, storage_errors
from ml.tune.study import SearchOutcome, run_search
from novosky.data.synthetic import synthetic_bars
from novosky.errors import LockedError, NovoskyError, SettingsError, StorageError, UsageError
from novosky.settings import load_ml_settings
from novosky.settings.ml import TuningProvenance
from tests.ml.tune.tune_examples import FOLDS, PEAK, ArithmeticObjective, arithmetic_plan, arithmetic_settings

ROOT = Path(__file__).resolve().parents[3]
SECRET_URL = "postgresql://nadia:hunter%2042@db.example:5432/novosky?sslpassword=keyring"
SECRETS = ("nadia", "hunter%2042", "hunter 42", "keyring")


def search(folder: Path, trials: int, objective: ArithmeticObjective | None = None, **given: Any) -> SearchOutcome:
    threshold = given.pop("threshold", 0.45)
    return run_search(
        objective or ArithmeticObjective(),
        arithmetic_settings(threshold),
        arithmetic_plan(folder, trials, **given),
        lambda step, finished: None,
    )


def tried(outcome: SearchOutcome) -> list[dict[str, float]]:
    return [dict(trial.values) for trial in outcome.trials]


def states(folder: Path, study: str) -> list[TrialState]:
    loaded = optuna.load_study(study_name=study, storage=f"sqlite:///{folder / 'studies.sqlite'}")
    return [trial.state for trial in loaded.get_trials()]


@pytest.fixture
def settings_file(tmp_path: Path, root: Path) -> Path:
    path = tmp_path / "ml_config.json"
    content = json.loads((root / "ml_config.json").read_text())
    content["prediction"]["confidence_threshold"] = 0.45
    content.pop("tuning", None)
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


@pytest.fixture
def bars() -> pd.DataFrame:
    return synthetic_bars("planted", 50, seed=1)


def record(**changed: Any) -> TuningProvenance:
    given = {
        "study": "signal-1",
        "storage": "sqlite:///studies.sqlite",
        "trials": 12,
        "best_value": 0.1,
        "baseline_value": 0.05,
        "trades": 120,
        "start": "2022-01-01T00:00:00Z",
        "end": "2022-02-01T00:00:00Z",
        "data_hash": "ab",
    }
    return TuningProvenance.model_validate(given | changed)


def test_the_present_settings_are_the_first_trial(tmp_path: Path) -> None:
    outcome = search(tmp_path, 3)
    assert outcome.trials[0] == outcome.baseline
    assert outcome.baseline.values["prediction.confidence_threshold"] == 0.45


def test_a_present_setting_beyond_its_bounds_is_tried_as_it_is(tmp_path: Path) -> None:
    assert search(tmp_path, 1, threshold=0.05).baseline.values["prediction.confidence_threshold"] == 0.05


def test_the_best_trial_is_nearer_the_peak_than_the_present_settings(tmp_path: Path) -> None:
    outcome = search(tmp_path, 12)
    assert outcome.best is not None
    assert outcome.improved
    assert outcome.best.value == max(trial.value for trial in outcome.trials if trial.eligible)
    assert abs(outcome.best.values["prediction.confidence_threshold"] - PEAK) < 0.1


def test_the_value_is_the_bound_over_all_folds(tmp_path: Path) -> None:
    outcome = search(tmp_path, 1)
    results = np.tile([1.0, -0.8], 60) - 0.1
    assert outcome.baseline.value == pytest.approx(results.mean() - results.std(ddof=1) / np.sqrt(120))
    assert [fold.trades for fold in outcome.baseline.folds] == [40, 40, 40]


def test_the_same_seed_tries_the_same_and_another_does_not(tmp_path: Path) -> None:
    one, two, other = (search(tmp_path / name, 6, seed=seed) for name, seed in (("one", 7), ("two", 7), ("other", 8)))
    assert tried(one) == tried(two)
    assert tried(one)[0] == tried(other)[0], "the present settings"
    assert tried(one)[1:] != tried(other)[1:]


def test_a_later_run_continues_to_the_number_asked_for_and_tries_the_same(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", 8)
    assert len(search(tmp_path / "parts", 3).trials) == 3
    rest = search(tmp_path / "parts", 8)
    assert (len(rest.trials), rest.earlier) == (8, 3)
    assert tried(rest) == tried(whole)
    again = search(tmp_path / "parts", 8)
    assert (len(again.trials), again.earlier) == (8, 8), "there was nothing left to do"


@pytest.mark.parametrize("folds_before_the_kill", [0, 1, 7, 14])
def test_a_killed_search_continues_to_exactly_the_number_asked_for(tmp_path: Path, folds_before_the_kill: int) -> None:
    killed = subprocess.run(
        [sys.executable, "-m", "tests.ml.tune.tune_examples", str(tmp_path), str(folds_before_the_kill)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == 9, killed.stderr
    outcome = search(tmp_path, 12)
    assert len(outcome.trials) == 12
    found = states(tmp_path, outcome.study)
    assert found.count(TrialState.FAIL) == 1, "the trial that was running does not count"
    assert found.count(TrialState.RUNNING) == 0
    (tmp_path / "whole").mkdir()
    assert tried(outcome) == tried(search(tmp_path / "whole", 12))


def test_an_interrupted_search_keeps_what_is_done(tmp_path: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 2 * FOLDS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, 6, ArithmeticObjective(before_fold=interrupt))
    outcome = search(tmp_path, 6)
    assert (outcome.earlier, len(outcome.trials)) == (2, 6)


def test_trials_worse_than_the_median_are_pruned_and_counted(tmp_path: Path) -> None:
    objective = ArithmeticObjective()
    outcome = search(tmp_path, 15, objective, threshold=PEAK)
    pruned = [trial for trial in outcome.trials if trial.pruned]
    assert len(outcome.trials) == 15
    assert pruned
    assert all(len(trial.folds) < FOLDS and not trial.eligible for trial in pruned)
    assert len(objective.runs) < 15 * FOLDS


def test_a_trial_with_too_few_trades_is_never_the_best(tmp_path: Path) -> None:
    # The peak itself trades too little.
    objective = ArithmeticObjective(acted=lambda threshold: 10 if threshold > 0.5 else 40)
    outcome = search(tmp_path, 12, objective)
    short = [trial for trial in outcome.trials if not trial.eligible and not trial.pruned]
    assert short
    assert all(trial.value < TOO_FEW and len(trial.folds) == 1 for trial in short)
    assert outcome.best is not None
    assert outcome.best.values["prediction.confidence_threshold"] <= 0.5


def test_where_the_present_settings_do_too_little_a_trial_must_beat_standing_aside(tmp_path: Path) -> None:
    losing = ArithmeticObjective(acted=lambda threshold: 40 if threshold > 0.8 else 3)
    outcome = search(tmp_path, 20, losing)
    assert len(outcome.baseline.folds) == FOLDS, "shown whole, to compare"
    assert not outcome.baseline.eligible
    assert outcome.best is not None
    assert TOO_FEW < outcome.best.value < 0.0
    assert not outcome.improved


def test_changed_settings_are_tried_although_the_study_is_full(tmp_path: Path) -> None:
    search(tmp_path, 3)
    outcome = search(tmp_path, 3, threshold=0.5)
    assert len(outcome.trials) == 4
    assert outcome.baseline.values["prediction.confidence_threshold"] == 0.5


def test_other_bars_get_another_study(tmp_path: Path) -> None:
    one, other = search(tmp_path, 2), search(tmp_path, 2, ArithmeticObjective(data="other bars"))
    assert one.study != other.study
    assert other.earlier == 0


def test_a_named_study_refuses_trials_that_cannot_be_compared(tmp_path: Path) -> None:
    search(tmp_path, 2, study="mine")
    with pytest.raises(UsageError, match="mine holds trials of other bars"):
        search(tmp_path, 2, ArithmeticObjective(data="other bars"), study="mine")
    with pytest.raises(UsageError, match="cannot be compared"):
        search(tmp_path, 2, study="mine", least=30)


def test_a_study_belongs_to_one_process(tmp_path: Path) -> None:
    url = sqlite_storage(tmp_path / "studies.sqlite")
    with (
        held_study(url, "mine"),
        pytest.raises(LockedError, match="another process is working on the study mine"),
        held_study(url, "mine"),
    ):
        pass
    with held_study(url, "mine"), held_study(url, "another") as other:
        assert other.study_name == "another"


def test_trials_of_a_dead_process_are_marked_as_failed(tmp_path: Path) -> None:
    url = sqlite_storage(tmp_path / "studies.sqlite")
    with held_study(url, "mine") as study:
        study.ask()
    with held_study(url, "mine") as study:
        assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL]


def outdate(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")


def come_from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v99.0.0.a'")


@pytest.mark.parametrize("change", [outdate, come_from_the_future])
def test_a_storage_of_another_optuna_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "studies.sqlite"
    search(tmp_path, 1)
    change(path)
    with pytest.raises(StorageError, match=r"another version of Optuna.*optuna storage upgrade"):
        search(tmp_path, 1)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "studies.sqlite").write_bytes(b"time,open,high,low,close\n" * 100)
    with pytest.raises(StorageError, match=r"studies\.sqlite failed"):
        search(tmp_path, 1)


@pytest.mark.parametrize("text", ["", "studies", "nonsense://host/db", "sqlite+nothing:///x"])
def test_an_unknown_storage_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"--storage.*sqlite:///"):
        parse_storage(text)


def test_what_is_shown_of_a_storage_holds_no_credentials() -> None:
    from sqlalchemy.engine import make_url

    shown = public_text(make_url(SECRET_URL))
    assert shown == "postgresql://db.example:5432/novosky"
    assert public_text(sqlite_storage(Path("/home/nadia/tuning/studies.sqlite"))) == "sqlite:///studies.sqlite"


def test_errors_of_the_database_hold_no_credentials() -> None:
    from sqlalchemy.engine import make_url

    told = "connection failed: user nadia, password hunter 42, key keyring\nDETAIL: hunter%2042"
    with pytest.raises(StorageError) as caught, storage_errors(make_url(SECRET_URL)):
        raise OperationalError("SELECT 1", {}, ConnectionError(told))
    assert "connection failed" in str(caught.value)
    assert [secret for secret in SECRETS if secret in str(caught.value)] == []


def test_an_unusable_storage_url_is_refused_without_its_credentials() -> None:
    for text in (SECRET_URL.replace("postgresql:", "nonsense:"), SECRET_URL.replace("5432", "port"), "nadia:hunter 42"):
        with pytest.raises(NovoskyError) as caught:
            parse_storage(text)
        assert [secret for secret in SECRETS if secret in str(caught.value)] == []


def run_on_file(path: Path, bars: pd.DataFrame, trials: int = 12, *, dry_run: bool = False) -> SearchOutcome:
    plan = arithmetic_plan(path.parent, trials)
    return search_settings(
        "signal", ArithmeticObjective(), bars, SettingsFile.read(path), plan, dry_run, lambda step, finished: None
    )


def test_better_settings_are_written_and_all_else_stays_byte_for_byte(settings_file: Path, bars: pd.DataFrame) -> None:
    before = settings_file.read_text()
    outcome = run_on_file(settings_file, bars)
    assert outcome.best is not None
    found = load_ml_settings(settings_file)
    assert found.prediction.confidence_threshold == outcome.best.values["prediction.confidence_threshold"]
    assert found.signal_model.rf.max_depth == outcome.best.values["signal_model.rf.max_depth"]
    after = settings_file.read_text()
    changed = (f'"confidence_threshold": {found.prediction.confidence_threshold}', '"confidence_threshold": 0.45')
    depth = (f'"max_depth": {found.signal_model.rf.max_depth}', '"max_depth": 8')
    assert after.startswith("{\n")
    restored = after.replace(*changed).replace(*depth, 1)
    assert restored.partition(',\n  "tuning": {')[0] == before.removesuffix("\n}\n")


def test_the_record_says_where_the_settings_come_from(settings_file: Path, bars: pd.DataFrame) -> None:
    outcome = run_on_file(settings_file, bars)
    tuning = load_ml_settings(settings_file).tuning
    assert tuning is not None
    assert tuning.signal is not None
    assert tuning.position is None
    assert outcome.best is not None
    assert (tuning.signal.study, tuning.signal.trials) == (outcome.study, 12)
    assert (tuning.signal.best_value, tuning.signal.baseline_value) == (outcome.best.value, outcome.baseline.value)
    assert tuning.signal.end == bars["time"].iloc[-1].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert str(settings_file.parent) not in settings_file.read_text()


def test_the_settings_it_wrote_are_the_ones_to_beat_next(settings_file: Path, bars: pd.DataFrame) -> None:
    first = run_on_file(settings_file, bars)
    written = settings_file.read_bytes()
    second = run_on_file(settings_file, bars)
    assert second.baseline == first.best
    assert (second.earlier, len(second.trials)) == (12, 12), "they need no trial of their own"
    assert not second.improved
    assert settings_file.read_bytes() == written


@pytest.mark.parametrize(("trials", "dry_run"), [(1, False), (12, True)])
def test_nothing_is_written_without_a_better_trial_or_in_a_dry_run(
    settings_file: Path, bars: pd.DataFrame, trials: int, dry_run: bool
) -> None:
    before = settings_file.read_bytes()
    assert run_on_file(settings_file, bars, trials, dry_run=dry_run).improved == dry_run
    assert settings_file.read_bytes() == before


def test_a_file_changed_during_the_search_is_not_written_over(settings_file: Path) -> None:
    file = SettingsFile.read(settings_file)
    settings_file.write_text(settings_file.read_text().replace("0.45", "0.46"))
    before = settings_file.read_bytes()
    with pytest.raises(SettingsError, match="was changed while the search ran"):
        adopt(file, {"prediction.confidence_threshold": 0.5}, "signal", record())
    assert settings_file.read_bytes() == before


def test_each_search_keeps_the_record_of_the_other(settings_file: Path) -> None:
    for kind in ("signal", "position"):
        adopt(SettingsFile.read(settings_file), {}, kind, record(study=kind))
    tuning = load_ml_settings(settings_file).tuning
    assert tuning is not None
    assert tuning.signal is not None
    assert tuning.position is not None
    assert (tuning.signal.study, tuning.position.study) == ("signal", "position")


def test_a_section_that_the_file_leaves_to_its_defaults_is_added(settings_file: Path) -> None:
    content = json.loads(settings_file.read_text())
    del content["signal_model"]
    settings_file.write_text(json.dumps(content))
    adopt(SettingsFile.read(settings_file), {"signal_model.rf.max_depth": 5}, "signal", record())
    assert load_ml_settings(settings_file).signal_model.rf.max_depth == 5
