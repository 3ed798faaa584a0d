"""The folder of a run, and the deployments in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ml.sets.companions import MANIFEST_NAME
from ml.sets.deployment import Deployment, set_files
from novosky.errors import LockedError, StorageError
from optimize.state.resumable import STATE_NAME, RunState, digest_of, remove

RUN_PREFIX = "run-"
_RUN_NAME = re.compile(r"run-\d{8}-\d{6}(-\d+)?", re.ASCII)
LOCK_WAIT_SECONDS = 10.0
"""How long a step waits for another command that is replacing the set in place."""
KEPT_RUNS = 4
"""Ended runs whose folders are kept for a person to look into; each holds a model set."""


def is_trained(files: Deployment) -> bool:
    """Tell whether there is a model set."""
    return (files.models / MANIFEST_NAME).is_file()


def digests(files: Deployment) -> tuple[str, ...]:
    """Return what identifies a deployment: the manifest, which vouches for every model file, and the settings."""
    places = (files.models / MANIFEST_NAME, files.config, files.ml_config)
    return tuple(digest_of(place) if place.is_file() else "" for place in places)


def file_digests(files: Deployment) -> dict[str, str]:
    """Return the SHA-256 of the settings and of every file of the set."""
    models = (files.models / name for name in set_files(files.models))
    places = (files.config, files.ml_config, *(models if is_trained(files) else ()))
    return {place.name: digest_of(place) for place in places if place.is_file()}


def copy_deployment(source: Deployment, target: Deployment) -> None:
    """Copy the settings and every file of the set; logs and snapshots stay where they are."""
    target.models.mkdir(parents=True, exist_ok=True)
    target.config.parent.mkdir(parents=True, exist_ok=True)
    if is_trained(source):
        for name in set_files(source.models):
            if (source.models / name).is_file():
                shutil.copy2(source.models / name, target.models / name)
    shutil.copyfile(source.config, target.config)
    shutil.copyfile(source.ml_config, target.ml_config)


@dataclass(frozen=True)
class Workspace:
    """The folder of one run; nothing outside it is changed before the decision.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def incumbent(self) -> Deployment:
        """What was in use when the run began; with a rollback it is what is in use again."""
        return self._files("incumbent")

    @property
    def start(self) -> Deployment:
        """The incumbent's settings under the chosen profile."""
        return self._settings("start")

    @property
    def shaped(self) -> Deployment:
        """The same after features were dropped, if any were."""
        return self._settings("shaped")

    @property
    def tuned(self) -> Deployment:
        """The same with what the search found."""
        return self._settings("tuned")

    @property
    def trained(self) -> Deployment:
        """New models with the settings they were trained under."""
        return self._settings("trained")

    @property
    def challenger(self) -> Deployment:
        """New models with final settings: what may replace the incumbent."""
        return self._settings("challenger")

    def _files(self, name: str) -> Deployment:
        place = self.folder / name
        return Deployment(place / "models", place / "config.json", place / "ml_config.json")

    def _settings(self, name: str) -> Deployment:
        place = self.folder / name
        return Deployment(self.folder / "models", place / "config.json", place / "ml_config.json")

    def path(self, name: str) -> Path:
        """Return a file of the run."""
        return self.folder / name


def is_run_name(name: str) -> bool:
    """Whether a folder of this name is a run's; every other one belongs to somebody else."""
    return _RUN_NAME.fullmatch(name) is not None


def _run_folders(runs: Path) -> list[Path]:
    """Return the folders of runs, oldest first."""
    return sorted(folder for folder in runs.glob(f"{RUN_PREFIX}*") if folder.is_dir() and is_run_name(folder.name))


@contextmanager
def sole_run(runs: Path) -> Iterator[None]:
    """Hold the lock of all optimisation runs beside each other.

    Raises
    ------
    LockedError
        Another run is going on.
    StorageError
        The folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(runs / ".lock")
    try:
        runs.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise LockedError(f"another optimisation is running in {runs}; wait for it or stop it first") from error
    except OSError as error:
        raise StorageError(f"{runs} is not writable ({error.strerror}); mend the permissions") from error
    try:
        yield
    finally:
        lock.release()


def unfinished_run(runs: Path, command: str) -> RunState | None:
    """Return the newest run of this command that has not ended, or None.

    Raises
    ------
    StorageError
        Its state cannot be read.
    """
    for folder in reversed(_run_folders(runs)):
        # A folder without a state was killed before it had done anything.
        if (folder / STATE_NAME).is_file():
            state = RunState.read(folder)
            if state.plan.get("command") == command:
                return state if state.ended is None else None
    return None


def remove_old_runs(runs: Path, keep: Path) -> None:
    """Remove the folders of ended runs but for the newest ones."""
    ended = []
    for folder in _run_folders(runs):
        if folder == keep:
            continue
        if not (folder / STATE_NAME).is_file():
            remove(folder)
        elif RunState.read(folder).ended is not None:
            ended.append(folder)
    for folder in ended[:-KEPT_RUNS]:
        remove(folder)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or it can be made."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
