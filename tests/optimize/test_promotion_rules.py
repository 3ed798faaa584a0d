"""What a challenger must show: every check at its boundary, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from novosky.settings.ml import Decision
from optimize.steps.promotion_rules import Check, Evidence, decide

BETTER = Evidence(
    new_score=10.2,
    old_score=10.0,
    new_trades=30,
    old_trades=50,
    new_return=0.10,
    old_return=0.05,
    incumbent=True,
    unseen_days=36,
    probability=0.60,
    probability_whole=0.9,
    deflated_sharpe=0.95,
    trials=100,
    pbo=0.2,
    folds=4,
    folds_won=3,
)
STRICT = Decision(min_deflated_sharpe=0.95, max_pbo=0.2, min_positive_folds=0.75)


def check(name: str, evidence: Evidence, rules: Decision) -> Check:
    (found,) = (each for each in decide(evidence, rules).checks if each.name == name)
    return found


def test_everything_exactly_at_its_limit_is_enough() -> None:
    verdict = decide(BETTER, STRICT)
    assert verdict.approved
    assert verdict.reason.startswith("shipped: 30 trades, at least 30 needed; score at equal risk 10.20 against 10.00")
    assert [each.required for each in verdict.checks] == [True] * 6


@pytest.mark.parametrize(
    ("change", "failed", "words"),
    [
        ({"new_trades": 29}, "trades", "29 trades, at least 30 needed"),
        ({"new_score": 10.199}, "2 % gate", "score at equal risk 10.20 against 10.00, at least 10.20 needed"),
        ({"new_score": None}, "2 % gate", "the challenger has too few trades for a score"),
        ({"probability": 0.599}, "bootstrap", "P(new > old) on the 36 days nothing was chosen on 0.60"),
        ({"probability": None, "unseen_days": 19}, "bootstrap", "the 19 unseen days are too few to compare"),
        ({"deflated_sharpe": 0.949}, "deflated Sharpe", "deflated Sharpe after 100 trials 0.95, at least 0.95 needed"),
        ({"deflated_sharpe": None}, "deflated Sharpe", "no deflated Sharpe: too few days or no variance"),
        ({"pbo": 0.201}, "overfitting", "probability of backtest overfitting of the sweep 0.20, at most 0.20 allowed"),
        ({"pbo": None}, "overfitting", "no PBO: no sweep"),
        ({"folds_won": 2}, "folds", "2 of 4 walk-forward folds gained, a share of 75% needed"),
        ({"folds": 0, "folds_won": 0}, "folds", "no search, so no walk-forward folds"),
    ],
)
def test_one_required_check_that_fails_keeps_the_incumbent(change: dict[str, Any], failed: str, words: str) -> None:
    verdict = decide(replace(BETTER, **change), STRICT)
    assert not verdict.approved
    assert [each.name for each in verdict.checks if not each.passed] == [failed]
    assert verdict.reason == f"reverted: {next(each.text for each in verdict.checks if not each.passed)}"
    assert words in verdict.reason


@pytest.mark.parametrize("change", [{"deflated_sharpe": None}, {"pbo": None}, {"folds": 0}, {"pbo": 1.0}])
def test_what_is_not_required_is_told_and_decides_nothing(change: dict[str, Any]) -> None:
    rules = Decision()
    verdict = decide(replace(BETTER, **change), rules)
    assert verdict.approved
    assert sum(each.required for each in verdict.checks) == 3
    assert "overfitting" not in verdict.reason


def test_a_probability_that_is_not_required_may_be_unknown() -> None:
    rules = Decision(min_probability=None)
    assert decide(replace(BETTER, probability=None), rules).approved


@pytest.mark.parametrize(("returned", "approved"), [(0.0, False), (-0.01, False), (1e-6, True)])
def test_without_an_incumbent_the_challenger_must_earn(returned: float, approved: bool) -> None:
    first = replace(BETTER, incumbent=False, old_score=None, old_return=0.0, new_return=returned)
    gate = check("2 % gate", first, Decision())
    assert gate.passed is approved
    assert gate.text.startswith("there is no incumbent, so the challenger must earn")


@pytest.mark.parametrize(("old", "new", "approved"), [(0.05, 0.05, False), (0.05, 0.051, True), (-0.5, -0.1, False)])
def test_an_incumbent_without_a_score_must_be_out_earned(old: float, new: float, approved: bool) -> None:
    gate = check("2 % gate", replace(BETTER, old_score=None, old_return=old, new_return=new), Decision())
    assert gate.passed is approved
    assert gate.text.startswith("the incumbent has too few trades for a score")


@pytest.mark.parametrize(("new", "approved"), [(0.0, False), (0.001, True)])
def test_two_losers_that_tie_at_zero_do_not_replace_each_other(new: float, approved: bool) -> None:
    assert check("2 % gate", replace(BETTER, new_score=new, old_score=0.0), Decision()).passed is approved


def test_a_threshold_of_zero_asks_for_as_much_as_before() -> None:
    rules = Decision(min_improvement=0.0)
    assert check("0 % gate", replace(BETTER, new_score=10.0), rules).passed
    assert not check("0 % gate", replace(BETTER, new_score=9.999), rules).passed


def test_the_gate_is_named_as_it_is_set() -> None:
    assert check("2.5 % gate", BETTER, Decision(min_improvement=0.025)).passed is False


@pytest.mark.parametrize(("old", "new", "improvement"), [(10.0, 10.2, 0.02), (None, 1.0, None), (0.0, 1.0, None)])
def test_an_improvement_needs_two_scores(old: float | None, new: float, improvement: float | None) -> None:
    assert replace(BETTER, old_score=old, new_score=new).improvement == pytest.approx(improvement)
    assert replace(BETTER, old_score=old, new_score=None).improvement is None


@pytest.mark.parametrize(("probability", "publishable"), [(0.6, True), (0.54, False), (None, False)])
def test_a_first_set_is_used_where_it_earns_and_published_where_it_beats_cash(
    probability: float | None, publishable: bool
) -> None:
    first = replace(BETTER, incumbent=False, old_score=None, old_return=0.0, new_return=0.04, probability=probability)
    verdict = decide(first, Decision())
    assert verdict.approved
    assert verdict.publishable is publishable
