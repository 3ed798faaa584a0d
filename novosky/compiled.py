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
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("novosky", "trading", "ml", "backtest")
WHOLE_FOLDERS = ("trading/engine", "ml/features")
"""Folders of which every file counts: compiled code takes in their constants and layouts too."""
CACHES_KEPT = 4


def compiled(function: F) -> F:
    """Compile `function` with Numba, keeping its type for the checker.

    Fast-math stays off: the compiled and the plain function must give the same bytes.
    With the environment variable NUMBA_DISABLE_JIT=1 the function is returned as it is.
    """
    _use_own_cache()
    return cast(F, numba.njit(cache=True, fastmath=False)(function))


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


@functools.cache
def _use_own_cache() -> None:
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "novosky" / "compiled"
    folder = base / source_hash()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _prune(base)
    except OSError:
        # Without a writable home Numba falls back to __pycache__, where stale code could hide;
        # a folder that cannot exist keeps it from caching there.
        folder = Path(os.devnull) / "no-cache"
    setattr(numba.config, "CACHE_DIR", str(folder))  # noqa: B010 (not in the stubs)


def _prune(base: Path) -> None:
    """Remove the caches of older sources, all but the most recent few."""
    folders = sorted(base.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[CACHES_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
