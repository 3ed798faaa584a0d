"""The scope lock of a delegated task: which files it may change, how far it may go, and what it did change.

A lock is JSON: who works on what, the files as patterns, limits, and the tier of the model that
is to work. It is judged as it stood when the work began, so that nobody can widen their own.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from novosky.errors import SettingsError, StorageError, UsageError
from novosky.guarded_json import parse_json
from novosky.settings.base import Section

Tier = Literal["small", "medium", "large"]
LOCK_WRITER = "model-optimizer"
"""The one agent that may write locks, for others."""
LOCK_FILE = "logs/scope_lock.json"
GUARDED = (
    ".env",
    LOCK_FILE,
    ".claude/**",
    "scripts/run_agent.sh",
    "commands/agents/scope_lock.py",
    "commands/agents/command.py",
)
"""No lock may open these: they are secrets, or the fence itself."""
WATCHED = (".env", LOCK_FILE, "models/model_compat.json")
"""Looked at although git ignores them."""
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""Git's own name of a tree without files: what a first commit is compared to."""
_BLOCK = re.compile(r"^```json scope-lock\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Limits(Section):
    """How far a task may go."""

    trials: int = Field(ge=0, le=500)
    """Optuna trials per search; 0 forbids searching."""
    iterations: int = Field(ge=0, le=10)
    """Rounds of tune, retrain, backtest; 0 forbids retraining."""
    minutes: int = Field(ge=1, le=1440)
    """Wall time, after which the work is ended."""


class ScopeLock(Section):
    """What a task may touch."""

    agent: str = Field(min_length=1)
    task: str = Field(min_length=1)
    files: tuple[str, ...]
    """Patterns relative to the checkout; `*` stays within a folder, `**` does not. Empty: nothing may change."""
    limits: Limits
    tier: Tier
    """Of the model that is to do the work."""

    @field_validator("files")
    @classmethod
    def _narrow(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            path = PurePosixPath(pattern)
            if path.is_absolute() or ".." in path.parts or "\\" in pattern or ":" in pattern:
                raise ValueError(f"{pattern!r} leads out of the checkout")
            if not path.parts or path.parts[0].startswith("*"):
                raise ValueError(f"{pattern!r} opens the whole checkout; name a folder or a file")
            if any(matches(guarded.replace("**", "x"), [pattern]) or guarded == pattern for guarded in GUARDED):
                raise ValueError(f"{pattern!r} opens {', '.join(GUARDED)}, which no task may change")
        return patterns


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether a path of the checkout is covered by one of the patterns."""
    return any(_expression(pattern).fullmatch(path) for pattern in patterns)


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))


def default_lock(brief: Path, agent: str, task: str) -> ScopeLock | None:
    """Return the lock that a brief gives to a task without one of its own.

    Returns
    -------
    ScopeLock or None
        None where the brief has none: its tasks need a lock that was written for them.

    Raises
    ------
    SettingsError
        The brief's lock is not valid.
    """
    found = _BLOCK.search(brief.read_text(encoding="utf-8"))
    if found is None:
        return None
    return parse_lock(found[1], str(brief), agent=agent, task=task)


def parse_lock(text: str, place: str, **given: str) -> ScopeLock:
    """Read a lock; `given` values stand in for what the text leaves out.

    Raises
    ------
    SettingsError
        Names the place and every mistake.
    """
    try:
        content = parse_json(text, place)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        return ScopeLock.model_validate_json(json.dumps({**given, **content}), strict=True)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise SettingsError(f"{place} is no valid scope lock:\n" + "\n".join(lines)) from error
    except ValueError as error:
        raise SettingsError(f"{place} is no valid scope lock: {error}") from error


def lock_for(lock_file: Path, brief: Path, agent: str, task: str) -> ScopeLock:
    """Return the lock a task works under: the one written for it, else its brief's.

    Raises
    ------
    SettingsError
        A lock was written for this task and is not valid, or the agent needs one and has none.
    """
    # Whoever writes locks must be able to replace one that is not valid.
    if lock_file.exists() and agent != LOCK_WRITER:
        lock = parse_lock(lock_file.read_text(encoding="utf-8-sig"), str(lock_file))
        if (lock.agent, lock.task) == (agent, task):
            return lock
    usual = default_lock(brief, agent, task)
    if usual is None:
        raise SettingsError(
            f"{agent} works only under a scope lock written for its task, and {lock_file} is not for this one; "
            "run `scripts/run_agent.sh model-optimizer TASK` first, with the same words"
        )
    return usual


@dataclass(frozen=True)
class Snapshot:
    """The checkout at a moment.

    Attributes
    ----------
    head : str
        The commit checked out, empty before the first.
    files : mapping of str to str
        SHA-256 of everything that differs from it or is new, and of `WATCHED`; empty for a file
        that is not there.
    """

    head: str
    files: Mapping[str, str]


def take_snapshot(root: Path) -> Snapshot:
    """Look at a checkout; UsageError when it is none."""
    head = _git(root, "rev-parse", "--verify", "--quiet", "HEAD", failing=True).strip()
    listed = _git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    paths = {entry[3:] for entry in listed.split("\0") if entry}
    return Snapshot(head, {path: _hash(root / path) for path in sorted(paths | set(WATCHED))})


def changed_files(root: Path, before: Snapshot, after: Snapshot) -> list[str]:
    """Return every path whose content, or whose place in history, changed between two moments."""
    names = {
        path
        for path in before.files.keys() | after.files.keys()
        if before.files.get(path) != after.files.get(path) and not _only_committed(root, path, before, after)
    }
    if before.head != after.head:
        base = before.head or EMPTY_TREE
        listed = _git(root, "diff", "--name-only", "--no-renames", "-z", base, after.head)
        names |= {path for path in listed.split("\0") if path and not _was_there(root, path, before)}
    return sorted(names)


def _only_committed(root: Path, path: str, before: Snapshot, after: Snapshot) -> bool:
    """Tell whether a path left the list of differences by being committed as it was."""
    return path in before.files and path not in after.files and _hash(root / path) == before.files[path]


def _was_there(root: Path, path: str, before: Snapshot) -> bool:
    return path in before.files and _hash(root / path) == before.files[path]


def outside(lock: ScopeLock, changed: Sequence[str], *, may_write_lock: bool = False) -> list[str]:
    """Return the changed paths that the lock does not cover."""
    allowed = (*lock.files, LOCK_FILE) if may_write_lock else lock.files
    return [path for path in changed if not matches(path, allowed)]


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return ""
    except OSError as error:
        raise StorageError(f"{path} cannot be read ({error.strerror}); mend its permissions") from error


def _git(root: Path, *arguments: str, failing: bool = False) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, encoding="utf-8", check=False
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed, so nobody can say what a task has changed") from error
    if done.returncode and not failing:
        raise UsageError(f"git {arguments[0]} failed in {root}: {done.stderr.strip()}; run it in a checkout")
    return done.stdout
