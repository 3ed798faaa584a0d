"""Whether a flat form gives a library's own bytes: asked whenever a set is opened, before the form may serve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ml.trees.flat import FlatTrees
from ml.trees.probes import probe_rows
from ml.trees.readers import UnreadableTreesError
from novosky.compiled import compiles

_ALONE = 64
"""Rows that are asked one by one as well."""


class Flat(Protocol):
    """A model as arrays."""

    @property
    def trees(self) -> FlatTrees:
        """Its trees."""

    @property
    def width(self) -> int:
        """Its inputs."""

    def __call__(self, rows: npt.NDArray[Any], /) -> npt.NDArray[np.float64]:
        """Return the answers for rows of shape (n, width)."""


F = TypeVar("F", bound=Flat)


def proved(read: Callable[[], F], library: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]) -> F:
    """Return a model's flat form if it answers as the library does, to the bit, wherever one of its leaves is met.

    Parameters
    ----------
    read : callable
        Returns the flat form.
    library : callable
        The model's own answers for rows of shape (n, width) in the precision of the thresholds.

    Raises
    ------
    UnreadableTreesError
        The model cannot be read, any bit of any answer differs, or the library refuses to answer.
    """
    # As plain Python the walk takes far longer than any library.
    if not compiles():
        raise UnreadableTreesError("nothing is compiled in this run")
    try:
        flat = read()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnreadableTreesError(f"laid out in a way that is not known here ({error!r})") from error
    rows = probe_rows(flat.trees, flat.width)
    try:
        expected = library(rows)
    except Exception as error:
        # Each library has its own exceptions, and what one of them refuses the flat form must not answer.
        raise UnreadableTreesError(f"the library does not answer for the rows of the comparison ({error})") from error
    answers = flat(rows)
    if answers.shape != expected.shape:
        raise UnreadableTreesError(
            f"read as arrays it answers {answers.shape} where its library answers {expected.shape}"
        )
    different = np.flatnonzero((answers.view("u8") != expected.view("u8")).reshape(len(rows), -1).any(axis=1))
    if len(different):
        raise UnreadableTreesError(f"read as arrays it answers otherwise than its library in {len(different)} rows")
    some = range(0, len(rows), 1 + len(rows) // _ALONE)
    if np.concatenate([flat(rows[at : at + 1]) for at in some]).tobytes() != answers[some].tobytes():
        raise UnreadableTreesError("read as arrays it answers otherwise for a row alone than among others")
    return flat
