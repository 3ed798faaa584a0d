"""What a set was approved with travels with it: written, read back, refused where it was damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.sets.companions import COMPANIONS, EXPECTATION_NAME
from ml.sets.expectation import read_expectation, record_content
from novosky.errors import ModelError
from novosky.files import write_json
from novosky.measures.expectation import TradeRecord

RECORD = TradeRecord(
    19_000, 19_090, np.array([19_000, 19_000, 19_044], dtype=np.int64), np.array([1.2, -1.05, 0.123456])
)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_expectation(tmp_path) is None
    write_json(tmp_path / EXPECTATION_NAME, record_content(RECORD))
    found = read_expectation(tmp_path)
    assert found is not None
    assert (found.first_day, found.last_day) == (19_000, 19_090)
    assert found.days.tolist() == [19_000, 19_000, 19_044]
    assert found.r.tolist() == [1.2, -1.05, 0.1235]
    assert EXPECTATION_NAME in COMPANIONS


@pytest.mark.parametrize(
    "change",
    [
        {"days": None},
        {"days": [19_000]},
        {"days": [19_000, 19_000, 19_999]},
        {"days": [19_000, 19_000, 19_044.5]},
        {"days": [19_000, 19_000, True]},
        {"r": [1.0, 1.0, "1.0"]},
        {"r": [1.0, 1.0, None]},
        {"r": [1.0, 1.0, 1e999]},
        {"first_day": "19000"},
        {"first_day": 10**30},
        {"last_day": 18_000},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / EXPECTATION_NAME).write_text(json.dumps(record_content(RECORD) | change))
    with pytest.raises(ModelError, match="is damaged"):
        read_expectation(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "7", "{}", '{"days": []}', "{", "null"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / EXPECTATION_NAME).write_text(text)
    with pytest.raises(ModelError, match="is damaged"):
        read_expectation(tmp_path)
