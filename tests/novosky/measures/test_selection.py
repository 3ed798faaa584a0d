"""What a choice is worth: overfitting by hand-made answers and a plain second implementation, and new against old."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from novosky.measures.selection import Overfitting, block_sums, paired_bootstrap, pbo, pbo_of_blocks


def noise(seed: int, days: int = 160, configurations: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, configurations))


def found(returns: np.ndarray, splits: int = 16) -> Overfitting:
    answer = pbo(returns, splits=splits)
    assert answer is not None
    return answer


def plain_pbo(returns: np.ndarray, splits: int) -> tuple[float, float]:
    """The definition, combination by combination, on the returns themselves."""
    blocks = np.split(np.arange(len(returns)), [k * len(returns) // splits for k in range(1, splits)])
    points, losses = [], []
    for half in itertools.combinations(range(splits), splits // 2):
        inside = np.concatenate([blocks[k] for k in half])
        outside = np.concatenate([blocks[k] for k in range(splits) if k not in half])
        ratios, judged = (returns[rows].mean(axis=0) / returns[rows].std(axis=0, ddof=1) for rows in (inside, outside))
        best = int(np.argmax(ratios))
        rank = 1 + int(np.count_nonzero(judged < judged[best]))
        logit = np.log(rank / (returns.shape[1] + 1 - rank))
        points.append(1.0 if logit < -1e-12 else 0.5 if logit < 1e-12 else 0.0)
        losses.append(judged[best] < 0.0)
    return float(np.mean(points)), float(np.mean(losses))


def test_one_configuration_better_on_every_day_is_never_overfitted() -> None:
    returns = noise(1)
    returns[:, 7] = returns.max(axis=1) + 0.01
    answer = found(returns)
    assert answer.probability == 0.0
    assert answer.probability_of_loss == 0.0
    # The best of 40 has rank 40 of 41: log(40 / 1).
    assert answer.median_logit == pytest.approx(np.log(40.0))
    assert (answer.combinations, answer.splits, answer.configurations) == (12_870, 16, 40)


def test_two_that_win_in_turns_are_always_overfitted() -> None:
    # Two blocks: whoever wins one loses the other.
    ups = np.tile([0.02, 0.01], 10)
    returns = np.column_stack((np.concatenate((ups, -ups)), np.concatenate((-ups, ups))))
    answer = found(returns, splits=2)
    assert answer.probability == 1.0
    assert answer.probability_of_loss == 1.0
    assert answer.median_logit == pytest.approx(np.log(1.0 / 2.0))


def test_four_blocks_by_hand() -> None:
    # Means of four blocks of two days each; around them every day is one above, the next one below.
    means = np.array([[2.0, 2.0, -1.0, -1.0], [-1.0, -1.0, 2.0, 2.0], [0.5, 0.5, 0.5, 0.5]])
    returns = (np.repeat(means, 2, axis=1) + np.tile([1.0, -1.0], 4)).T
    answer = found(returns, splits=4)
    # {1,2} chooses the first (2 / 1.15), the worst of {3,4}; {3,4} the second, the worst of {1,2}. The four mixed
    # halves choose the third (0.5 / 1.15 against 0.5 / 2.08), which is the best of the other mixed half.
    assert answer.combinations == 6
    assert answer.probability == pytest.approx(2 / 6)
    assert answer.probability_of_loss == pytest.approx(2 / 6)
    assert answer.median_logit == pytest.approx(np.log(3.0))


def test_equal_configurations_are_the_median() -> None:
    series = noise(3)[:, :1]
    answer = found(np.repeat(series, 12, axis=1))
    assert answer.probability == 0.5
    assert answer.median_logit == 0.0


def test_standing_aside_counts_as_a_ratio_of_zero() -> None:
    losing = -np.abs(noise(4, configurations=9)) - 0.001
    returns = np.column_stack((np.zeros(len(losing)), losing))
    answer = found(returns)
    assert answer.probability == 0.0
    assert answer.probability_of_loss == 0.0


@pytest.mark.parametrize(("days", "splits"), [(64, 4), (61, 6), (50, 8)])
def test_block_sums_give_what_the_returns_themselves_give(days: int, splits: int) -> None:
    returns = noise(days, days, 15) + np.linspace(-0.002, 0.002, 15)
    answer = found(returns, splits=splits)
    points, losses = plain_pbo(returns, splits)
    assert answer.probability == pytest.approx(points, abs=1e-12)
    assert answer.probability_of_loss == pytest.approx(losses, abs=1e-12)


def test_choosing_among_noise_finds_nothing() -> None:
    # One history says little; the mean over forty has a standard error of about 0.03.
    chances = [found(noise(seed, 96, 30), splits=8).probability for seed in range(40)]
    assert np.mean(chances) == pytest.approx(0.5, abs=0.08)


def test_blocks_cover_every_day_once() -> None:
    sums, squares, counts = block_sums(noise(5, days=101).T)
    assert counts.sum() == 101
    assert counts.max() - counts.min() <= 1
    np.testing.assert_allclose(sums.sum(axis=1), noise(5, days=101).sum(axis=0))
    np.testing.assert_allclose(squares.sum(axis=1), (noise(5, days=101) ** 2).sum(axis=0))


def test_too_little_time_or_choice_has_no_probability() -> None:
    assert pbo(noise(1, days=31)) is None
    assert pbo(noise(1, days=32)) is not None
    assert pbo(noise(1, configurations=1)) is None
    sums, squares, counts = block_sums(noise(1, days=20).T)
    assert pbo_of_blocks(sums, squares, counts) is None


@pytest.mark.parametrize("splits", [0, 1, 7])
def test_an_odd_number_of_blocks_is_refused(splits: int) -> None:
    with pytest.raises(ValueError, match="even number"):
        pbo(noise(1), splits=splits)


def test_unknown_returns_are_refused() -> None:
    returns = noise(1)
    returns[3, 4] = np.nan
    with pytest.raises(ValueError, match="finite"):
        pbo(returns)


def test_new_and_old_that_are_one_are_even() -> None:
    daily = noise(6)[:, 0]
    answer = paired_bootstrap(daily, daily.copy(), np.random.default_rng(1), resamples=200)
    assert (answer.probability, answer.mean_probability) == (0.5, 0.5)
    assert (answer.difference, answer.low, answer.high) == (0.0, 0.0, 0.0)


def test_what_both_share_cancels() -> None:
    market, gain = noise(7)[:, 0], 0.0005
    answer = paired_bootstrap(market + gain, market, np.random.default_rng(1), resamples=300)
    # Alone, the mean of the market is unknown to 0.01 / sqrt(160) = 0.0008.
    assert answer.mean_low == pytest.approx(gain, abs=1e-12)
    assert answer.mean_high == pytest.approx(gain, abs=1e-12)
    assert answer.mean_probability == 1.0
    assert answer.probability == 1.0
    assert 0.0 < answer.low <= answer.difference <= answer.high


def test_two_unrelated_series_are_not_told_apart() -> None:
    sure = [
        paired_bootstrap(*noise(seed, configurations=2).T, np.random.default_rng(1), resamples=200).probability
        for seed in range(60)
    ]
    # Of worthless pairs about one in ten looks 95 % sure, in either direction.
    assert np.mean(np.array(sure) > 0.95) < 0.15
    assert np.mean(sure) == pytest.approx(0.5, abs=0.12)


def test_the_same_seed_gives_the_same_interval() -> None:
    new, old = noise(8, configurations=2).T
    first, second, other = (paired_bootstrap(new, old, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == second
    assert first != other
    assert first.difference == pytest.approx(new.mean() / new.std(ddof=1) - old.mean() / old.std(ddof=1))


def test_series_of_other_days_are_refused() -> None:
    with pytest.raises(ValueError, match="same two days"):
        paired_bootstrap(np.zeros(10), np.zeros(11), np.random.default_rng(1))
    with pytest.raises(ValueError, match="finite"):
        paired_bootstrap(np.full(10, np.nan), np.zeros(10), np.random.default_rng(1))
