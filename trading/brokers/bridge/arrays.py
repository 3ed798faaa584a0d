"""Numpy arrays on the wire: their description in the message's text, their rows as they lie in memory behind it.

Only one-dimensional arrays of numbers, booleans and short texts, alone or in columns without
gaps, have a description; nothing that is read can name another type, or claim rows that have
not come.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import numpy as np

from trading.brokers.bridge.refusal import ProtocolError

Array = np.ndarray[Any, Any]
Json = Any
"""A tree as `json` makes it."""

_DTYPE: Final = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|[SU][0-9]{1,4})")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
"""What a column or a type may be called."""


class Rows:
    """The rows behind a message's text, taken in the order in which its arrays were written.

    Parameters
    ----------
    data : bytes, bytearray or memoryview
        All of them; arrays made from them have memory of their own.
    """

    def __init__(self, data: bytes | bytearray | memoryview = b"") -> None:
        self._data = memoryview(data)
        self._taken = 0

    def take(self, kind: np.dtype[Any], count: int) -> Array:
        """Return the next `count` rows as an array that can be written to.

        Raises
        ------
        ProtocolError
            So many have not come.
        """
        size = count * kind.itemsize
        if kind.itemsize == 0 or size > len(self._data) - self._taken:
            raise ProtocolError("an array has another length than it says")
        begin, self._taken = self._taken, self._taken + size
        # A copy, because the package's arrays can be written to and the message's bytes are nobody's own.
        return np.frombuffer(self._data[begin : self._taken], kind).copy() if count else np.empty(0, kind)

    def end(self) -> None:
        """Raise `ProtocolError` unless all were taken."""
        if self._taken != len(self._data):
            raise ProtocolError("behind a message there are more rows than its arrays have")


def encode_array(array: Array, rows: list[bytes]) -> Json:
    """Return the description of an array, its rows appended to `rows`.

    Raises
    ------
    ProtocolError
        It holds what has no encoding.
    """
    if array.ndim != 1:
        raise ProtocolError("an array is not one-dimensional")
    described = _describe(array.dtype)
    rows.append(array.tobytes())
    return [described, len(array)]


def decode_array(payload: Json, rows: Rows) -> Array:
    """Return the array of a description, its rows taken from `rows`.

    Raises
    ------
    ProtocolError
        It is no description, or the rows are not there.
    """
    described, count = _exactly(payload, 2)
    if type(count) is not int or count < 0:
        raise ProtocolError("an array has no length")
    return rows.take(_dtype(described), count)


def encode_scalar(value: np.generic) -> Json:
    """Return the description of a numpy scalar with its bytes; see `encode_array`."""
    return [_checked(value.dtype.str), base64.b64encode(value.tobytes()).decode("ascii")]


def decode_scalar(payload: Json) -> object:
    """Return the numpy scalar of a description; ProtocolError when it is none."""
    described, text = _exactly(payload, 2)
    if not isinstance(text, str):
        raise ProtocolError("a number's bytes are not base64")
    try:
        rows = Rows(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("a number's bytes are not base64") from error
    scalar: object = rows.take(np.dtype(_checked(described)), 1)[0]
    rows.end()
    return scalar


def has_scalar_encoding(value: np.generic) -> bool:
    """Tell whether a numpy scalar can be carried."""
    return value.dtype.itemsize > 0 and _DTYPE.fullmatch(value.dtype.str) is not None


def _describe(kind: np.dtype[Any]) -> Json:
    if kind.fields is None:
        return _checked(kind.str)
    described = [[name, kind.fields[name][0].str] for name in kind.names or ()]
    if _dtype(described) != kind:
        raise ProtocolError("an array has rows with gaps or titles")
    return described


def _dtype(described: Json) -> np.dtype[Any]:
    if type(described) is not list:
        return np.dtype(_checked(described))
    columns: list[tuple[str, str]] = []
    for column in described:
        name, kind = _exactly(column, 2)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ProtocolError("an array has a column without a name")
        columns.append((name, _checked(kind)))
    try:
        return np.dtype(columns)
    except ValueError as error:
        raise ProtocolError("an array names a column twice") from error


def _checked(text: object) -> str:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ProtocolError("an array holds something other than numbers, booleans and texts")
    return text


def _exactly(tree: Json, count: int) -> list[Json]:
    if type(tree) is not list or len(tree) != count:
        raise ProtocolError(f"an array of {count} was expected")
    return tree
