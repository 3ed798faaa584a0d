"""Two configurations head to head: the same bars, honest about what the data can tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from backtest.comparison import FIGURES, compare
from backtest.metrics import Metrics, compute_metrics
from novosky.measures.selection import paired_bootstrap
from tests.helpers.backtest_examples import written_down
from tests.helpers.command_line import Answer, run_script
from tests.helpers.desk import Desk

DAYS = 400


def market(seed: int, days: int = DAYS) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0.0, 0.03, days)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def figures(profits: list[float]) -> Metrics:
    return compute_metrics(written_down(profits), rng(), m1=False)


SOME = figures([2.0, -1.0] * 12)


def test_what_the_market_did_cancels() -> None:
    days = market(1)
    paired = paired_bootstrap(days + 0.001, days, rng())
    assert paired.mean_low == pytest.approx(0.001) and paired.mean_high == pytest.approx(0.001)
    assert paired.mean_probability == 1.0


def test_the_interval_lies_around_the_mean_and_turns_with_the_sides() -> None:
    new, old = market(1), market(2)
    forth, back = paired_bootstrap(new, old, rng()), paired_bootstrap(old, new, rng())
    assert forth.mean_difference == pytest.approx(np.mean(new - old))
    assert forth.mean_low < forth.mean_difference < forth.mean_high
    assert (back.mean_low, back.mean_high) == pytest.approx((-forth.mean_high, -forth.mean_low))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        paired = paired_bootstrap(draw.normal(0.002, 0.02, 120), draw.normal(0.0, 0.02, 120), rng(), resamples=400)
        hits += paired.mean_low <= 0.002 <= paired.mean_high
    assert 0.88 <= hits / 200 <= 0.99


def test_blocks_widen_the_interval_of_days_that_resemble_their_neighbours() -> None:
    drift = np.repeat(np.random.default_rng(5).normal(0.0, 0.02, 40), 10)
    single = paired_bootstrap(drift, np.zeros(400), rng(), block=1.0)
    blocks = paired_bootstrap(drift, np.zeros(400), rng(), block=20.0)
    assert blocks.mean_high - blocks.mean_low > 1.5 * (single.mean_high - single.mean_low)


def test_the_same_seed_gives_the_same_interval() -> None:
    assert paired_bootstrap(market(1), market(2), rng()) == paired_bootstrap(market(1), market(2), rng())


def test_too_few_days_have_no_interval() -> None:
    few = compare(SOME, SOME, market(1, 29), market(2, 29), rng())
    assert few.paired is None and few.verdict == "too short"
    assert compare(SOME, SOME, market(1, 30), market(2, 30), rng()).paired is not None


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        paired_bootstrap(np.full(40, np.nan), market(2, 40), rng())
    with pytest.raises(ValueError, match="two days"):
        paired_bootstrap(market(1, 40), market(2, 41), rng())


@pytest.mark.parametrize(
    ("new", "old", "verdict", "words"),
    [
        (market(1) + 0.01, market(1), "new", "The new one is better, and the data can tell"),
        (market(1) - 0.01, market(1), "old", "The old one is better, and the data can tell"),
        (market(1), market(2), "undecided", "cannot tell which is better"),
        (market(1), market(1), "identical", "nothing tells them apart"),
        (market(1, 20), market(2, 20), "too short", "fewer than 30 days"),
    ],
)
def test_verdict(new: npt.NDArray[np.float64], old: npt.NDArray[np.float64], verdict: str, words: str) -> None:
    comparison = compare(SOME, SOME, old, new, rng())
    assert comparison.verdict == verdict
    assert words in comparison.words


def test_words_set_the_scores_apart_and_say_when_there_is_none() -> None:
    higher = figures([3.0, -1.0] * 12)
    assert "is above the old" in compare(SOME, higher, market(1), market(2), rng()).words
    assert "the new run made 4 of at least 20" in compare(SOME, figures([1.0] * 4), market(1), market(2), rng()).words


def test_json_is_flat_with_both_sides_and_their_difference() -> None:
    other = figures([3.0, -1.0] * 12)
    flat = compare(SOME, other, market(1), market(2), rng()).as_dict()
    assert not any(isinstance(value, dict | list) for value in flat.values())
    assert {f"{side}_{name}" for side in ("old", "new", "difference") for name in FIGURES} <= set(flat)
    assert flat["difference_trades"] == 0
    assert flat["difference_profit_factor"] == pytest.approx(1.0)


def run(desk: Desk, cwd: Path, *arguments: object, **files: object) -> Answer:
    given = {"old-config": desk.config, "old-ml": desk.ml_config, "new-config": desk.config, "new-ml": desk.ml_config}
    given |= {"models": desk.models, "data": desk.bars} | {key.replace("_", "-"): value for key, value in files.items()}
    flat = [part for name, value in given.items() for part in (f"--{name}", value)]
    return run_script("scripts/compare_configs.py", *flat, *arguments, cwd=cwd)


def altered(path: Path, source: Path, **sections: dict[str, object]) -> Path:
    content = json.loads(source.read_text(encoding="utf-8"))
    for name, values in sections.items():
        content[name] |= values
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_configuration_against_itself_is_identical(desk: Desk, tmp_path: Path) -> None:
    answer = run(desk, tmp_path, "--json", tmp_path / "out.json", "--days", 60)
    assert answer.code == 0, answer.err
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["verdict"] == "identical" and content["changes"] == ""
    assert content["old_trades"] == content["new_trades"] > 0
    assert all(content[f"difference_{name}"] in (0, None) for name in FIGURES)
    assert "What differs: nothing" in answer.out
    assert "SYNTHETIC DATA" in answer.out


def test_both_sides_are_the_backtests_of_their_own_files(desk: Desk, tmp_path: Path) -> None:
    old = altered(tmp_path / "old.json", desk.config, dynamic_position_sizing={"risk_percent": 0.5})
    answer = run(desk, tmp_path, "--json", tmp_path / "out.json", "--days", 60, "--spread", 5, old_config=old)
    assert answer.code == 0, answer.err
    compared = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    for side, config in (("old", old), ("new", desk.config)):
        alone = run_script(
            "backtest_config.py", "--config", config, "--ml-config", desk.ml_config, "--models", desk.models,
            "--data", desk.bars, "--days", 60, "--spread", 5, "--no-chart", "--json", tmp_path / f"{side}-alone.json",
            cwd=tmp_path,
        )  # fmt: skip
        assert alone.code == 0, alone.err
        single = json.loads((tmp_path / f"{side}-alone.json").read_text(encoding="utf-8"))
        assert {name: compared[f"{side}_{name}"] for name in FIGURES} == {name: single[name] for name in FIGURES}
    assert "config.dynamic_position_sizing.risk_percent: 0.5 -> 1.5" in answer.out


def test_different_costs_are_pointed_out(desk: Desk, tmp_path: Path) -> None:
    old = altered(tmp_path / "old.json", desk.config, costs={"slippage": 9.0})
    answer = run(desk, tmp_path, "--days", 30, old_config=old)
    assert answer.code == 0, answer.err
    assert "assumptions differ (config.costs.slippage)" in answer.out


def test_models_that_cannot_serve_one_side_are_named_with_the_option(desk: Desk, tmp_path: Path) -> None:
    content = json.loads(desk.ml_config.read_text(encoding="utf-8"))
    content["features"] = content["features"][:-1]
    (tmp_path / "old_ml.json").write_text(json.dumps(content), encoding="utf-8")
    answer = run(desk, tmp_path, old_ml=tmp_path / "old_ml.json")
    assert answer.code == 6
    assert "cannot serve the old side" in answer.err and "--old-models" in answer.err


def test_out_of_sample_begins_after_both_cutoffs(desk: Desk, tmp_path: Path) -> None:
    answer = run(desk, tmp_path, "--oos-only", "--json", tmp_path / "out.json")
    assert answer.code == 0, answer.err
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["old_oos"] is True and content["new_oos"] is True


def test_the_old_files_must_be_named(tmp_path: Path) -> None:
    assert run_script("scripts/compare_configs.py", cwd=tmp_path).code == 2


def test_the_result_is_not_written_over_an_input(desk: Desk, tmp_path: Path) -> None:
    old = altered(tmp_path / "old.json", desk.config)
    assert run(desk, tmp_path, "--json", old, old_config=old).code == 2
