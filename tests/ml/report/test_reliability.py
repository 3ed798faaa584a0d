"""Whether probabilities can be believed: tables, errors and scores of made-up probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ml.report.reliability import (
    Calibration,
    Spans,
    calibration_error,
    calibration_error_by_chance,
    measure,
    observed_share,
    quantile_edges,
    reliability_table,
    wilson_interval,
)
from novosky.measures.statistics import wilson_interval as wilson_of_counts

CLASSES = ("hold", "buy", "sell")
ROWS = 40_000
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]


def apart(rows: int) -> Spans:
    """Labels that do not overlap: every row counts."""
    bars = np.arange(rows, dtype=np.int64)
    return Spans(bars, bars)


def made_up(seed: int = 1, rows: int = ROWS) -> tuple[Floats, Labels]:
    """Probabilities, and labels drawn from exactly these probabilities."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet((2.0, 4.0, 4.0), rows)
    drawn = (probabilities.cumsum(axis=1) < rng.random(rows)[:, None]).sum(axis=1)
    return probabilities, drawn.astype(np.int8)


def measured(probabilities: Floats, labels: Labels, training_rates: Floats | None = None) -> Calibration:
    rates = np.bincount(labels, minlength=3) / len(labels) if training_rates is None else training_rates
    return measure(probabilities, labels, apart(len(labels)), rates, CLASSES)


@pytest.mark.parametrize(("wins", "trials"), [(0, 1), (5, 10), (37, 120), (300, 300)])
def test_the_interval_is_that_of_the_backtest(wins: int, trials: int) -> None:
    assert wilson_interval(wins / trials, trials) == pytest.approx(wilson_of_counts(wins, trials))


