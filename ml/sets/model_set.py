"""A model set is replaced as one directory: readers find the old set whole or the new set whole.

Training writes into a fresh sibling of `models/`. At the end everything else that lives in
`models/` (logs, snapshots, files of other stages) is linked over, and the two directories
change places in one system call where there is one. A run killed at any moment leaves the
old set as it was, and its leftovers are removed by the next run.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ml.sets.directories import carry_over, exchange_directories
from ml.sets.swap_journal import complete_swap, swap_pending
from novosky.errors import LockedError, StorageError
from novosky.files import sync_directory
from novosky.persistence import remove_tree, rename

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
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target, wait_seconds=0.0):
        with storage_errors(target):
            _recover(target)
            _remove_leftovers(target)
            staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.staging-", dir=target.parent))
        try:
            yield staging
            with storage_errors(target):
                staging.chmod(0o755)
                if target.is_dir():
                    carry_over(target, staging, leave_behind)
                sync_directory(staging)
                _swap(target, staging)
        finally:
            # After the exchange this name holds the old set; what cannot be removed now goes next time.
            shutil.rmtree(staging, ignore_errors=True)


def recover_model_set(models_dir: Path) -> None:
    """Complete what a killed run had begun: a deployment past its commit, or a set moved aside.

    Only file systems without an atomic exchange leave a set between two renames. Does nothing
    when there is nothing to complete.

    Raises
    ------
    LockedError
        A training run holds the set and does not finish its swap in time.
    StorageError
        The set was found but cannot be put back.
    """
    target = models_dir.resolve()
    if not swap_pending(target) and (target.exists() or not _retired(target)):
        return
    with _locked(target, wait_seconds=_RECOVERY_WAIT_SECONDS), storage_errors(target):
        _recover(target)


@contextmanager
def lock_model_set(models_dir: Path, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Keep the set in place while it is read whole, or a file is added to it.

    Raises
    ------
    LockedError
        A training run or a deployment is writing this set.
    """
    with _locked(models_dir.resolve(), wait_seconds=wait_seconds):
        yield


@contextmanager
def storage_errors(target: Path) -> Iterator[None]:
    """Turn errors of the disk into a `StorageError` that names the set; for steps that leave the old one alone."""
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
    with storage_errors(target):
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
    complete_swap(target)
    retired = _retired(target)
    if not target.exists() and retired:
        rename(retired[-1], target)


def _remove_leftovers(target: Path) -> None:
    """Remove what killed runs left; the lock is held, so none of it is in use."""
    for stale in (*target.parent.glob(f".{target.name}.staging-*"), *_retired(target)):
        remove_tree(stale)


def _swap(target: Path, staging: Path) -> None:
    if not target.exists():
        rename(staging, target)
    elif not exchange_directories(target, staging):
        retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.retired-", dir=target.parent))
        retired.rmdir()
        rename(target, retired)
        try:
            rename(staging, target)
        except OSError:
            rename(retired, target)
            raise
        shutil.rmtree(retired, ignore_errors=True)
    sync_directory(target.parent)
