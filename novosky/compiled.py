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
        A function of scalars and NumPy arrays within Numba's nopython subset, defined in a file.
        The stored machine code is renewed when that file changes, not when a compiled function it
        calls in another file does: keep kernels that call each other in one module.

    Returns
    -------
    callable
        The same signature, compiled.
    """
    return cast(F, numba.njit(cache=True, fastmath=False)(function))
