"""The population stability index: by hand, by chance, of discrete and constant features, of moods."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ml.report.drift import (
    MIN_STRETCHES,
    band_of,
    binning_of,
    measure_drift,
    psi,
    psi_by_chance,
    rank_drifts,
    stretch_psis,
)


def test_equal_shares_have_no_psi_whatever_the_counts() -> None:
    assert psi([10, 20, 30], [10, 20, 30]) == 0.0
    assert psi([10, 20, 30], [100, 200, 300]) == pytest.approx(0.0, abs=1e-15)


def test_a_shift_is_what_the_formula_says() -> None:
    by_hand = (0.2 - 0.5) * math.log(0.2 / 0.5) + (0.8 - 0.5) * math.log(0.8 / 0.5)
    assert psi([500, 500], [20, 80]) == pytest.approx(by_hand)
    assert psi([20, 80], [500, 500]) == pytest.approx(by_hand), "the index is symmetric"


def test_an_empty_bin_counts_as_half_a_row_and_a_bin_empty_in_both_not_at_all() -> None:
    first, second = np.array([60.0, 40.0]) / 100, np.array([50.0, 0.5]) / 50.5
    assert psi([60, 40], [50, 0]) == pytest.approx(float(((second - first) * np.log(second / first)).sum()))
    assert psi([60, 0, 40], [50, 0, 50]) == psi([60, 40], [50, 50])


def test_the_same_sample_has_no_drift() -> None:
    values = np.random.default_rng(1).standard_normal(3_000)
    drift = measure_drift("rsi_14", values, values, protected=False)
    assert (drift.psi, drift.band, drift.kind, len(drift.bins)) == (0.0, "stable", "continuous", 10)
    assert drift.training_shares == drift.live_shares == (0.1,) * 10


def test_independent_rows_without_drift_show_what_chance_says() -> None:
    rng = np.random.default_rng(2)
    found = [
        measure_drift("x", rng.standard_normal(5_000), rng.standard_normal(1_000), protected=False).psi
        for _ in range(300)
    ]
    assert psi_by_chance(10, 5_000, 1_000) == pytest.approx(9 * (1 / 5_000 + 1 / 1_000))
    assert np.mean(found) == pytest.approx(psi_by_chance(10, 5_000, 1_000), rel=0.1)


@pytest.mark.parametrize(("shift", "band"), [(0.0, "stable"), (0.4, "moderate"), (1.0, "large")])
def test_the_bands_follow_the_shift(shift: float, band: str) -> None:
    rng = np.random.default_rng(3)
    drift = measure_drift("x", rng.standard_normal(20_000), rng.standard_normal(20_000) + shift, protected=False)
    assert drift.band == band
    # Of two unit normals a distance d apart the index is d squared; ten bins see nearly all of it.
    assert drift.psi == pytest.approx(shift**2, rel=0.15, abs=0.005)


def test_the_bands_begin_at_their_limits() -> None:
    assert [band_of(value) for value in (0.0999, 0.1, 0.2499, 0.25)] == ["stable", "moderate", "moderate", "large"]


def test_a_flag_is_binned_by_value() -> None:
    training, live = np.repeat([0.0, 1.0], [80, 20]), np.repeat([0.0, 1.0], [50, 50])
    drift = measure_drift("is_ny_session", training, live, protected=True)
    assert (drift.kind, drift.bins, drift.protected) == ("discrete", ("0", "1"), True)
    assert drift.training_shares == (0.8, 0.2)
    assert drift.psi == pytest.approx((0.5 - 0.8) * math.log(0.5 / 0.8) + (0.5 - 0.2) * math.log(0.5 / 0.2))


def test_a_value_that_training_never_had_gets_a_bin_of_its_own() -> None:
    drift = measure_drift("steps", np.repeat([0.0, 1.0], 50), np.repeat([0.0, 1.0, 7.0], 20), protected=False)
    assert drift.bins == ("0", "1", "not in training")
    assert drift.training_shares[2] == 0.0
    assert drift.live_shares[2] == pytest.approx(1 / 3)
    assert drift.band == "large"


def test_a_constant_that_stays_has_no_drift_and_one_that_moves_has() -> None:
    zeros = np.zeros(1_000)
    still = measure_drift("is_news_near", zeros, zeros[:300], protected=True)
    assert (still.kind, still.psi, still.psi_by_chance, still.bins) == ("constant", 0.0, 0.0, ("0",))
    moved = measure_drift("is_news_near", zeros, np.ones(300), protected=True)
    assert (moved.kind, moved.band, moved.bins) == ("constant", "large", ("0", "not in training"))
    assert np.isfinite(moved.psi)


def test_a_single_live_value_is_far_and_finite() -> None:
    drift = measure_drift("x", np.random.default_rng(4).standard_normal(2_000), np.full(500, 0.1), protected=False)
    assert max(drift.live_shares) == 1.0
    assert 1.0 < drift.psi < 20.0


def test_live_values_beyond_the_training_range_fall_into_the_outer_bins() -> None:
    training = np.random.default_rng(5).standard_normal(2_000)
    drift = measure_drift("x", training, np.array([-50.0, 50.0] * 250), protected=False)
    assert (drift.live_shares[0], drift.live_shares[-1]) == (0.5, 0.5)


def test_a_value_that_fills_many_quantiles_does_not_hide_what_lies_above_it() -> None:
    rng = np.random.default_rng(6)
    training = np.where(rng.random(4_000) < 0.95, 0.0, rng.random(4_000))
    live = np.where(rng.random(4_000) < 0.60, 0.0, rng.random(4_000))
    drift = measure_drift("news_count", training, live, protected=False)
    assert "0" in drift.bins
    assert drift.band == "large"


def test_bins_are_cut_by_training_alone() -> None:
    training = np.arange(100.0)
    assert binning_of(training).marks.tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0]


def test_bins_have_names_and_every_row_a_bin() -> None:
    binning = binning_of(np.arange(100.0), 4)
    assert binning.names == ("below 25", "25 to 50", "50 to 75", "75 and above")
    assert binning.place(np.array([-1.0, 25.0, 74.9, 1e9])).tolist() == [0, 1, 2, 3]


def test_stretches_are_compared_with_the_rest_of_the_window() -> None:
    places = np.repeat([0, 1], [30, 70])
    assert stretch_psis(places, 2, 50).tolist() == [psi([0, 50], [30, 20]), psi([30, 20], [0, 50])]
    assert len(stretch_psis(places, 2, 30)) == 3


def test_a_market_of_long_moods_shows_that_a_large_psi_is_usual() -> None:
    rng = np.random.default_rng(7)
    steps = rng.standard_normal(30_000)
    mood = np.empty(30_000)
    mood[0] = 0.0
    for at in range(1, len(mood)):
        mood[at] = 0.999 * mood[at - 1] + steps[at]
    drift = measure_drift("mood", mood[:25_000], mood[25_000:26_000], protected=False)
    assert drift.band == "large"
    assert drift.psi > 50 * drift.psi_by_chance
    assert drift.stretches == 25
    assert drift.psi_typical is not None
    assert drift.psi_typical > 0.25, "stretches of the same market look as strange"


def test_a_change_beyond_everything_in_training_is_told_from_a_usual_one() -> None:
    rng = np.random.default_rng(8)
    training = rng.standard_normal(10_000)
    same = measure_drift("x", training, np.resize(training[:1_000], 1_000), protected=False)
    other = measure_drift("x", training, rng.standard_normal(1_000) * 3.0, protected=False)
    assert (same.beyond_training, other.beyond_training) == (False, True)


def test_too_few_stretches_say_nothing() -> None:
    values = np.random.default_rng(9).standard_normal(1_000)
    drift = measure_drift("x", values, values[: 1_000 // MIN_STRETCHES + 1], protected=False)
    assert (drift.stretches, drift.psi_typical, drift.psi_largest, drift.beyond_training) == (0, None, None, None)


def test_features_are_ranked_and_protected_ones_flagged() -> None:
    rng = np.random.default_rng(10)
    training, live = rng.standard_normal((2_000, 3)), rng.standard_normal((2_000, 3))
    live[:, 1] += 2.0
    ranked = rank_drifts(("a", "b", "c"), training, live, ("c",))
    assert ranked[0].feature == "b"
    assert [drift.psi for drift in ranked] == sorted((drift.psi for drift in ranked), reverse=True)
    assert [drift.feature for drift in ranked if drift.protected] == ["c"]
