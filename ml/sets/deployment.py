"""A deployment: models, `config.json` and `ml_config.json` that belong together and change together.

Whoever puts a set in place with its settings (a pull, the weekly optimisation, a rollback)
does it here. Killed at any moment, the next command finds either all three as they were or
carries the swap through, see `ml.sets.swap_journal`; at no moment can a command that starts by
recovering read models beside settings they were not approved with.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ml.sets.companions import COMPANIONS, MANIFEST_NAME
from ml.sets.directories import carry_over, link_or_copy
from ml.sets.model_set import lock_model_set, recover_model_set, storage_errors
from ml.sets.swap_journal import (
    SwapPlan,
    abandon_swap,
    commit_swap,
    complete_swap,
    journal_path,
    mark_new_models,
    previous_path,
    relative_name,
    swap_pending,
)
from novosky.errors import LockedError, ModelError, SettingsError, StorageError
from novosky.file_names import refusal_of_names
from novosky.files import sha256_of, sync_directory, write_bytes, write_json
from novosky.guarded_json import read_json_file
from novosky.persistence import discard_file, remove_file, remove_tree

T = TypeVar("T")

_RECORD = "deployed.json"
_READ_ATTEMPTS = 5


@dataclass(frozen=True)
class Deployment:
    """Where the three parts lie.

    Attributes
    ----------
    models : Path
        Directory of the model set.
    config, ml_config : Path
    """

    models: Path
    config: Path
    ml_config: Path

    def resolved(self) -> Deployment:
        """Return the places behind symbolic links, which stay."""
        return Deployment(self.models.resolve(), self.config.resolve(), self.ml_config.resolve())


def set_files(models: Path) -> tuple[str, ...]:
    """Return the names of the files that make up the set in a directory, its manifest included.

    Everything else there (logs, snapshots) belongs to the owner of the machine. A directory
    without a readable manifest holds no set; its files are never loaded.
    """
    try:
        names = list(_artifacts(models))
    except (OSError, ValueError, KeyError, TypeError):
        names = []
    return tuple(dict.fromkeys([*names, *COMPANIONS]))


@contextmanager
def replace_deployment(target: Deployment, *, leave_behind: Collection[str] | None = None) -> Iterator[Deployment]:
    """Yield places for a new deployment; on success it takes the place of `target` as a whole.

    The yielded `models` is an empty directory to be filled. `config` and `ml_config` may be
    written; one that is not stays as it is. Files in `target.models` that belong to no set are
    carried over. What is replaced is kept for `rollback`. When the body raises, or the process
    dies, all three stay as they were.

    Parameters
    ----------
    target : Deployment
        `config` must exist.
    leave_behind : collection of str, optional
        Files of the present directory that go with its set, instead of `set_files`.

    Yields
    ------
    Deployment

    Raises
    ------
    LockedError
        Another run is writing this set.
    SettingsError
        A settings file was changed by somebody else in the meantime; nothing was replaced.
    StorageError
        It cannot be put in place; all three are as they were, or the message says that the
        next command will finish what was begun.
    """
    target = target.resolved()
    with storage_errors(target.models):
        target.models.parent.mkdir(parents=True, exist_ok=True)
    with lock_model_set(target.models):
        with storage_errors(target.models):
            complete_swap(target.models)
            _remove_leftovers(target)
            swap = Path(tempfile.mkdtemp(prefix=f".{target.models.name}.swap-", dir=target.models.parent))
        staged: list[Path] = []
        try:
            incoming = _lay_out(swap)
            before = _settings_of(target)
            yield incoming
            with storage_errors(target.models):
                _complete_models(target, incoming, set_files(target.models) if leave_behind is None else leave_behind)
                plan = _stage(target, incoming, swap, staged)
            if _settings_of(target) != before:
                raise SettingsError(
                    f"{target.config} or {target.ml_config} was changed while the new deployment was prepared; "
                    "nothing was replaced: run the command again"
                )
            with storage_errors(target.models):
                commit_swap(target.models, plan)
            _carry_through(target)
        finally:
            # After a commit these belong to the journal, which the next command reads.
            if not swap_pending(target.models):
                for path in staged:
                    discard_file(path)
                shutil.rmtree(swap, ignore_errors=True)


def recover(target: Deployment) -> None:
    """Complete a swap that a killed process had committed; nothing when there is none.

    Raises
    ------
    LockedError
        A running deployment holds the set and does not finish in time.
    StorageError
        A swap cannot be carried through.
    """
    recover_model_set(target.models)


def read_undisturbed(target: Deployment, read: Callable[[], T]) -> T:
    """Read settings and models that belong together; start over when they were replaced meanwhile.

    Parameters
    ----------
    target : Deployment
    read : callable
        Loads whatever it needs of the three.

    Raises
    ------
    LockedError
        They are replaced again and again.
    """
    for _ in range(_READ_ATTEMPTS):
        recover(target)
        before = _state(target)
        try:
            found = read()
        except (ModelError, SettingsError):
            if _state(target) == before:
                raise
            continue
        if _state(target) == before:
            return found
    raise LockedError(f"{target.models} and its settings are replaced again and again; wait for that to end")


def previous(target: Deployment) -> Deployment | None:
    """Return where the deployment before the present one is kept, None when there is none."""
    kept = _parts(previous_path(target.models.resolve()))
    return kept if (kept.models / MANIFEST_NAME).is_file() else None


Adapt = Callable[[bytes, bytes], bytes]
"""Given the previous config.json and the present one, what shall be put in place."""


def rollback(target: Deployment, adapt: Adapt | None = None) -> None:
    """Put the previous deployment back; what it replaces becomes the previous one.

    Models and settings come back byte for byte. Where config.json was edited since it was
    replaced, `adapt` decides what becomes of the edits.

    Raises
    ------
    ModelError
        There is none, or one of its files has been damaged.
    SettingsError
        config.json was edited since, and there is no `adapt`.
    """
    target = target.resolved()
    recover(target)
    kept = previous(target)
    if kept is None:
        raise ModelError(
            f"{previous_path(target.models)} holds no set to go back to; pull one with "
            "`python ml/r2_hub.py --pull --revision TAG`"
        )
    with replace_deployment(target) as incoming:
        for name in set_files(kept.models):
            if (kept.models / name).is_file():
                link_or_copy(str(kept.models / name), str(incoming.models / name))
        _require_whole(incoming.models, kept.models)
        config, present = kept.config.read_bytes(), target.config.read_bytes()
        if _edited_since(kept, present):
            if adapt is None:
                raise SettingsError(
                    f"{target.config} was edited since the last deployment; going back would undo that: "
                    "put the old values back first"
                )
            config = adapt(config, present)
        write_bytes(incoming.config, config)
        if kept.ml_config.is_file():
            write_bytes(incoming.ml_config, kept.ml_config.read_bytes())


def _edited_since(kept: Deployment, present: bytes) -> bool:
    try:
        record = read_json_file(kept.models.parent / _RECORD)
        return bool(record["config"] != hashlib.sha256(present).hexdigest())
    except (OSError, ValueError, KeyError, TypeError):
        # What cannot be told counts as edited: the owner's values are then kept.
        return True


def _require_whole(models: Path, source: Path) -> None:
    try:
        artifacts = _artifacts(models)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{source / MANIFEST_NAME} cannot be read; nothing was put back: pull a revision") from error
    for name, digest in artifacts.items():
        if not (models / name).is_file() or sha256_of(models / name) != digest:
            raise ModelError(f"{source / name} is missing or damaged; nothing was put back: pull a revision instead")


def _artifacts(models: Path) -> dict[str, str]:
    """Return the files that a directory's manifest names; ValueError and its like where it names none."""
    artifacts: dict[str, str] = read_json_file(models / MANIFEST_NAME)["artifacts"]
    refused = refusal_of_names(artifacts)
    if refused is not None:
        raise ValueError(refused)
    return artifacts


