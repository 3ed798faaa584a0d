"""The write-ahead journal of a deployment: a model set and its two settings files change together.

Everything new lies complete and durable beside what it replaces before the journal is
written. Writing the journal is the commit: before it nothing in place has changed, after it
whoever comes next carries the swap through. Every step is a rename, needs no disk space, and
can be seen to have been done, so it may be cut off anywhere and taken up again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from ml.sets.directories import exchange_directories
from novosky.errors import StorageError
from novosky.files import sync_directory, write_json
from novosky.guarded_json import read_json_file
from novosky.persistence import remove_file, rename, replace_file

_FORMAT = 1


@dataclass(frozen=True)
class SwapPlan:
    """What a journal says.

    Attributes
    ----------
    folder : str
        Name of the directory beside the model set that holds the new set under `new/models`
        and collects what is replaced under `old/`.
    files : mapping of str to str
        Settings file to be replaced: the durable new one beside it. Relative to the folder of
        the model set where they lie below it, so that a checkout can be moved.
    format : int
        Version of this layout.
    """

    folder: str
    files: Mapping[str, str]
    format: int = _FORMAT


def journal_path(target: Path) -> Path:
    """Return where the journal of a model set lies."""
    return target.parent / f".{target.name}.swap.json"


def previous_path(target: Path) -> Path:
    """Return where the deployment before the present one is kept."""
    return target.parent / f".{target.name}.previous"


def swap_pending(target: Path) -> bool:
    """Tell whether a swap of this model set is committed and not finished."""
    return journal_path(target).exists()


def commit_swap(target: Path, plan: SwapPlan) -> None:
    """Write the journal: from here on the swap will be carried through."""
    write_json(journal_path(target), asdict(plan))


def relative_name(target: Path, path: Path) -> str:
    """Return a path as the journal writes it."""
    return str(path.relative_to(target.parent) if path.is_relative_to(target.parent) else path)


def complete_swap(target: Path) -> None:
    """Carry a committed swap through; nothing when there is none. The set's lock is held.

    Raises
    ------
    StorageError
        The journal is not one of ours.
    OSError
        A step failed; the next call takes it up again.
    """
    if not swap_pending(target):
        return
    plan = _read(target)
    swap = target.parent / plan.folder
    _place_models(target, swap)
    for name, staged in plan.files.items():
        _place_file(target.parent / staged, target.parent / name)
    _keep_previous(target, swap)
    # Only now can the marker go: it tells a set that is in place from one that is not.
    remove_file(_marker(target, swap), missing_ok=True)
    sync_directory(target)
    remove_file(journal_path(target))
    sync_directory(target.parent)
    # What cannot be removed now goes next time.
    shutil.rmtree(swap, ignore_errors=True)


def abandon_swap(target: Path) -> bool:
    """Take a commit back as long as nothing in place has changed; False when it has."""
    swap = target.parent / _read(target).folder
    if _marker(target, swap).exists() or _old_models(swap).exists() or not _new_models(swap).exists():
        return False
    remove_file(journal_path(target))
    sync_directory(target.parent)
    return True


def mark_new_models(swap: Path) -> None:
    """Put a file into the new set by which it is known wherever it lies."""
    (_new_models(swap) / swap.name).touch()


def _new_models(swap: Path) -> Path:
    return swap / "new" / "models"


def _old_models(swap: Path) -> Path:
    return swap / "old" / "models"


def _marker(models: Path, swap: Path) -> Path:
    return models / swap.name


def _place_models(target: Path, swap: Path) -> None:
    new, old = _new_models(swap), _old_models(swap)
    if new.exists() and not old.exists() and target.exists():
        # Readers never find the set absent where the system can exchange two directories.
        if _marker(target, swap).exists() or exchange_directories(target, new):
            rename(new, old)
        else:
            rename(target, old)
    if new.exists():
        rename(new, target)
    for directory in (target.parent, swap / "old", swap / "new"):
        if directory.exists():
            sync_directory(directory)


def _place_file(staged: Path, target: Path) -> None:
    if staged.exists():
        replace_file(staged, target)
        sync_directory(target.parent)


def _keep_previous(target: Path, swap: Path) -> None:
    old, previous, discarded = swap / "old", previous_path(target), swap / "discarded"
    if not old.exists():
        return
    if previous.exists():
        rename(previous, discarded)
    rename(old, previous)
    sync_directory(target.parent)


def _read(target: Path) -> SwapPlan:
    path = journal_path(target)
    try:
        content: Any = read_json_file(path)
        plan = SwapPlan(**content)
        whole = (
            plan.format == _FORMAT
            and PurePath(plan.folder).name == plan.folder
            and plan.folder.startswith(f".{target.name}.swap-")
            and all(isinstance(text, str) for pair in plan.files.items() for text in pair)
        )
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _foreign(path, type(error).__name__) from error
    if not whole or not os.path.lexists(path.parent / plan.folder):
        raise _foreign(path, "other layout, or its folder is gone")
    return plan


def _foreign(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"{path} is no journal that this program can carry through ({reason}); models and settings may not belong "
        "together: compare them to what lies beside it, remove it, and pull or restore a set"
    )
