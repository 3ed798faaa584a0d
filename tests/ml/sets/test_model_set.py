"""A model set is replaced whole or not at all, whatever interrupts the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ml.sets.model_set import recover_model_set, replace_model_set
from novosky.errors import LockedError, StorageError
from novosky.files import write_bytes, write_text
from tests.helpers.small_disk import disk_with_room_for

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals and limits")


def write_set(models: Path, version: str) -> None:
    with replace_model_set(models) as staging:
        for name in ("a.pkl", "b.pkl"):
            write_text(staging / name, version)


def contents(models: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(models.iterdir()) if path.is_file()}


def siblings(models: Path) -> list[str]:
    return sorted(path.name for path in models.parent.iterdir() if path.name != f".{models.name}.lock")


def test_a_set_is_created_where_there_was_none(tmp_path: Path) -> None:
    write_set(tmp_path / "models", "1")
    assert contents(tmp_path / "models") == {"a.pkl": "1", "b.pkl": "1"}


def test_a_new_set_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_set(tmp_path / "models", "1")
    write_set(tmp_path / "models", "2")
    assert contents(tmp_path / "models") == {"a.pkl": "2", "b.pkl": "2"}
    assert siblings(tmp_path / "models") == ["models"]


def test_other_files_and_folders_are_carried_over(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    write_text(models / "optimize_log.json", "[1]")
    write_text(models / "_snapshot_x" / "a.pkl", "0")
    write_set(models, "2")
    assert contents(models) == {"a.pkl": "2", "b.pkl": "2", "optimize_log.json": "[1]"}
    assert contents(models / "_snapshot_x") == {"a.pkl": "0"}


def test_a_file_written_during_training_is_carried_over(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    with replace_model_set(models) as staging:
        write_text(staging / "a.pkl", "2")
        write_text(models / "optimize_log.json", "[2]")
    assert contents(models)["optimize_log.json"] == "[2]"


def test_an_error_in_training_leaves_the_old_set(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    with pytest.raises(ZeroDivisionError), replace_model_set(models) as staging:
        write_text(staging / "a.pkl", "2")
        raise ZeroDivisionError
    assert contents(models) == {"a.pkl": "1", "b.pkl": "1"}
    assert siblings(models) == ["models"]


def test_a_symbolic_link_to_the_models_stays_a_link(tmp_path: Path) -> None:
    write_set(tmp_path / "disk", "1")
    (tmp_path / "models").symlink_to(tmp_path / "disk")
    write_set(tmp_path / "models", "2")
    assert (tmp_path / "models").is_symlink()
    assert contents(tmp_path / "disk") == {"a.pkl": "2", "b.pkl": "2"}


def test_a_second_run_on_the_same_set_is_refused(tmp_path: Path) -> None:
    models = tmp_path / "models"
    with replace_model_set(models), pytest.raises(LockedError, match="models"), replace_model_set(models):
        pass


def test_without_an_atomic_exchange_two_renames_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    write_text(models / "optimize_log.json", "[1]")
    monkeypatch.setattr(sys, "platform", "freebsd")
    write_set(models, "2")
    assert contents(models) == {"a.pkl": "2", "b.pkl": "2", "optimize_log.json": "[1]"}
    assert siblings(models) == ["models"]


def test_a_run_killed_between_the_two_renames_is_recovered_by_the_reader(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    models.rename(tmp_path / ".models.retired-x")
    recover_model_set(models)
    assert contents(models) == {"a.pkl": "1", "b.pkl": "1"}


def test_a_run_killed_between_the_two_renames_is_recovered_by_the_next_run(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    write_text(models / "optimize_log.json", "[1]")
    models.rename(tmp_path / ".models.retired-x")
    write_set(models, "2")
    assert contents(models) == {"a.pkl": "2", "b.pkl": "2", "optimize_log.json": "[1]"}
    assert siblings(models) == ["models"]


@posix_only
def test_a_full_disk_is_a_storage_error_and_the_old_set_stays(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    with (
        disk_with_room_for(1000),
        pytest.raises(StorageError, match="could not be written"),
        replace_model_set(models) as staging,
    ):
        write_text(staging / "a.pkl", "2")
        write_bytes(staging / "b.pkl", b"2" * 2000)
    assert contents(models) == {"a.pkl": "1", "b.pkl": "1"}
    assert siblings(models) == ["models"]


@posix_only
@pytest.mark.skipif(os.name != "nt" and os.getuid() == 0, reason="permissions do not bind root")
def test_a_read_only_parent_is_a_storage_error(tmp_path: Path) -> None:
    write_set(tmp_path / "models", "1")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="models"):
            write_set(tmp_path / "models", "2")
    finally:
        tmp_path.chmod(0o700)
    assert contents(tmp_path / "models")["a.pkl"] == "1"


ENDLESS_WRITER = """
import itertools, sys
from pathlib import Path
from ml.sets.model_set import replace_model_set
for version in itertools.count(2):
    with replace_model_set(Path(sys.argv[1])) as staging:
        for name in ("a.pkl", "b.pkl"):
            (staging / name).write_text(str(version))
    print(version, flush=True)
"""


@posix_only
def test_a_run_killed_at_any_moment_leaves_one_whole_set(tmp_path: Path, root: Path) -> None:
    models = tmp_path / "models"
    write_set(models, "1")
    write_text(models / "optimize_log.json", "[1]")
    for attempt in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", ENDLESS_WRITER, str(models)], cwd=root, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == "2"
        # Different fractions of a swap, which takes a few milliseconds.
        time.sleep(0.0037 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        found = contents(models)
        assert set(found) == {"a.pkl", "b.pkl", "optimize_log.json"}
        assert found["a.pkl"] == found["b.pkl"]
    write_set(models, "last")
    assert contents(models) == {"a.pkl": "last", "b.pkl": "last", "optimize_log.json": "[1]"}
    assert siblings(models) == ["models"]
