"""The checkout's git, used as a person would use it; never prompts, never fetches, never forces."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from novosky.errors import StorageError, UsageError

_SECONDS = 60.0
_HALF_DONE = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}
_NOT_IGNORED = 1


def check_tree(root: Path, *, allow_dirty: bool) -> None:
    """Refuse a checkout in which a commit would mix with other work.

    Untracked files are nobody's business; changed tracked ones are, unless `allow_dirty`.

    Raises
    ------
    UsageError
        No git, no checkout, no branch, an operation half done, uncommitted changes, a branch
        behind its upstream as last fetched, or no name to commit under.
    """
    without = "or run with --no-commit"
    if _git(root, "rev-parse", "--is-inside-work-tree").returncode != 0:
        raise UsageError(f"{root} is no git checkout, so nothing can be committed; clone one, {without}")
    if _git(root, "symbolic-ref", "-q", "HEAD").returncode != 0:
        raise UsageError(f"the checkout {root} is on no branch; switch to one, {without}")
    status = _out(root, "status", "--porcelain=v1", "--untracked-files=no")
    for head, what in _HALF_DONE.items():
        if _git(root, "rev-parse", "-q", "--verify", head).returncode == 0:
            raise UsageError(f"the checkout {root} is in the middle of a {what}; finish it first, {without}")
    if status and not allow_dirty:
        names = ", ".join(line[3:] for line in status.splitlines()[:5])
        raise UsageError(f"uncommitted changes in {names}; commit or stash them, give --allow-dirty, {without}")
    behind = _git(root, "rev-list", "--count", "HEAD..@{upstream}")
    if behind.returncode == 0 and int(behind.stdout or "0") > 0:
        raise UsageError(
            f"the branch is {behind.stdout.strip()} commit(s) behind its upstream; merge or rebase first, {without}"
        )
    if _git(root, "var", "GIT_COMMITTER_IDENT").returncode != 0:
        raise UsageError(f"git knows no name to commit under; set user.name and user.email, {without}")


def commit(root: Path, files: Sequence[Path], message: str, run: str) -> str | None:
    """Commit these files and nothing else; a run commits once, however often it is resumed.

    Parameters
    ----------
    files : sequence of Path
        Missing and ignored ones, and those outside the checkout, are left out.
    message : str
    run : str
        Name of the run; ends up as a trailer by which the commit is found again.

    Returns
    -------
    str or None
        The commit's short hash, or None when nothing had changed.

    Raises
    ------
    StorageError
        git refused; its words are in the message.
    """
    # In the message itself: a run that was killed between its commit and its note finds the commit again.
    trailer = f"Optimisation-run: {run}"
    known = _git(root, "log", "-n", "20", "--format=%h", f"--grep=^{trailer}$")
    if known.returncode == 0 and known.stdout.strip():
        return known.stdout.split()[0]
    names = [str(file) for file in files if file.exists() and _is_ours(root, file)]
    if not names:
        return None
    _out(root, "add", "--", *names)
    if _git(root, "diff", "--cached", "--quiet", "--", *names).returncode == 0:
        return None
    _out(root, "commit", "--quiet", "-m", f"{message}\n\n{trailer}", "--", *names)
    return _out(root, "rev-parse", "--short", "HEAD").strip()


def _is_ours(root: Path, file: Path) -> bool:
    # Outside the checkout, behind a link, git answers with an error.
    return _git(root, "check-ignore", "-q", str(file)).returncode == _NOT_IGNORED


def _out(root: Path, *arguments: str) -> str:
    result = _git(root, *arguments)
    if result.returncode != 0:
        words = " ".join((result.stderr or result.stdout).split())
        raise StorageError(f"git {arguments[0]} failed in {root}: {words}")
    return result.stdout


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nobody sits there: no prompt, no editor, and messages in one language.
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed; install it, or run with --no-commit") from error
    except subprocess.TimeoutExpired as error:
        raise StorageError(f"git {arguments[0]} did not end within {_SECONDS:.0f} s in {root}") from error
