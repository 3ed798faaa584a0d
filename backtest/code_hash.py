"""Which code a kept result was computed with, so that none outlives the rules it came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from novosky.compiled import PACKAGES, ROOT


def code_hash(root: Path = ROOT) -> str:
    """Return the SHA-256 of every source file of the packages that decide a result.

    Those are the packages that may hold compiled code: all below the commands and the weekly loop.
    A file that decides nothing only makes a kept result be computed anew.

    Raises
    ------
    FileNotFoundError
        A package is not there: a hash of nothing would take every result for a current one.
    """
    digest = hashlib.sha256()
    for package in PACKAGES:
        files = sorted((root / package).rglob("*.py"))
        if not files:
            raise FileNotFoundError(f"{root / package} holds no source, so kept results cannot be told apart")
        for file in files:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
