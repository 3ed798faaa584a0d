"""Directories that change places in one step, and what is linked from one into another."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What a kernel or file system without the exchange answers.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def carry_over(source: Path, staging: Path, leave_behind: Collection[str]) -> None:
    """Link everything of `source` into `staging` that is not there yet and is not to be left behind."""
    for entry in sorted(source.iterdir()):
        copy = staging / entry.name
        if copy.exists() or entry.name in leave_behind or entry.name.endswith(".tmp"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, copy, symlinks=True, copy_function=link_or_copy)
        else:
            link_or_copy(str(entry), str(copy))


def link_or_copy(source: str, copy: str) -> None:
    """Link where possible: files here are only ever replaced whole, never changed in place."""
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError as error:
        # Some file systems cannot link; a full disk fails again below and is reported there.
        if error.errno == errno.ENOSPC:
            raise
        shutil.copy2(source, copy, follow_symlinks=False)


def exchange_directories(first: Path, second: Path) -> bool:
    """Let two directories change names in one step; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(first))
