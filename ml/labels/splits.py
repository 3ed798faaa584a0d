"""Cross-validation for labels that look ahead: purged by label end time, with an embargo.

Purging and embargo after M. Lopez de Prado, Advances in Financial Machine Learning (2018),
chapter 7. A label at row i is decided by the bars up to `label_end[i]`; a training label
whose bars overlap those of the test labels carries their answer and is left out. Rows are
bars in time order. Both classes have scikit-learn's splitter interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized

import numpy as np
import numpy.typing as npt

from novosky.errors import DataError, UsageError

IntArray = npt.NDArray[np.int64]
Split = tuple[IntArray, IntArray]


def label_end_positions(end_index: npt.NDArray[np.integer], kept: npt.NDArray[np.integer]) -> IntArray:
    """Translate label ends from rows of all bars to positions among the kept rows.

    Training usually leaves out rows without a valid label. The splitters count positions
    in what is left, so the end of a label becomes the last kept row that it still covers.

    Parameters
    ----------
    end_index : ndarray of int, shape (n,)
        Row of the last bar each label looked at, counted in all bars.
    kept : ndarray of int, shape (m,)
        Rows that were kept, rising.

    Returns
    -------
    ndarray of int64, shape (m,)
        The `label_end` to give to a splitter of the kept rows.

    Examples
    --------
    >>> import numpy as np
    >>> label_end_positions(np.array([2, 3, 4, 5, 5, 5]), np.array([0, 1, 4, 5]))
    array([1, 1, 3, 3])
    """
    return np.asarray(np.searchsorted(kept, np.asarray(end_index)[kept], side="right") - 1, dtype=np.int64)


def _checked_label_end(label_end: npt.NDArray[np.integer]) -> IntArray:
    ends = np.array(label_end, dtype=np.int64)
    if ends.ndim != 1:
        raise DataError(f"label_end has shape {ends.shape}; it needs one row index per label")
    early = np.flatnonzero(ends < np.arange(len(ends)))
    if len(early):
        raise DataError(f"label_end of row {early[0]} is {ends[early[0]]}: a label cannot end before its own row")
    ends.setflags(write=False)
    return ends


def _check_rows(x: Sized, rows: int) -> None:
    given = len(x)
    if given != rows:
        raise DataError(f"{given} rows to split but {rows} label ends; build the splitter from the same rows")


def _refuse_empty(train: IntArray, fold: int) -> None:
    if len(train) == 0:
        raise DataError(
            f"fold {fold} has no training rows after purging and embargo; use fewer folds, a smaller embargo_bars, "
            "a shorter label horizon or more bars"
        )


class PurgedWalkForward:
    """Walk forward through time: every fold trains on the past and tests on what follows.

    The rows after the first training stretch are cut into `n_splits` test sets of equal
    length (the earliest are one row longer where they do not divide evenly). A fold's
    training rows end `embargo` rows before its test set and are purged of labels that
    reach into it.

    Parameters
    ----------
    n_splits : int
        Test sets, at least 1.
    label_end : ndarray of int, shape (n,)
        Row at whose close each label is known.
    embargo : int
        Rows left out between training and test, for features whose windows overlap.
    min_train : int, optional
        Rows before the first test set; ``n // (n_splits + 1)`` when not given.
    expanding : bool
        True keeps all the past; False trains on the latest `min_train` rows only.

    Raises
    ------
    UsageError
        `n_splits`, `embargo` or `min_train` out of range for this many rows.
    DataError
        A label that ends before its own row.

    Examples
    --------
    >>> import numpy as np
    >>> label_end = np.minimum(np.arange(12) + 1, 11)
    >>> splitter = PurgedWalkForward(2, label_end=label_end, embargo=0, min_train=4)
    >>> for train, test in splitter.split(np.empty((12, 1))):
    ...     print(train, test)
    [0 1 2] [4 5 6 7]
    [0 1 2 3 4 5 6] [ 8  9 10 11]
    """

    def __init__(
        self,
        n_splits: int,
        *,
        label_end: npt.NDArray[np.integer],
        embargo: int,
        min_train: int | None = None,
        expanding: bool = True,
    ) -> None:
        self.n_splits = n_splits
        self.label_end = _checked_label_end(label_end)
        self.embargo = embargo
        rows = len(self.label_end)
        self.min_train = rows // (n_splits + 1) if min_train is None else min_train
        self.expanding = expanding
        if n_splits < 1 or embargo < 0 or self.min_train < 1 or rows - self.min_train < n_splits:
            raise UsageError(
                f"{rows} rows cannot be walked in {n_splits} fold(s) after {self.min_train} training rows with embargo "
                f"{embargo}; use fewer folds, fewer training rows or more bars"
            )

    def split(self, X: Sized, y: object = None, groups: object = None) -> Iterator[Split]:
        """Yield (train, test) row indices, earliest test set first.

        Raises
        ------
        DataError
            When `X` has another number of rows than `label_end`, or a fold is left
            without training rows.
        """
        rows = len(self.label_end)
        _check_rows(X, rows)
        tests = np.array_split(np.arange(self.min_train, rows, dtype=np.int64), self.n_splits)
        for fold, test in enumerate(tests):
            first = int(test[0])
            begin = 0 if self.expanding else first - self.min_train
            past = np.arange(begin, max(first - self.embargo, begin), dtype=np.int64)
            # Purged: a label that was decided inside the test set has seen it.
            train = past[self.label_end[past] < first]
            _refuse_empty(train, fold)
            yield train, test

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_splits


class PurgedKFold:
    """K contiguous test sets; training on both sides, purged and embargoed.

    Parameters
    ----------
    n_splits : int
        Test sets, at least 2; the earliest are one row longer where rows do not divide evenly.
    label_end : ndarray of int, shape (n,)
        Row at whose close each label is known.
    embargo : int
        Rows left out after the last bar the test labels looked at: features there still
        contain the test period.

    Raises
    ------
    UsageError
        `n_splits` or `embargo` out of range for this many rows.
    DataError
        A label that ends before its own row.

    Examples
    --------
    >>> import numpy as np
    >>> label_end = np.minimum(np.arange(9) + 1, 8)
    >>> splitter = PurgedKFold(3, label_end=label_end, embargo=1)
    >>> for train, test in splitter.split(np.empty((9, 1))):
    ...     print(train, test)
    [5 6 7 8] [0 1 2]
    [0 1 8] [3 4 5]
    [0 1 2 3 4] [6 7 8]
    """

    def __init__(self, n_splits: int, *, label_end: npt.NDArray[np.integer], embargo: int) -> None:
        self.n_splits = n_splits
        self.label_end = _checked_label_end(label_end)
        self.embargo = embargo
        if not 2 <= n_splits <= len(self.label_end) or embargo < 0:
            raise UsageError(
                f"{len(self.label_end)} rows cannot be cut into {n_splits} folds with embargo {embargo}; use at least "
                "2 folds and no more than there are rows"
            )

    def split(self, X: Sized, y: object = None, groups: object = None) -> Iterator[Split]:
        """Yield (train, test) row indices, earliest test set first.

        Raises
        ------
        DataError
            When `X` has another number of rows than `label_end`, or a fold is left
            without training rows.
        """
        rows = len(self.label_end)
        _check_rows(X, rows)
        every = np.arange(rows, dtype=np.int64)
        for fold, test in enumerate(np.array_split(every, self.n_splits)):
            first, last_seen = test[0], self.label_end[test].max()
            before = (every < first) & (self.label_end < first)
            # Counted from the last bar that any test label has looked at, which lies behind the last test row.
            after = every > last_seen + self.embargo
            train = every[before | after]
            _refuse_empty(train, fold)
            yield train, test

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_splits


class PurgedSpanKFold:
    """K sets of consecutive trades to hold out; training on both sides, purged and embargoed by bars.

    A trade is its span of bars, and all its rows are on one side of a split.

    Parameters
    ----------
    n_splits : int
        Sets, at least 2; the earliest hold one trade more where trades do not divide evenly.
    first, last : ndarray of int, shape (n,)
        First and last bar of each trade, `first` never falling.
    embargo : int
        Bars left out after the last bar of the trades held out.

    Raises
    ------
    UsageError
        `n_splits` or `embargo` out of range for this many trades.
    DataError
        Trades out of order, or one that ends before it begins.

    Examples
    --------
    >>> import numpy as np
    >>> first = np.array([0, 2, 10, 14, 30])
    >>> splitter = PurgedSpanKFold(2, first=first, last=first + 3, embargo=4)
    >>> for train, test in splitter.split(first):
    ...     print(train, test)
    [4] [0 1 2]
    [0 1 2] [3 4]
    """

    def __init__(
        self, n_splits: int, *, first: npt.NDArray[np.integer], last: npt.NDArray[np.integer], embargo: int
    ) -> None:
        self.n_splits, self.embargo = n_splits, embargo
        self.first, self.last = np.array(first, dtype=np.int64), np.array(last, dtype=np.int64)
        if (np.diff(self.first) < 0).any() or (self.last < self.first).any():
            raise DataError("trades to split must be ordered by their first bar and end no earlier than they begin")
        if not 2 <= n_splits <= len(self.first) or embargo < 0:
            raise UsageError(
                f"{len(self.first)} trades cannot be cut into {n_splits} folds with embargo {embargo}; use at least "
                "2 folds and no more than there are trades"
            )

    def split(self, X: Sized, y: object = None, groups: object = None) -> Iterator[Split]:
        """Yield (train, test) trade indices, earliest test set first.

        Raises
        ------
        DataError
            When `X` has another number of trades, or a fold is left without training trades.
        """
        _check_rows(X, len(self.first))
        every = np.arange(len(self.first), dtype=np.int64)
        for fold, test in enumerate(np.array_split(every, self.n_splits)):
            before = self.last < self.first[test[0]]
            after = self.first > self.last[test].max() + self.embargo
            train = every[before | after]
            _refuse_empty(train, fold)
            yield train, test

    def get_n_splits(self, X: object = None, y: object = None, groups: object = None) -> int:
        """Return the number of folds."""
        return self.n_splits
