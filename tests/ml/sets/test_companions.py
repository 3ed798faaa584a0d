"""Which files of a set git keeps, and which describe it."""

from __future__ import annotations

from pathlib import Path

from ml.sets.companions import COMPANIONS, MANIFEST_NAME
from ml.sets.deployment import set_files
from ml.sets.stage_files import COMMITTED_RECORDS, STAGE_FILES


def test_git_keeps_the_records_that_the_weekly_run_commits_and_no_other_file_of_a_set(root: Path) -> None:
    lines = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    kept = [line.removeprefix("!/models/") for line in lines if line.startswith("!/models/")]
    assert kept == [".gitkeep", *COMMITTED_RECORDS]
    known = {MANIFEST_NAME, *(name for names in STAGE_FILES.values() for name in names)}
    assert set(COMMITTED_RECORDS) <= known


def test_a_folder_without_a_set_still_owns_what_would_describe_one(tmp_path: Path) -> None:
    assert set_files(tmp_path) == COMPANIONS