def test_bins_hold_equal_counts_and_rise() -> None:
    probabilities, labels = made_up()
    table = reliability_table(probabilities[:, 1], labels == 1, apart(ROWS))
    assert [one.observed.rows for one in table] == [ROWS // 10] * 10
    said = [one.predicted for one in table]
    assert said == sorted(said)


def test_rows_of_the_same_prediction_share_a_bin() -> None:
    predicted = np.repeat([0.2, 0.6], [70, 30])
    table = reliability_table(predicted, np.arange(100) % 2 == 0, apart(100))
    assert [(one.predicted, one.observed.rows) for one in table] == [(pytest.approx(0.2), 70), (pytest.approx(0.6), 30)]
    constant = reliability_table(np.full(50, 0.3), np.zeros(50, dtype=bool), apart(50))
    assert [one.observed.rows for one in constant] == [50]


def test_a_bin_holds_the_mean_prediction_the_observed_share_and_its_interval() -> None:
    happened = np.array([True, False, False, False])
    (only,) = reliability_table(np.array([0.1, 0.2, 0.3, 0.4]), happened, apart(4), bins=1)
    assert only.predicted == pytest.approx(0.25)
    assert only.observed.share == 0.25
    assert (only.observed.low, only.observed.high) == pytest.approx(wilson_of_counts(1, 4))
    assert only.believable


def test_edges_part_values_into_equal_counts() -> None:
    assert quantile_edges(np.arange(100.0), 4).tolist() == [25.0, 50.0, 75.0]


def test_perfect_probabilities_show_no_more_error_than_chance() -> None:
    found = measured(*made_up())
    for name in CLASSES:
        one = found.classes[name]
        assert one.calibration_error < 0.01
        assert one.calibration_error == pytest.approx(one.calibration_error_by_chance, rel=0.75)
        assert one.bins_missed <= 2, "by chance 1 in 20"
        assert one.mean_predicted == pytest.approx(one.base_rate, abs=0.01)


def test_the_error_by_chance_is_the_mean_over_many_perfect_samples() -> None:
    tables = []
    for seed in range(150):
        probabilities, labels = made_up(seed, 1_000)
        tables.append(reliability_table(probabilities[:, 1], labels == 1, apart(1_000)))
    expected = np.mean([calibration_error_by_chance(table) for table in tables])
    assert np.mean([calibration_error(table) for table in tables]) == pytest.approx(expected, rel=0.05)


def test_perfect_and_useless_probabilities_are_told_apart_by_skill() -> None:
    probabilities, labels = made_up()
    rates = np.bincount(labels, minlength=3) / ROWS
    constant = measured(np.tile(rates, (ROWS, 1)), labels)
    assert constant.brier_skill == pytest.approx(0.0, abs=1e-12)
    assert constant.log_loss == pytest.approx(constant.log_loss_of_base_rates)
    assert max(one.calibration_error for one in constant.classes.values()) < 1e-12
    informed = measured(probabilities, labels)
    assert informed.brier_skill is not None
    assert informed.brier_skill > 0.05
    assert informed.log_loss < informed.log_loss_of_base_rates


def test_overconfident_probabilities_are_found() -> None:
    probabilities, labels = made_up()
    sharpened = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    found = measured(sharpened, labels)
    for name in CLASSES:
        one = found.classes[name]
        assert one.calibration_error > 5 * one.calibration_error_by_chance
        assert one.bins_missed >= 7
    top = found.classes["buy"].bins[-1]
    assert top.observed.high is not None
    assert top.predicted > top.observed.high


def test_the_scores_are_those_of_the_formulas() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.6, 0.2, 0.2]])
    labels = np.array([0, 1, 2, 1], dtype=np.int8)
    found = measured(probabilities, labels, np.array([0.2, 0.4, 0.4]))
    # Squared differences to the outcome, row by row: 0.38, 0.06, 0.24, 1.04.
    assert found.brier == pytest.approx((0.38 + 0.06 + 0.24 + 1.04) / 4)
    assert found.classes["buy"].brier == pytest.approx((0.09 + 0.04 + 0.04 + 0.64) / 4)
    assert found.log_loss == pytest.approx(-np.log([0.5, 0.8, 0.6, 0.2]).mean())
    assert found.log_loss_of_base_rates == pytest.approx(-(2 * 0.25 * np.log(0.25) + 0.5 * np.log(0.5)))
    assert found.log_loss_of_training_rates == pytest.approx(-(0.25 * np.log(0.2) + 0.75 * np.log(0.4)))
    # Always saying the shares 1/4, 1/2, 1/4 scores 0.625; saying the training's scores 0.66.
    assert found.brier_skill == pytest.approx(1 - 0.43 / 0.625)
    assert found.brier_skill_on_training_rates == pytest.approx(1 - 0.43 / 0.66)


def test_a_class_that_never_came_has_no_skill_rather_than_zero() -> None:
    probabilities, labels = made_up(rows=200)
    labels[labels == 0] = 1
    found = measured(probabilities, labels, np.array([0.2, 0.4, 0.4]))
    assert found.classes["hold"].base_rate == 0.0
    assert found.classes["hold"].brier_skill is None
    assert found.classes["hold"].brier_skill_on_training_rates is not None
    assert np.isfinite(found.log_loss)


def test_a_certain_error_costs_much_but_not_infinity() -> None:
    found = measured(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), np.array([1, 1], dtype=np.int8))
    assert 10.0 < found.log_loss < 20.0


def test_overlapping_labels_count_for_less_and_widen_the_interval() -> None:
    first = np.arange(100, dtype=np.int64)
    overlapping = Spans(first + 1, first + 10)
    assert overlapping.effective_rows() == pytest.approx(109 / 10, rel=0.2)
    assert overlapping.at(first % 10 == 0).effective_rows() == pytest.approx(10.0)
    happened = first % 2 == 0
    wide, narrow = observed_share(happened, overlapping), observed_share(happened, apart(100))
    assert wide.share == narrow.share == 0.5
    assert (narrow.low, narrow.high) == pytest.approx(wilson_of_counts(50, 100))
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low - 0.1


def test_no_rows_have_no_share() -> None:
    none = observed_share(np.empty(0, dtype=np.bool_), apart(0))
    assert (none.rows, none.effective_rows, none.share, none.low, none.high) == (0, 0.0, None, None, None)
