"""The one door to Numba: a compiled function keeps the type it was written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile `function` to machine code on its first call and keep it on disk.

    Strict IEEE arithmetic (no fast-math) so that the compiled and the plain function, and
    the same window at another place of an array, give the same bytes. With
    ``NUMBA_DISABLE_JIT=1`` in the environment the plain function is returned.

    Parameters
    ----------
    function : callable
        A function of scalars and NumPy arrays within Numba's nopython subset.

    Returns
    -------
    callable
        The same signature, compiled.

    Examples
    --------
    >>> @compiled
    ... def twice(value: float) -> float:
    ...     return 2.0 * value
    >>> twice(1.5)
    3.0
    """
    return cast(F, numba.njit(cache=True, fastmath=False)(function))
