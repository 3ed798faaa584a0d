"""Values on the wire of the bridge: JSON with the types kept.

JSON's own null, booleans, integers, finite floats and strings stand for themselves and a JSON
array for a tuple. Everything else is an object `{"t": tag, "v": payload}`:

| tag | payload |
|---|---|
| float | "nan", "inf" or "-inf" |
| time | microseconds since 1970 of a datetime in UTC |
| list | array of values |
| dict | array of [name, value] |
| struct | [type name, array of fields] of one of the package's struct sequences |
| array | [dtype description, length, base64 of the rows] of a one-dimensional numpy array |
| scalar | [dtype, base64] of a numpy scalar |
| subclass | ["int", "float" or "str", value]: of a type derived from it, as an IntEnum |
| foreign | the name of any other type |

The last three exist for arguments: the package refuses a numpy number, a Decimal or an enum where
it wants a plain number, and it has to see one to refuse it. Nothing that is read is ever executed,
and what does not follow these rules to the letter is refused with a `ProtocolError`.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

MAX_DEPTH: Final = 8
"""Levels of nesting; the deepest answer (structs inside a struct inside a tuple) has three."""
MAX_INT_BITS: Final = 1024

Json = Any
"""A tree as `json` makes it."""
Record = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPECIAL_FLOATS: Final[Mapping[str, float]] = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_PLAIN: Final = frozenset((type(None), bool, str))
_DTYPE = re.compile(r"[<>|](?:b1|[iu][1248]|f[248]|[SU][0-9]{1,4})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class ProtocolError(ValueError):
    """A message or value that the protocol does not know; the message says which."""


class IntSubclass(int):
    """Stands, where the terminal is, for an int of a derived type."""


class FloatSubclass(float):
    """Stands, where the terminal is, for a float of a derived type."""


class StrSubclass(str):
    """Stands, where the terminal is, for a str of a derived type."""


_SUBCLASSES: Final[Mapping[str, type[Any]]] = {"int": IntSubclass, "float": FloatSubclass, "str": StrSubclass}


@dataclass(frozen=True)
class Foreign:
    """Stands, where the terminal is, for an argument of a type that no function takes.

    Attributes
    ----------
    name : str
        Name of the type, as `Decimal`.
    """

    name: str


@dataclass(frozen=True)
class Codec:
    """Turns values into JSON trees and back.

    Attributes
    ----------
    structs : mapping
        The struct sequences by name; each is a subclass of tuple built from one iterable.
    """

    structs: Mapping[str, type[Record]]

    def encode(self, value: object, depth: int = 0) -> Json:
        """Return the tree of a value.

        Raises
        ------
        ProtocolError
            A type without an encoding, a local time, or too deep a nesting.
        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, int) and kind is int:
            return _checked_int(value)
        if isinstance(value, float) and kind is float:
            return value if math.isfinite(value) else _tagged("float", str(value))
        if depth >= MAX_DEPTH:
            raise ProtocolError(f"a value is nested more than {MAX_DEPTH} deep")
        if isinstance(value, tuple):
            items = [self.encode(item, depth + 1) for item in value]
            if kind is tuple:
                return items
            if kind.__name__ not in self.structs or not hasattr(kind, "n_fields"):
                raise ProtocolError(f"{kind.__name__} is not a struct of the package")
            return _tagged("struct", [kind.__name__, items])
        if kind is list:
            return _tagged("list", [self.encode(item, depth + 1) for item in _sequence(value)])
        if isinstance(value, dict) and kind is dict:
            return _tagged("dict", [[_key(key), self.encode(item, depth + 1)] for key, item in value.items()])
        return _encode_other(value)

    def decode(self, tree: Json, depth: int = 0) -> Any:
        """Return the value of a tree.

        Raises
        ------
        ProtocolError
            Anything that `encode` does not write.
        """
        kind = type(tree)
        if kind in _PLAIN:
            return tree
        if kind is int:
            return _checked_int(tree)
        if kind is float:
            if not math.isfinite(tree):
                raise ProtocolError("a number is beyond the range of a float")
            return tree
        if depth >= MAX_DEPTH:
            raise ProtocolError(f"a value is nested more than {MAX_DEPTH} deep")
        if kind is list:
            return tuple([self.decode(item, depth + 1) for item in tree])
        if kind is not dict or tree.keys() != {"t", "v"} or not isinstance(tree["t"], str):
            raise ProtocolError('a value is neither plain nor {"t": tag, "v": payload}')
        tag, payload = tree["t"], tree["v"]
        if tag == "list":
            return list(self.decode(_array(payload), depth))
        if tag == "dict":
            return self._decode_dict(_array(payload), depth)
        if tag == "struct":
            return self._decode_struct(payload, depth)
        if tag not in _DECODERS:
            raise ProtocolError("a value has a tag that is not known")
        return _DECODERS[tag](payload)

    def layout(self) -> dict[str, list[str]]:
        """Return the field names of every struct, by which two sides know that they mean the same."""
        return {name: list(getattr(kind, "__match_args__", ())) for name, kind in sorted(self.structs.items())}

    def _decode_dict(self, payload: list[Json], depth: int) -> dict[str, Any]:
        decoded: dict[str, Any] = {}
        for pair in payload:
            name, item = _exactly(pair, 2)
            if not isinstance(name, str) or name in decoded:
                raise ProtocolError("the names of a dict are not texts, each one once")
            decoded[name] = self.decode(item, depth + 1)
        return decoded

    def _decode_struct(self, payload: Json, depth: int) -> Record:
        name, items = _exactly(payload, 2)
        kind = self.structs.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ProtocolError("a struct has a type that is not known")
        expected: int | None = getattr(kind, "n_fields", None)
        if expected is not None and expected != len(_array(items)):
            raise ProtocolError(f"{name} has {expected} fields, {len(items)} came")
        return kind(self.decode(_array(items), depth))