def _parts(folder: Path) -> Deployment:
    return Deployment(folder / "models", folder / "config.json", folder / "ml_config.json")


def _lay_out(swap: Path) -> Deployment:
    incoming = _parts(swap / "new")
    incoming.models.mkdir(parents=True)
    (swap / "old").mkdir()
    return incoming


def _settings_of(target: Deployment) -> tuple[bytes, bytes | None]:
    if not target.config.is_file():
        raise SettingsError(f"{target.config} does not exist; run from the checkout or name the file with --config")
    return target.config.read_bytes(), target.ml_config.read_bytes() if target.ml_config.is_file() else None


def _complete_models(target: Deployment, incoming: Deployment, leave_behind: Collection[str]) -> None:
    written = list(incoming.models.iterdir())
    if target.models.is_dir():
        carry_over(target.models, incoming.models, leave_behind)
    for path in written:
        _sync_file(path)


def _stage(target: Deployment, incoming: Deployment, swap: Path, staged: list[Path]) -> SwapPlan:
    """Make everything durable that the swap will only rename."""
    old, files, deployed = _parts(swap / "old"), {}, {}
    for role, path, new, kept in (
        ("config", target.config, incoming.config, old.config),
        ("ml_config", target.ml_config, incoming.ml_config, old.ml_config),
    ):
        if path.is_file():
            shutil.copy2(path, kept)
            _sync_file(kept)
        content = new if new.is_file() else path
        if content.is_file():
            deployed[role] = sha256_of(content)
        if content is new:
            place = path.parent / f".{path.name}.{swap.name.rpartition('-')[2]}.swap"
            staged.append(place)
            # Nobody reads it under this name before the commit.
            place.write_bytes(new.read_bytes())
            _sync_file(place)
            if path.is_file():
                shutil.copymode(path, place)
            files[relative_name(target.models, path)] = relative_name(target.models, place)
    write_json(swap / "old" / _RECORD, deployed)
    mark_new_models(swap)
    incoming.models.chmod(0o755)
    beside = {path.parent for path in staged}
    for directory in (incoming.models, swap / "new", swap / "old", swap, target.models.parent, *beside):
        sync_directory(directory)
    return SwapPlan(swap.name, files)


