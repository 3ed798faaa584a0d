"""A model set is replaced as one directory: readers find the old set whole or the new set whole.

Training writes into a fresh sibling of `models/`. At the end everything else that lives in
`models/` (logs, snapshots, files of other stages) is linked over, and the two directories
change places in one system call where there is one. A run killed at any moment leaves the
old set as it was, and its leftovers are removed by the next run.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from novosky.errors import LockedError, StorageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What a kernel or file system without the exchange answers.
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_RECOVERY_WAIT_SECONDS = 10.0


@contextmanager
def replace_model_set(models_dir: Path, *, leave_behind: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty directory to be filled; on success it takes the place of `models_dir`.

    Files of `models_dir` that the caller did not write anew are carried over. When the body
    raises, or the process dies, `models_dir` stays as it was.

    Parameters
    ----------
    models_dir : Path
        The directory to replace or create. A symbolic link is followed and stays.
    leave_behind : collection of str
        Files that describe the old set and go with it.

    Yields
    ------
    Path
        The staging directory, on the same file system.

    Raises
    ------
    LockedError
        Another training run is writing this set.
    StorageError
        The set cannot be put in place (disk full, no permission); the old one is intact.
    """
    target = models_dir.resolve()
    with _storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target, wait_seconds=0.0):
        with _storage_errors(target):
            _recover(target)
            _remove_leftovers(target)
            staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.staging-", dir=target.parent))
        try:
            yield staging
            with _storage_errors(target):
                staging.chmod(0o755)
                if target.is_dir():
                    _carry_over(target, staging, leave_behind)
                _sync(staging)
                _swap(target, staging)
        finally:
            # After the exchange this name holds the old set; what cannot be removed now goes next time.
            shutil.rmtree(staging, ignore_errors=True)


def recover_model_set(models_dir: Path) -> None:
    """Put the set back that a run killed between two renames had moved aside.

    Only file systems without an atomic exchange can come into that state. Does nothing when
    `models_dir` exists.

    Raises
    ------
    LockedError
        A training run holds the set and does not finish its swap in time.
    StorageError
        The set was found but cannot be put back.
    """
    target = models_dir.resolve()
    if target.exists() or not _retired(target):
        return
    with _locked(target, wait_seconds=_RECOVERY_WAIT_SECONDS), _storage_errors(target):
        _recover(target)


@contextmanager
def lock_model_set(models_dir: Path) -> Iterator[None]:
    """Keep the set in place while a file is added to it.

    Raises
    ------
    LockedError
        A training run is writing this set.
    """
    with _locked(models_dir.resolve(), wait_seconds=0.0):
        yield


@contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"the model set {target} could not be replaced ({error.strerror or error}); the previous set is unchanged. "
            "Free disk space or mend the permissions and run the command again."
        ) from error


@contextmanager
def _locked(target: Path, *, wait_seconds: float) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path = target.parent / f".{target.name}.lock"
    lock = FileLock(path)
    with _storage_errors(target):
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout as error:
            raise LockedError(f"another run is writing {target} ({path} is held); wait or stop it first") from error
    try:
        yield
    finally:
        lock.release()


def _retired(target: Path) -> list[Path]:
    return sorted(target.parent.glob(f".{target.name}.retired-*"))


def _recover(target: Path) -> None:
    retired = _retired(target)
    if not target.exists() and retired:
        retired[-1].rename(target)


def _remove_leftovers(target: Path) -> None:
    """Remove what killed runs left; the lock is held, so none of it is in use."""
    for stale in (*target.parent.glob(f".{target.name}.staging-*"), *_retired(target)):
        shutil.rmtree(stale)


def _carry_over(source: Path, staging: Path, leave_behind: Collection[str]) -> None:
    for entry in sorted(source.iterdir()):
        copy = staging / entry.name
        if copy.exists() or entry.name in leave_behind or entry.name.endswith(".tmp"):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, copy, symlinks=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(str(entry), str(copy))


def _link_or_copy(source: str, copy: str) -> None:
    """Link where possible: files here are only ever replaced whole, never changed in place."""
    try:
        os.link(source, copy, follow_symlinks=False)
    except OSError as error:
        # Some file systems cannot link; a full disk fails again below and is reported there.
        if error.errno == errno.ENOSPC:
            raise
        shutil.copy2(source, copy, follow_symlinks=False)


def _sync(directory: Path) -> None:
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(target: Path, staging: Path) -> None:
    if not target.exists():
        staging.rename(target)
    elif not _exchange(target, staging):
        retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.retired-", dir=target.parent))
        retired.rmdir()
        target.rename(retired)
        try:
            staging.rename(target)
        except OSError:
            retired.rename(target)
            raise
        shutil.rmtree(retired, ignore_errors=True)
    _sync(target.parent)


def _exchange(first: Path, second: Path) -> bool:
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
