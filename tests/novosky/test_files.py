"""Atomic files: whatever happens, a reader sees the old version or the new one."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from novosky.errors import StorageError
from novosky.files import replace_atomically, sha256_of, write_bytes, write_json, write_text, write_with

OLD = b"the old version\n"


def only_file_in(folder: Path, name: str) -> bool:
    return [entry.name for entry in folder.iterdir()] == [name]


def test_a_file_is_created_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    write_bytes(path, b"\x00new")
    assert path.read_bytes() == b"\x00new"
    assert only_file_in(path.parent, "file.bin")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(OLD * 100)
    write_text(path, "kürzer\n")
    assert path.read_bytes() == "kürzer\n".encode()


def test_the_old_file_is_untouched_while_the_new_one_is_written(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(OLD)
    with replace_atomically(path) as temporary:
        temporary.write_bytes(b"half of the new ver")
        assert path.read_bytes() == OLD
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"half of the new ver"


def test_an_error_of_the_writer_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(OLD)

    def fail(stream: object) -> None:
        raise ValueError("the writer gave up")

    with pytest.raises(ValueError, match="gave up"):
        write_with(path, fail)
    assert path.read_bytes() == OLD
    assert only_file_in(tmp_path, "file.txt")


def test_a_failing_disk_is_a_storage_error_that_names_the_file_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(OLD)

    def fail(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match=r"file\.txt could not be written \(No space left on device\).*unchanged"):
        write_with(path, fail)
    assert path.read_bytes() == OLD
    assert only_file_in(tmp_path, "file.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a POSIX feature")
def test_a_write_that_the_system_cuts_short_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(OLD)
    script = (
        "import sys; from pathlib import Path; from tests.helpers.small_disk import disk_with_room_for\n"
        "from novosky.errors import StorageError; from novosky.files import write_bytes\n"
        "with disk_with_room_for(4096):\n"
        "    try:\n        write_bytes(Path(sys.argv[1]), b'x' * 1_000_000)\n"
        "    except StorageError as error:\n        sys.exit(error.exit_code)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert done.returncode == StorageError.exit_code
    assert path.read_bytes() == OLD
    assert only_file_in(tmp_path, "file.bin")


def test_a_folder_that_is_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_bytes(OLD)
    with pytest.raises(StorageError, match="could not be written"):
        write_text(tmp_path / "file.txt" / "below.txt", "x")


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are a POSIX feature")
def test_a_new_file_has_the_permissions_of_an_ordinary_one(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "ordinary").write_text("x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_json_is_written_with_a_final_line_end_and_reads_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5], "a": "ü"}
    write_json(tmp_path / "v.json", value)
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8")) == value
    assert (tmp_path / "v.json").read_bytes().endswith(b"}\n")


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_bytes(OLD)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"score": float("nan")})
    assert path.read_bytes() == OLD


def test_the_digest_of_a_file_larger_than_one_piece(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "big").write_bytes(content)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(content).hexdigest()