def _carry_through(target: Deployment) -> None:
    try:
        complete_swap(target.models)
    except OSError as error:
        reason = error.strerror or str(error)
        if abandon_swap(target.models):
            raise StorageError(
                f"{target.models} could not be replaced ({reason}); models and settings are as they were. Stop what "
                "holds its files, or mend the permissions, and run the command again."
            ) from error
        raise StorageError(
            f"{target.models} and its settings could not be replaced whole ({reason}); the next command finishes it. "
            "Mend the permissions and run any command again."
        ) from error


def _sync_file(path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def _remove_leftovers(target: Deployment) -> None:
    """Remove what killed runs left before their commit; the lock is held, so none of it is in use."""
    for folder in target.models.parent.glob(f".{target.models.name}.swap-*"):
        remove_tree(folder)
    journal = journal_path(target.models)
    for path, ending in ((target.config, "swap"), (target.ml_config, "swap"), (journal, "tmp")):
        for stale in path.parent.glob(f".{path.name}.*.{ending}"):
            remove_file(stale, missing_ok=True)


def _state(target: Deployment) -> tuple[object, ...]:
    """Return what differs as soon as any of the three is being replaced."""
    place = target.resolved()
    try:
        directory = place.models.stat()
        identity: object = (directory.st_dev, directory.st_ino)
    except FileNotFoundError:
        identity = None
    settings = tuple(sha256_of(path) if path.is_file() else None for path in (place.config, place.ml_config))
    return identity, *settings, swap_pending(place.models)