def _tagged(tag: str, payload: Json) -> Json:
    return {"t": tag, "v": payload}


def _checked_int(value: int) -> int:
    if value.bit_length() > MAX_INT_BITS:
        raise ProtocolError(f"an integer has more than {MAX_INT_BITS} bits")
    return value


def _key(key: object) -> str:
    if type(key) is not str:
        raise ProtocolError("a dict has a name that is not a text")
    return key


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _array(tree: Json) -> list[Json]:
    if type(tree) is not list:
        raise ProtocolError("an array was expected")
    return tree


def _exactly(tree: Json, count: int) -> list[Json]:
    if len(_array(tree)) != count:
        raise ProtocolError(f"an array of {count} was expected")
    return _array(tree)


def _encode_other(value: object) -> Json:
    if isinstance(value, Foreign):
        return _tagged("foreign", value.name)
    if isinstance(value, datetime):
        if value.utcoffset() != timedelta(0):
            raise ProtocolError("a datetime is not in UTC")
        return _tagged("time", (value - _EPOCH) // timedelta(microseconds=1))
    if isinstance(value, np.ndarray):
        return _tagged("array", [_describe(value), len(value), _base64(value.tobytes())])
    if isinstance(value, np.generic):
        return _tagged("scalar", [_checked_dtype(value.dtype.str), _base64(value.tobytes())])
    if isinstance(value, int):
        return _tagged("subclass", ["int", _checked_int(int.__int__(value))])
    if isinstance(value, float):
        return _tagged("subclass", ["float", Codec({}).encode(float.__float__(value))])
    if isinstance(value, str):
        return _tagged("subclass", ["str", str.__str__(value)])
    raise ProtocolError(f"{type(value).__name__} has no encoding")


def _describe(array: np.ndarray[Any, Any]) -> Json:
    if array.ndim != 1:
        raise ProtocolError("an array is not one-dimensional")
    if array.dtype.fields is None:
        return _checked_dtype(array.dtype.str)
    described = [[name, array.dtype.fields[name][0].str] for name in array.dtype.names or ()]
    if _dtype(described) != array.dtype:
        raise ProtocolError("an array has rows with gaps or titles")
    return described


def _checked_dtype(text: object) -> str:
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ProtocolError("an array holds something other than numbers, booleans and texts")
    return text


def _dtype(described: Json) -> np.dtype[Any]:
    if type(described) is not list:
        return np.dtype(_checked_dtype(described))
    columns: list[tuple[str, str]] = []
    for column in described:
        name, kind = _exactly(column, 2)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ProtocolError("an array has a column without a name")
        columns.append((name, _checked_dtype(kind)))
    try:
        return np.dtype(columns)
    except ValueError as error:
        raise ProtocolError("an array names a column twice") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _rows(text: Json, kind: np.dtype[Any], count: int) -> np.ndarray[Any, Any]:
    if not isinstance(text, str):
        raise ProtocolError("the rows of an array are not base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("the rows of an array are not base64") from error
    if len(data) != count * kind.itemsize or kind.itemsize == 0:
        raise ProtocolError("an array has another length than it says")
    # A copy, because the package's arrays can be written to and a view of bytes cannot.
    return np.frombuffer(data, kind, count).copy() if count else np.empty(0, kind)


def _decode_float(payload: Json) -> float:
    if not isinstance(payload, str) or payload not in _SPECIAL_FLOATS:
        raise ProtocolError("a special float is none of nan, inf and -inf")
    return _SPECIAL_FLOATS[payload]


def _decode_time(payload: Json) -> datetime:
    if type(payload) is not int:
        raise ProtocolError("a time is not an integer of microseconds")
    try:
        return _EPOCH + timedelta(microseconds=payload)
    except OverflowError as error:
        raise ProtocolError("a time is beyond the year 9999") from error


def _decode_array(payload: Json) -> np.ndarray[Any, Any]:
    described, count, rows = _exactly(payload, 3)
    if type(count) is not int or count < 0:
        raise ProtocolError("an array has no length")
    return _rows(rows, _dtype(described), count)


def _decode_scalar(payload: Json) -> object:
    described, rows = _exactly(payload, 2)
    scalar: object = _rows(rows, np.dtype(_checked_dtype(described)), 1)[0]
    return scalar


def _decode_subclass(payload: Json) -> object:
    name, item = _exactly(payload, 2)
    value = Codec({}).decode(item, MAX_DEPTH - 1)
    if not isinstance(name, str) or name not in _SUBCLASSES or type(value).__name__ != name:
        raise ProtocolError("a derived value is none of int, float and str")
    return _SUBCLASSES[name](value)


def _decode_foreign(payload: Json) -> Foreign:
    if not isinstance(payload, str) or not _NAME.fullmatch(payload):
        raise ProtocolError("a foreign value has no type name")
    return Foreign(payload)


_DECODERS: Final[Mapping[str, Callable[[Json], Any]]] = {
    "float": _decode_float,
    "time": _decode_time,
    "array": _decode_array,
    "scalar": _decode_scalar,
    "subclass": _decode_subclass,
    "foreign": _decode_foreign,
}


def portable(value: object, depth: int = 0) -> object:
    """Return an argument as the protocol can carry it, telling the terminal what it cannot.

    A datetime becomes UTC; a naive one is taken as the local time of this machine, as the package
    takes it. A type that no function of the package takes becomes `Foreign`.
    """
    if isinstance(value, datetime):
        moment = value.astimezone(UTC)
        clock = (moment.hour, moment.minute, moment.second, moment.microsecond)
        return datetime(moment.year, moment.month, moment.day, *clock, tzinfo=UTC)
    if type(value) is dict and depth < MAX_DEPTH and all(type(key) is str for key in value):
        return {key: portable(item, depth + 1) for key, item in value.items()}
    if type(value) in (list, tuple) and isinstance(value, (list, tuple)) and depth < MAX_DEPTH:
        return type(value)(portable(item, depth + 1) for item in value)
    if isinstance(value, np.generic):
        known = value.dtype.itemsize > 0 and _DTYPE.fullmatch(value.dtype.str)
        return value if known else Foreign(type(value).__name__)
    if value is None or isinstance(value, (bool, int, float, str, Foreign)):
        return value
    if isinstance(value, tuple) and hasattr(type(value), "n_fields"):
        return value
    return Foreign(type(value).__name__ if _NAME.fullmatch(type(value).__name__) else "object")
