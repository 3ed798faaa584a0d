"""Figures as people and programs write them: decimal point or comma, thousands in groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from novosky.data.text.table import TextTable
from novosky.errors import DataError

_SHOWN = 60
_SPACES = " \u00a0\u202f\u2009"


@dataclass(frozen=True)
class _Notation:
    """One way to write figures: the mark before the decimals, and what stands between thousands."""

    decimal: str
    groups: str

    def pattern(self, *, strict: bool) -> str:
        """Return the regular expression of a figure; strict ones group every thousand."""
        if not self.groups:
            whole = r"\d+"
        else:
            grouped = rf"[1-9]\d{{0,2}}(?:[{self.groups}]\d{{3}})+"
            whole = rf"(?:\d{{1,3}}|{grouped})" if strict else rf"(?:\d+|{grouped})"
        return rf"[+-]?(?:{whole}(?:[{self.decimal}]\d*)?|[{self.decimal}]\d+)(?:[eE][+-]?\d+)?"

    def plain(self, texts: pd.Series[str]) -> pd.Series[str]:
        """Rewrite figures to a decimal point and no groups."""
        if self.groups:
            texts = texts.str.replace(f"[{self.groups}]", "", regex=True)
        return texts.str.replace(self.decimal, ".", regex=False)


_NOTATIONS = (
    _Notation(".", ""),
    _Notation(",", ""),
    _Notation(".", ","),
    _Notation(",", "."),
    _Notation(".", _SPACES),
    _Notation(",", _SPACES),
    _Notation(".", "'\u2019"),
)


def read_numbers(table: TextTable, columns: Mapping[str, int]) -> dict[str, npt.NDArray[np.float64]]:
    """Read columns of figures, all in one notation.

    The notation is the one that every figure of these columns fits. Where a comma could be
    either mark, e.g. ``43,002`` throughout, nothing is guessed.

    Parameters
    ----------
    table : TextTable
    columns : mapping
        Name in the result: position in the table.

    Returns
    -------
    dict of float64 arrays, shape (n,)

    Raises
    ------
    DataError
        For a text that is no figure, naming file, line and column, and for a notation that
        cannot be told.
    """
    try:
        return {name: _plain_figures(table.column(at)) for name, at in columns.items()}
    except (pa.ArrowException, UnicodeEncodeError):
        texts = {name: pd.Series(table.column(at), dtype=str) for name, at in columns.items()}
    values = {name: _converted(column) for name, column in texts.items()}
    if not any(np.isnan(column).any() for column in values.values()):
        return values
    notation = _notation(table, {name: texts[name].str.strip() for name in texts}, columns)
    return {name: _converted(notation.plain(column.str.strip())) for name, column in texts.items()}


def _plain_figures(texts: list[str]) -> npt.NDArray[np.float64]:
    """Convert figures with a decimal point, forty times as fast as pandas; anything else raises."""
    values = pc.cast(pa.array(texts, pa.string()), pa.float64()).to_numpy()
    if np.isnan(values).any():
        raise pa.ArrowInvalid("not a number")
    return np.asarray(values, dtype=np.float64)


def _converted(texts: pd.Series[str]) -> npt.NDArray[np.float64]:
    return np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=np.float64)


def _notation(table: TextTable, texts: Mapping[str, pd.Series[str]], columns: Mapping[str, int]) -> _Notation:
    fitting = [each for each in _NOTATIONS if _fits(each, texts, strict=False)]
    if len({_reading(each, texts) for each in fitting}) > 1:
        # Who groups thousands groups all of them: 1234 beside 43,002 says the comma is decimal.
        fitting = [each for each in fitting if _fits(each, texts, strict=True)] or fitting
    if len({_reading(each, texts) for each in fitting}) > 1:
        name, row = _first(texts, columns, lambda column: column.str.contains("[.,]", regex=True))
        raise DataError(
            f"{table.place(row)}: {texts[name].iloc[row]!r} may have a decimal comma or a thousands comma, and no "
            "figure of the file tells which; write a decimal point and no thousands commas"
        )
    if not fitting:
        # The line to name is the first that the best notation does not explain.
        best = max(_NOTATIONS, key=lambda each: sum(int(_matches(each, column).sum()) for column in texts.values()))
        name, row = _first(texts, columns, lambda column: ~_matches(best, column))
        text = texts[name].iloc[row]
        marked = re.search(r"\d[.,' ]\d", text) is not None
        why = "no one notation fits all figures of the file" if marked else "the file is cut off or damaged"
        shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
        raise DataError(f"{table.place(row)}: {_title(table, name, columns)} is {shown}, not a number; {why}")
    return fitting[0]


def _matches(notation: _Notation, column: pd.Series[str], *, strict: bool = False) -> pd.Series[bool]:
    return column.str.fullmatch(notation.pattern(strict=strict)).fillna(False).astype(bool)


def _fits(notation: _Notation, texts: Mapping[str, pd.Series[str]], *, strict: bool) -> bool:
    return all(bool(_matches(notation, column, strict=strict).all()) for column in texts.values())


def _reading(notation: _Notation, texts: Mapping[str, pd.Series[str]]) -> bytes:
    return b"".join(_converted(notation.plain(column)).tobytes() for column in texts.values())


def _first(
    texts: Mapping[str, pd.Series[str]],
    columns: Mapping[str, int],
    broken: Callable[[pd.Series[str]], pd.Series[bool]],
) -> tuple[str, int]:
    """Return the column and row of the first text, in the order of the file, that is `broken`."""
    places = []
    for name, column in texts.items():
        found = np.flatnonzero(np.asarray(broken(column), dtype=bool))
        if len(found):
            places.append((int(found[0]), columns[name], name))
    row, _, name = min(places)
    return name, row


def _title(table: TextTable, name: str, columns: Mapping[str, int]) -> str:
    return table.header[columns[name]] if table.header else name
