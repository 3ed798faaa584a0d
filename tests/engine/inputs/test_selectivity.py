"""A share of bars and the threshold it means: exact both ways, by the signal decision's own votes and confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.candidates import named_sides
from engine.gates.signal import MIN_VOTES
from engine.inputs.parameters import build_params
from engine.inputs.selectivity import Selectivity, decided
from novosky.errors import SettingsError
from novosky.settings.ml import MOST_SHARE
from novosky.settings.profiles import PROFILES
from tests.engine.inputs.test_parameters import ml_settings_with, settings_with


def answers(bars: int, seed: int) -> np.ndarray:
    """Return opinions of three members who mostly agree."""
    rng = np.random.default_rng(seed)
    shared = rng.dirichlet([1.5, 2.0, 2.0], (bars, 1))
    return 0.8 * shared + 0.2 * rng.dirichlet([1.0, 1.0, 1.0], (bars, 3))


def reached(probabilities: np.ndarray, threshold: float) -> int:
    named = named_sides(probabilities)
    return int(np.count_nonzero((named.votes >= MIN_VOTES) & (named.confidence >= threshold)))


@given(st.integers(200, 3_000), st.integers(0, 99), st.floats(0.1, MOST_SHARE))
def test_the_threshold_leaves_the_share_and_the_share_gives_the_threshold_back(
    bars: int, seed: int, share: float
) -> None:
    probabilities = answers(bars, seed)
    known = Selectivity.of(probabilities)
    threshold = known.confidence(share)
    wanted = max(round(bars * share / 100.0), 1)
    assert reached(probabilities, threshold) == min(wanted, len(known.confidences))
    assert known.confidence(known.share(threshold)) == threshold
    assert reached(probabilities, np.nextafter(threshold, 1.0)) < wanted


def test_more_bars_mean_a_lower_threshold() -> None:
    known = Selectivity.of(answers(20_000, 1))
    thresholds = [known.confidence(profile.selectivity) for profile in PROFILES]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(set(thresholds)) == len(PROFILES)


def test_a_named_side_without_enough_votes_is_not_counted() -> None:
    split = np.array([[[0.0, 0.9, 0.1], [0.0, 0.45, 0.55], [0.1, 0.4, 0.5]]])
    agreed = np.array([[[0.1, 0.5, 0.4]] * 3])
    known = Selectivity.of(np.concatenate([split, agreed, np.repeat([[[1.0, 0.0, 0.0]] * 3], 98, axis=0)]))
    assert known.bars == 100
    assert known.confidences.tolist() == pytest.approx([0.5])


def test_where_too_few_sides_were_named_the_least_sure_of_them_is_the_threshold() -> None:
    holds = np.repeat([[[1.0, 0.0, 0.0]] * 3], 97, axis=0)
    sides = np.array([[[0.0, p, 1.0 - p]] * 3 for p in (0.9, 0.7, 0.6)])
    known = Selectivity.of(np.concatenate([holds, sides]))
    assert known.confidence(10.0) == pytest.approx(0.6)
    assert known.share(0.0) == pytest.approx(3.0)


def test_confidences_are_kept_as_far_as_any_share_reaches() -> None:
    known = Selectivity.of(answers(5_000, 2))
    assert len(known.confidences) == 1_000
    assert known.confidence(MOST_SHARE) == known.confidences[-1]


@pytest.mark.parametrize("share", [0.0, -1.0, MOST_SHARE + 0.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="no share of bars"):
        Selectivity(100, np.array([0.5])).confidence(share)


def test_a_model_that_never_named_a_side_has_no_threshold() -> None:
    with pytest.raises(ValueError, match="never named a side"):
        Selectivity.of(np.repeat([[[1.0, 0.0, 0.0]] * 3], 50, axis=0)).confidence(1.0)


def test_settings_are_decided_by_the_models() -> None:
    known = Selectivity.of(answers(4_000, 3))
    stated = ml_settings_with(prediction={"confidence_share": 2.5, "confidence_threshold": 0.9})
    served = decided(stated, known)
    assert served.prediction.confidence_threshold == known.confidence(2.5)
    assert served.prediction.confidence_share is None
    assert decided(served, None) is served, "a threshold is no matter of the models"


def test_without_the_models_a_share_lets_nothing_through() -> None:
    stated = ml_settings_with(prediction={"confidence_share": 2.5})
    with pytest.raises(SettingsError, match=r"confidence_share 2\.5"):
        decided(stated, None)
    assert np.isinf(build_params(settings_with(), stated).confidence).all()
