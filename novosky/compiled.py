"""The one way functions are compiled here: strict IEEE arithmetic, cached under the sources' own hash.

Numba keys its cache on the file a function stands in, but compiled code contains the
functions it calls, wherever they stand. A rule changed in one file would live on in the
cached code of another. So the cache folder is named after the content of every source
file that may hold compiled code: any change compiles everything anew.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("backtest", "engine", "ml", "novosky", "trading")
WHOLE_FOLDERS = ("engine", "ml/features")
"""Folders of which every file counts: compiled code takes in their constants and layouts too."""
CACHES_KEPT = 4


def compiled(function: F) -> F:
    """Compile `function` with Numba, keeping its type for the checker.

    Fast-math stays off: the compiled and the plain function must give the same bytes.
    With the environment variable NUMBA_DISABLE_JIT=1 the function is returned as it is.
    """
    return cast(F, numba.njit(cache=_own_cache(), fastmath=False)(function))


def inlined(function: F) -> F:
    """Compile like `compiled`, and put the code into every compiled caller.

    For what a loop calls once per bar: left to itself the compiler calls a function of some
    length, hands its arrays over by value, and halves the speed of the loop.
    """
    return cast(F, numba.njit(cache=_own_cache(), fastmath=False, forceinline=True)(function))


def compiles() -> bool:
    """Tell whether this run compiles at all; with NUMBA_DISABLE_JIT=1 it does not."""
    return not getattr(numba.config, "DISABLE_JIT")  # noqa: B009 (not in the stubs)


def source_hash(root: Path = ROOT) -> str:
    """Return a hash over every source file that holds compiled code or feeds it."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            name, content = file.relative_to(root).as_posix(), file.read_bytes()
            if name.startswith(WHOLE_FOLDERS) or b"novosky.compiled" in content:
                digest.update(name.encode())
                digest.update(content)
    return digest.hexdigest()[:16]


def cache_folder() -> Path | None:
    """Return where compiled code is kept, or None when no folder is writable and every start compiles anew."""
    if not _own_cache():
        return None
    folder: str = getattr(numba.config, "CACHE_DIR")  # noqa: B009 (not in the stubs)
    return Path(folder)


@functools.cache
def _own_cache() -> bool:
    """Point Numba to the cache of these sources; False when there is no place for one.

    Without a writable folder of its own Numba would fall back to __pycache__, where stale
    code could hide, so nothing is cached then. NUMBA_CACHE_DIR moves the caches elsewhere.
    """
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    try:
        base = Path(chosen) if chosen else _home_cache()
        folder = base / source_hash()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        if not chosen:
            # In use is recent: going back to older sources must not prune their cache.
            os.utime(folder)
            _prune(base)
    except (OSError, RuntimeError):  # Path.home() raises RuntimeError for an account without a home.
        return False
    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 (not in the stubs)
    return True


def _home_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novosky" / "compiled"


def _prune(base: Path) -> None:
    """Remove the caches of older sources, all but the most recent few."""
    folders = sorted(base.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[CACHES_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
