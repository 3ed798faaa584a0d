"""A stored record carries its field names, so that a new field is no new version of what holds it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.layouts import F8, I8
from engine.records import Account, Candidate, Guard, Trade, dtype_of, from_text, new_record, to_bytes, to_text


class Older:
    time: I8
    equity: F8


class Newer:
    time: I8
    equity: F8
    moved: F8 = 2.5


class Demanding:
    time: I8
    equity: F8
    asked: F8


@pytest.mark.parametrize("layout", [Account, Candidate, Guard, Trade])
@pytest.mark.parametrize("seed", range(5))
def test_a_record_comes_back_to_the_byte(layout: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    record = new_record(layout)
    for name in dtype_of(layout).names or ():
        field = record[name]
        odd = rng.choice([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1e308, 0.1 + 0.2])
        if isinstance(field, np.ndarray):
            field[:] = rng.normal(size=field.shape) * 10.0 ** rng.integers(-30, 30, field.shape)
            field[0] = odd
        elif isinstance(field, np.floating):
            record[name] = odd if rng.random() < 0.3 else rng.normal() * 10.0 ** rng.integers(-30, 30)
        else:
            info = np.iinfo(field.dtype)
            record[name] = rng.choice([info.min, info.max, 0, 1])
    text = to_text(record)
    assert to_bytes(from_text(layout, text)) == to_bytes(record)
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_a_field_that_came_later_takes_its_declared_value() -> None:
    record = new_record(Older)
    record.time, record.equity = 7, 1.5
    read = from_text(Newer, to_text(record))
    assert (read.time, read.equity, read.moved) == (7, 1.5, 2.5)


def test_a_missing_field_without_a_declared_value_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="Demanding lacks the field asked"):
        from_text(Demanding, to_text(new_record(Older)))


def test_an_unknown_field_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="Older knows no field moved"):
        from_text(Older, to_text(new_record(Newer)))
