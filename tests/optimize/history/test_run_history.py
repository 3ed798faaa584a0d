"""What optimisation runs leave behind: complete, in order, never written over when damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from novosky.errors import StorageError
from novosky.settings import load_ml_settings, load_settings
from optimize.history import (
    BestRun,
    Evidence,
    OptimizeEntry,
    PerfRow,
    StrategyParams,
    append_optimize_log,
    append_perf_history,
    improvement_pct,
    parameters_in_force,
    update_optimize_best,
    write_strategy_params,
)
from optimize.history.perf_history import HEADER, row_line

ROOT = Path(__file__).resolve().parents[3]
SUNDAY = datetime(2024, 3, 3, 2, 0, tzinfo=UTC)
ROW = PerfRow(
    ended_at=SUNDAY,
    run_id="w1",
    profile_name="balanced",
    decision="COMMIT",
    score_before=6.0,
    score_after=6.6,
    trades=120,
    win_rate=0.55,
    profit_factor=1.9,
    max_drawdown=0.081,
    total_return=0.2,
    oos_start=datetime(2023, 9, 1, tzinfo=UTC),
    oos_end=datetime(2024, 3, 1, tzinfo=UTC),
    models="v20240303-p3",
    reason="score up 10 %",
)
ENTRY = OptimizeEntry(
    run_id="w1",
    iteration=1,
    finished_at=SUNDAY,
    command="weekly_optimize",
    profile_name="balanced",
    decision="REVERT",
    reason="below the 2 % gate",
    baseline_score=6.0,
    final_score=6.06,
    improvement_pct=1.0,
    params={"prediction.confidence_threshold": 0.6},
    evidence=Evidence(configurations_tried=51, deflated_sharpe=0.4),
)
BEST = BestRun(score=6.6, profile_name="balanced", achieved_at=SUNDAY, run_id="w1", config={"a": 1}, ml_config={"b": 2})


def rows_of(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[lines.index(HEADER) + 2 :]


def test_first_run_begins_the_page(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, ROW)
    assert rows_of(page) == [
        "| 2024-03-03 02:00 | w1 | balanced | COMMIT | 6.00 | 6.60 | 120 | 55.0% | 1.90 | 8.1% | 20.0% "
        "| 2023-09-01 to 2024-03-01 | v20240303-p3 | score up 10 % |"
    ]


def test_runs_stand_by_date_whatever_the_order_of_writing(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    for number, days in ((1, 7), (2, 0), (3, 14), (4, 7)):
        append_perf_history(page, replace(ROW, run_id=f"w{number}", ended_at=SUNDAY + timedelta(days=days)))
    assert [line.split(" | ")[1] for line in rows_of(page)] == ["w2", "w1", "w4", "w3"]


def test_times_are_shown_in_utc() -> None:
    local = datetime(2024, 3, 3, 5, 0, tzinfo=timezone(timedelta(hours=3)))
    assert row_line(replace(ROW, ended_at=local)) == row_line(ROW)


def test_the_same_run_again_changes_no_byte(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, ROW)
    append_perf_history(page, replace(ROW, run_id="w2", ended_at=SUNDAY + timedelta(days=7)))
    before = page.read_bytes()
    append_perf_history(page, ROW)
    assert page.read_bytes() == before


def test_a_run_cannot_be_rewritten(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, ROW)
    before = page.read_bytes()
    with pytest.raises(StorageError, match="already holds run w1"):
        append_perf_history(page, replace(ROW, score_after=9.0))
    assert page.read_bytes() == before


def test_bars_and_line_ends_in_words_do_not_break_the_table(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, replace(ROW, reason="a | b\nc \\| d"))
    append_perf_history(page, replace(ROW, run_id="w|2", ended_at=SUNDAY + timedelta(days=7)))
    append_perf_history(page, replace(ROW, run_id="w|2", ended_at=SUNDAY + timedelta(days=7)))
    assert len(rows_of(page)) == 2


def test_unknown_figures_are_dashes() -> None:
    line = row_line(replace(ROW, score_after=None, trades=None, win_rate=None, oos_end=None, models=None))
    assert line.split(" | ")[5:8] == ["-", "-", "-"]
    assert line.split(" | ")[11:13] == ["-", "-"]


def test_prose_around_the_table_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, ROW)
    page.write_text("Ours.\n\n" + page.read_text(encoding="utf-8") + "\nNotes below.\n", encoding="utf-8")
    append_perf_history(page, replace(ROW, run_id="w2", ended_at=SUNDAY + timedelta(days=7)))
    lines = page.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("Ours.", "Notes below.")
    assert "| w2 |" in lines[lines.index(HEADER) + 3]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("| Run |", "| Name |"), "head is missing or altered"),
        (lambda text: text.replace("---|", "", 1), "rule below the table's head"),
        (lambda text: text.replace(" | balanced", "", 1), "has 13 cells instead of 14"),
        (lambda text: text.replace("2024-03-03", "3 March"), "not a time"),
        (lambda text: text.replace("2024-03-10", "2024-02-10"), "older than the row above"),
        (lambda text: text.replace("| w2 |", "| w1 |"), "run w1 has more than one row"),
        (lambda text: text.replace("| 2024-03-10", "=======\n| 2024-03-10"), "no row of it"),
        (lambda text: "only words\n", "head is missing or altered"),
    ],
)
def test_a_damaged_page_is_refused_and_left_alone(tmp_path: Path, damage, message: str) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "PERF_HISTORY.md"
    append_perf_history(page, ROW)
    append_perf_history(page, replace(ROW, run_id="w2", ended_at=SUNDAY + timedelta(days=7)))
    page.write_text(damage(page.read_text(encoding="utf-8")), encoding="utf-8")
    before = page.read_bytes()
    with pytest.raises(StorageError, match=message):
        append_perf_history(page, replace(ROW, run_id="w3", ended_at=SUNDAY + timedelta(days=14)))
    assert page.read_bytes() == before


def test_the_log_keeps_every_iteration_with_the_promised_fields(tmp_path: Path) -> None:
    log = tmp_path / "models" / "optimize_log.json"
    append_optimize_log(log, ENTRY)
    append_optimize_log(log, ENTRY.model_copy(update={"iteration": 2}))
    entries = json.loads(log.read_text(encoding="utf-8"))
    assert [entry["iteration"] for entry in entries] == [1, 2]
    promised = {"iteration", "decision", "baseline_score", "final_score", "improvement_pct", "params"}
    assert promised <= set(entries[0])
    assert entries[0]["finished_at"] == "2024-03-03T02:00:00Z"
    assert entries[0]["evidence"]["overfitting_probability"] is None


def test_the_log_takes_an_iteration_once(tmp_path: Path) -> None:
    log = tmp_path / "optimize_log.json"
    append_optimize_log(log, ENTRY)
    before = log.read_bytes()
    append_optimize_log(log, ENTRY)
    assert log.read_bytes() == before
    with pytest.raises(StorageError, match="iteration 1 of run w1"):
        append_optimize_log(log, ENTRY.model_copy(update={"final_score": 9.0}))
    assert log.read_bytes() == before


def test_entries_of_older_programs_stay_as_they_are(tmp_path: Path) -> None:
    log = tmp_path / "optimize_log.json"
    log.write_text('[{"iteration": 1, "decision": "REVERT", "note": "older"}]', encoding="utf-8")
    append_optimize_log(log, ENTRY)
    assert json.loads(log.read_text(encoding="utf-8"))[0] == {"iteration": 1, "decision": "REVERT", "note": "older"}


@pytest.mark.parametrize("content", ["[{", "{}", "[1]", "\xff"])
def test_a_damaged_log_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    log = tmp_path / "optimize_log.json"
    log.write_bytes(content.encode("latin-1"))
    with pytest.raises(StorageError, match=r"optimize_log\.json"):
        append_optimize_log(log, ENTRY)
    assert log.read_bytes() == content.encode("latin-1")


@pytest.mark.parametrize(
    ("baseline", "final", "percent"),
    [(6.0, 6.06, 1.0), (6.0, 3.0, -50.0), (None, 6.0, None), (6.0, None, None), (0.0, 1.0, None)],
)
def test_improvement(baseline: float | None, final: float | None, percent: float | None) -> None:
    assert improvement_pct(baseline, final) == percent


def test_only_a_better_score_becomes_the_best(tmp_path: Path) -> None:
    best = tmp_path / "optimize_best.json"
    assert update_optimize_best(best, BEST)
    assert not update_optimize_best(best, BEST.model_copy(update={"run_id": "w2"}))
    assert not update_optimize_best(best, BEST.model_copy(update={"run_id": "w3", "score": 6.5}))
    assert update_optimize_best(best, BEST.model_copy(update={"run_id": "w4", "score": 6.7}))
    content = json.loads(best.read_text(encoding="utf-8"))
    assert (content["score"], content["run_id"], content["config"]) == (6.7, "w4", {"a": 1})
    assert content["achieved_at"][:10] == "2024-03-03"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"score": "6"}', '{"score": NaN}', '{"score": true}'])
def test_a_best_without_a_score_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    best = tmp_path / "optimize_best.json"
    best.write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match=r"optimize_best\.json"):
        update_optimize_best(best, BEST)
    assert best.read_text(encoding="utf-8") == content


def test_parameters_in_force_are_those_of_the_strategy() -> None:
    parameters = parameters_in_force(load_settings(ROOT / "config.json"), load_ml_settings(ROOT / "ml_config.json"))
    assert parameters["config.dynamic_position_sizing.risk_percent"] == 1.5
    assert parameters["ml_config.prediction.confidence_threshold"] == 0.58
    assert not any(name.startswith(("config.account", "config.broker", "config.costs")) for name in parameters)


def test_strategy_params_replace_those_before(tmp_path: Path) -> None:
    path = tmp_path / "strategy_params.json"
    params = StrategyParams(
        run_id="w1",
        profile_name="balanced",
        applied_at=SUNDAY,
        reason="score up 10 %",
        approved=True,
        score=6.6,
        parameters={"config.max_daily_loss": 6.0},
        models=None,
        evidence=Evidence(trades=120),
    )
    write_strategy_params(path, params)
    write_strategy_params(path, params.model_copy(update={"run_id": "w2"}))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["run_id"], content["approved"], content["evidence"]["trades"]) == ("w2", True, 120)
    assert content["parameters"] == {"config.max_daily_loss": 6.0}
