"""Purged splits: no training label ever shares a bar with the test labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.labels.splits import PurgedKFold, PurgedWalkForward, label_end_positions
from novosky.errors import DataError, UsageError

TWELVE = np.array([2, 2, 4, 3, 6, 7, 7, 9, 8, 11, 11, 11])


def table(rows: int) -> npt.NDArray[np.float64]:
    """A feature matrix of that many rows."""
    return np.zeros((rows, 1))


def as_lists(splitter: PurgedWalkForward | PurgedKFold, rows: int) -> list[tuple[list[int], list[int]]]:
    """The folds as literal indices."""
    return [(train.tolist(), test.tolist()) for train, test in splitter.split(table(rows))]


def test_golden_folds_of_the_walk_forward() -> None:
    splitter = PurgedWalkForward(2, label_end=TWELVE, embargo=0, min_train=6)
    assert as_lists(splitter, 12) == [([0, 1, 2, 3], [6, 7, 8]), ([0, 1, 2, 3, 4, 5, 6, 8], [9, 10, 11])]


def test_golden_folds_of_the_walk_forward_with_embargo() -> None:
    splitter = PurgedWalkForward(2, label_end=TWELVE, embargo=3, min_train=6)
    assert as_lists(splitter, 12) == [([0, 1, 2], [6, 7, 8]), ([0, 1, 2, 3, 4, 5], [9, 10, 11])]


def test_golden_folds_of_the_rolling_walk_forward() -> None:
    splitter = PurgedWalkForward(2, label_end=TWELVE, embargo=0, min_train=6, expanding=False)
    assert as_lists(splitter, 12) == [([0, 1, 2, 3], [6, 7, 8]), ([3, 4, 5, 6, 8], [9, 10, 11])]


def test_golden_folds_of_the_k_fold() -> None:
    # The labels of 4 to 7 end at 9, so training resumes at 10; 2 and 3 end at 4 and 3.
    splitter = PurgedKFold(3, label_end=TWELVE, embargo=0)
    assert as_lists(splitter, 12) == [
        ([5, 6, 7, 8, 9, 10, 11], [0, 1, 2, 3]),
        ([0, 1, 3, 10, 11], [4, 5, 6, 7]),
        ([0, 1, 2, 3, 4, 5, 6], [8, 9, 10, 11]),
    ]


def test_golden_folds_of_the_k_fold_with_embargo() -> None:
    splitter = PurgedKFold(3, label_end=TWELVE, embargo=1)
    assert as_lists(splitter, 12)[:2] == [([6, 7, 8, 9, 10, 11], [0, 1, 2, 3]), ([0, 1, 3, 11], [4, 5, 6, 7])]


def test_by_default_the_first_training_stretch_is_as_long_as_a_test_set() -> None:
    splitter = PurgedWalkForward(3, label_end=np.arange(8), embargo=0)
    assert [test for _, test in as_lists(splitter, 8)] == [[2, 3], [4, 5], [6, 7]]


@st.composite
def labels(draw: st.DrawFn) -> npt.NDArray[np.int64]:
    """Label ends up to 12 rows ahead, over enough rows that no fold is emptied by purging."""
    lengths = draw(st.lists(st.integers(0, 12), min_size=90, max_size=140))
    return np.array([min(row + length, len(lengths) - 1) for row, length in enumerate(lengths)], dtype=np.int64)


def check_no_overlap(
    train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], label_end: npt.NDArray[np.int64]
) -> None:
    first, last = test[0], label_end[test].max()
    assert not ((train <= last) & (label_end[train] >= first)).any()


@given(labels(), st.integers(1, 5), st.integers(0, 6), st.booleans())
def test_walk_forward_never_overlaps_and_never_looks_ahead(
    label_end: npt.NDArray[np.int64], folds: int, embargo: int, expanding: bool
) -> None:
    rows = len(label_end)
    min_train = rows // 2
    splitter = PurgedWalkForward(folds, label_end=label_end, embargo=embargo, min_train=min_train, expanding=expanding)
    seen: list[int] = []
    for train, test in splitter.split(table(rows)):
        check_no_overlap(train, test, label_end)
        assert train.max() < test[0] - embargo
        assert expanding or train.min() >= test[0] - min_train
        seen += test.tolist()
    assert seen == list(range(min_train, rows))


@given(labels(), st.integers(2, 4), st.integers(0, 3))
def test_k_fold_never_overlaps_and_tests_every_row_once(
    label_end: npt.NDArray[np.int64], folds: int, embargo: int
) -> None:
    rows = len(label_end)
    seen: list[int] = []
    for train, test in PurgedKFold(folds, label_end=label_end, embargo=embargo).split(table(rows)):
        check_no_overlap(train, test, label_end)
        after = train[train > test[-1]]
        assert (after > label_end[test].max() + embargo).all()
        seen += test.tolist()
    assert seen == list(range(rows))


@given(labels(), st.integers(2, 4))
def test_k_fold_leaves_out_nothing_that_does_not_overlap(label_end: npt.NDArray[np.int64], folds: int) -> None:
    rows = len(label_end)
    for train, test in PurgedKFold(folds, label_end=label_end, embargo=0).split(table(rows)):
        others = np.setdiff1d(np.arange(rows), np.concatenate((train, test)))
        assert ((others <= label_end[test].max()) & (label_end[others] >= test[0])).all()


def test_kept_rows_carry_the_ends_of_all_bars_over() -> None:
    end_index = np.array([5, 3, 4, 9, 9, 9, 9, 9, 9, 9])
    kept = np.array([0, 2, 4, 5, 7])
    # 0 covers kept rows up to 5 (position 3), 2 up to 4 (position 2), the rest up to 7.
    assert label_end_positions(end_index, kept).tolist() == [3, 2, 4, 4, 4]


def test_scikit_learn_accepts_the_splitters() -> None:
    from sklearn.dummy import DummyClassifier
    from sklearn.model_selection import cross_val_score

    label_end = np.minimum(np.arange(60) + 3, 59)
    answers = np.arange(60) % 2
    for splitter in (
        PurgedWalkForward(4, label_end=label_end, embargo=2),
        PurgedKFold(4, label_end=label_end, embargo=2),
    ):
        assert splitter.get_n_splits(table(60)) == 4
        assert len(cross_val_score(DummyClassifier(), table(60), answers, cv=splitter)) == 4


def test_a_label_that_ends_before_its_row_is_refused() -> None:
    with pytest.raises(DataError, match="label_end of row 2 is 1"):
        PurgedKFold(2, label_end=np.array([0, 1, 1, 3]), embargo=0)


def test_rows_and_label_ends_must_match() -> None:
    with pytest.raises(DataError, match="5 rows to split but 4"):
        next(PurgedKFold(2, label_end=np.arange(4), embargo=0).split(table(5)))


def test_a_fold_without_training_rows_is_refused() -> None:
    everything = np.full(6, 5)
    with pytest.raises(DataError, match="fold 0 has no training rows"):
        next(PurgedKFold(2, label_end=everything, embargo=0).split(table(6)))
    with pytest.raises(DataError, match="fold 0 has no training rows"):
        next(PurgedWalkForward(2, label_end=everything, embargo=0).split(table(6)))


@pytest.mark.parametrize(("folds", "embargo"), [(1, 0), (7, 0), (2, -1)])
def test_k_fold_arguments_out_of_range_are_refused(folds: int, embargo: int) -> None:
    with pytest.raises(UsageError, match="6 rows"):
        PurgedKFold(folds, label_end=np.arange(6), embargo=embargo)


@pytest.mark.parametrize(("folds", "embargo", "min_train"), [(0, 0, 2), (2, -1, 2), (5, 0, 2), (2, 0, 0)])
def test_walk_forward_arguments_out_of_range_are_refused(folds: int, embargo: int, min_train: int) -> None:
    with pytest.raises(UsageError, match="6 rows"):
        PurgedWalkForward(folds, label_end=np.arange(6), embargo=embargo, min_train=min_train)
