"""The commit of a run, in real checkouts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from novosky.errors import StorageError, UsageError
from optimize.state.git import check_tree, commit
from tests.optimize.optimize_runs import git


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give git a name and none of this machine's settings."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Somebody")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "somebody@example.org")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "config.json").write_text("1")
    (folder / "other.py").write_text("1")
    (folder / ".gitignore").write_text("/models/*\n!/models/model_compat.json\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "begin")
    return folder


def subjects(folder: Path) -> list[str]:
    return git(folder, "log", "--format=%s").splitlines()


def test_a_clean_checkout_with_untracked_files_is_fine(checkout: Path) -> None:
    (checkout / "notes.txt").write_text("mine")
    check_tree(checkout, allow_dirty=False)


@pytest.mark.parametrize("staged", [False, True])
def test_changed_files_are_named_unless_allowed(checkout: Path, staged: bool) -> None:
    (checkout / "other.py").write_text("2")
    if staged:
        git(checkout, "add", "other.py")
    with pytest.raises(UsageError, match=r"uncommitted changes in other\.py; .*--allow-dirty, or run with --no-commit"):
        check_tree(checkout, allow_dirty=False)
    check_tree(checkout, allow_dirty=True)


def test_a_folder_outside_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no git checkout"):
        check_tree(tmp_path, allow_dirty=False)


def test_a_detached_head_is_refused(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")
    with pytest.raises(UsageError, match="is on no branch"):
        check_tree(checkout, allow_dirty=False)


def test_a_branch_behind_its_upstream_is_refused_and_one_ahead_is_not(checkout: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(checkout), str(clone))
    check_tree(clone, allow_dirty=False)
    (checkout / "other.py").write_text("2")
    git(checkout, "commit", "-qam", "more")
    git(clone, "fetch", "-q")
    with pytest.raises(UsageError, match=r"1 commit\(s\) behind its upstream"):
        check_tree(clone, allow_dirty=False)
    git(clone, "merge", "-q", "--ff-only")
    (clone / "other.py").write_text("3")
    git(clone, "commit", "-qam", "ahead")
    check_tree(clone, allow_dirty=False)


@pytest.mark.parametrize("conflict", [False, True])
@pytest.mark.parametrize("allow_dirty", [False, True])
def test_a_merge_half_done_is_refused_even_where_changes_are_allowed(
    checkout: Path, conflict: bool, allow_dirty: bool
) -> None:
    git(checkout, "checkout", "-qb", "side")
    (checkout / "other.py").write_text("side")
    git(checkout, "commit", "-qam", "side")
    git(checkout, "checkout", "-q", "main")
    (checkout / ("other.py" if conflict else "config.json")).write_text("main")
    git(checkout, "commit", "-qam", "main")
    if conflict:
        with pytest.raises(subprocess.CalledProcessError):
            git(checkout, "merge", "--no-commit", "side")
    else:
        git(checkout, "merge", "-q", "--no-commit", "side")
    with pytest.raises(UsageError, match="in the middle of a merge; finish it first"):
        check_tree(checkout, allow_dirty=allow_dirty)


def test_git_without_a_name_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME")
        monkeypatch.delenv(f"GIT_{role}_EMAIL")
    git(checkout, "config", "user.useConfigOnly", "true")
    with pytest.raises(UsageError, match=r"set user\.name and user\.email"):
        check_tree(checkout, allow_dirty=False)


def test_only_the_named_files_are_committed(checkout: Path) -> None:
    (checkout / "config.json").write_text("2")
    (checkout / "PERF_HISTORY.md").write_text("new")
    (checkout / "other.py").write_text("somebody is at work")
    git(checkout, "add", "other.py")
    files = [checkout / name for name in ("config.json", "PERF_HISTORY.md", "absent.json")]
    found = commit(checkout, files, "Ship it\n\nbecause", "run-1")
    assert found == git(checkout, "rev-parse", "--short", "HEAD").strip()
    assert git(checkout, "show", "--format=", "--name-only").split() == ["PERF_HISTORY.md", "config.json"]
    assert git(checkout, "status", "--porcelain").splitlines() == ["M  other.py"]
    assert git(checkout, "log", "-1", "--format=%B").strip() == "Ship it\n\nbecause\n\nOptimisation-run: run-1"


def test_a_run_commits_once(checkout: Path) -> None:
    file = checkout / "config.json"
    file.write_text("2")
    first = commit(checkout, [file], "Ship", "run-1")
    file.write_text("3")
    assert commit(checkout, [file], "Ship", "run-1") == first
    assert subjects(checkout) == ["Ship", "begin"]


def test_a_run_of_a_similar_name_commits_too(checkout: Path) -> None:
    file = checkout / "config.json"
    file.write_text("2")
    commit(checkout, [file], "Ship the second", "run-1-2")
    file.write_text("3")
    commit(checkout, [file], "Ship the first", "run-1")
    assert subjects(checkout) == ["Ship the first", "Ship the second", "begin"]


def test_nothing_changed_is_no_commit(checkout: Path) -> None:
    assert commit(checkout, [checkout / "config.json"], "Ship", "run-1") is None
    assert subjects(checkout) == ["begin"]


def test_ignored_files_stay_out_and_small_records_go_in(checkout: Path) -> None:
    models = checkout / "models"
    models.mkdir()
    names = ("model_compat.json", "optimize_log.json")
    for name in names:
        (models / name).write_text("{}")
    commit(checkout, [models / name for name in names], "Ship", "run-1")
    assert git(checkout, "show", "--format=", "--name-only").split() == ["models/model_compat.json"]


def test_files_outside_the_checkout_stay_out(checkout: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "model_compat.json"
    elsewhere.write_text("{}")
    (checkout / "config.json").write_text("2")
    assert commit(checkout, [elsewhere, checkout / "config.json"], "Ship", "run-1") is not None
    assert git(checkout, "show", "--format=", "--name-only").split() == ["config.json"]


def test_a_hook_that_refuses_is_quoted(checkout: Path) -> None:
    hook = checkout / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho too big >&2\nexit 1\n")
    hook.chmod(0o755)
    (checkout / "config.json").write_text("2")
    with pytest.raises(StorageError, match=r"git commit failed in .*: too big"):
        commit(checkout, [checkout / "config.json"], "Ship", "run-1")
    hook.unlink()
    assert commit(checkout, [checkout / "config.json"], "Ship", "run-1") is not None
