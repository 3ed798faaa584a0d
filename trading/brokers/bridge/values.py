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
| array | [dtype description, length] of a one-dimensional numpy array; the rows follow the text |
| scalar | [dtype, base64] of a numpy scalar |
| subclass | ["int", "float" or "str", value]: of a type derived from it, as an IntEnum |
| foreign | the name of any other type |

The last three exist for arguments: the package refuses a numpy number, a Decimal or an enum where
it wants a plain number, and it has to see one to refuse it. Nothing that is read is ever executed,
and what does not follow these rules to the letter is refused with a `ProtocolError`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from trading.brokers.bridge.arrays import (
    NAME,
    Json,
    Rows,
    decode_array,
    decode_scalar,
    encode_array,
    encode_scalar,
    has_scalar_encoding,
)
from trading.brokers.bridge.refusal import ProtocolError

MAX_DEPTH: Final = 8
"""Levels of nesting; the deepest answer (structs inside a struct inside a tuple) has three."""
MAX_INT_BITS: Final = 1024

Record = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SPECIAL_FLOATS: Final[Mapping[str, float]] = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_PLAIN: Final = frozenset((type(None), bool, str))
_PLAIN_INT: Final = 1 << 63
_PLAIN_FLOAT: Final = sys.float_info.max
"""Numbers within these stand for themselves beyond doubt; the few others are looked at one by one."""


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

    def encode(self, value: object, rows: list[bytes] | None = None) -> Json:
        """Return the tree of a value.

        Parameters
        ----------
        rows : list of bytes or None
            Where the rows of arrays go, in the order of their descriptions; None takes no arrays.

        Raises
        ------
        ProtocolError
            A type without an encoding, a local time, or too deep a nesting.
        """
        return self._encode(value, 0, rows)

    def _encode(self, value: object, depth: int, rows: list[bytes] | None) -> Json:
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
            items = self._encode_items(value, depth + 1, rows)
            if kind is tuple:
                return items
            if kind.__name__ not in self.structs or not hasattr(kind, "n_fields"):
                raise ProtocolError(f"{kind.__name__} is not a struct of the package")
            return _tagged("struct", [kind.__name__, items])
        if isinstance(value, list) and kind is list:
            return _tagged("list", self._encode_items(value, depth + 1, rows))
        if isinstance(value, dict) and kind is dict:
            return _tagged("dict", [[_key(key), self._encode(item, depth + 1, rows)] for key, item in value.items()])
        if isinstance(value, np.ndarray):
            if rows is None:
                raise ProtocolError("an array is no argument")
            return _tagged("array", encode_array(value, rows))
        return _encode_other(value)

    def _encode_items(self, values: Sequence[Any], depth: int, rows: list[bytes] | None) -> list[Json]:
        # Written out for the sake of speed: an account's history has a hundred thousand fields.
        return [
            item
            if (kind := type(item)) is str
            or (kind is float and -_PLAIN_FLOAT <= item <= _PLAIN_FLOAT)
            or (kind is int and -_PLAIN_INT < item < _PLAIN_INT)
            or kind is bool
            else self._encode(item, depth, rows)
            for item in values
        ]

    def decode(self, tree: Json, rows: Rows | None = None) -> Any:
        """Return the value of a tree.

        Parameters
        ----------
        rows : Rows or None
            The rows of its arrays, all of which have to be used; None takes no arrays.

        Raises
        ------
        ProtocolError
            Anything that `encode` does not write.
        """
        value = self._decode(tree, 0, rows)
        if rows is not None:
            rows.end()
        return value

    def _decode(self, tree: Json, depth: int, rows: Rows | None) -> Any:
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
            return tuple(self._decode_items(tree, depth + 1, rows))
        if kind is not dict or tree.keys() != {"t", "v"} or not isinstance(tree["t"], str):
            raise ProtocolError('a value is neither plain nor {"t": tag, "v": payload}')
        tag, payload = tree["t"], tree["v"]
        if tag == "list":
            return self._decode_items(_array(payload), depth + 1, rows)
        if tag == "dict":
            return self._decode_dict(_array(payload), depth, rows)
        if tag == "struct":
            return self._decode_struct(payload, depth, rows)
        if tag == "array":
            if rows is None:
                raise ProtocolError("an array is no argument")
            return decode_array(payload, rows)
        if tag not in _DECODERS:
            raise ProtocolError("a value has a tag that is not known")
        return _DECODERS[tag](payload)

    def _decode_items(self, trees: list[Json], depth: int, rows: Rows | None) -> list[Any]:
        return [
            item
            if (kind := type(item)) is str
            or (kind is float and -_PLAIN_FLOAT <= item <= _PLAIN_FLOAT)
            or (kind is int and -_PLAIN_INT < item < _PLAIN_INT)
            or kind is bool
            else self._decode(item, depth, rows)
            for item in trees
        ]

    def layout(self) -> dict[str, list[str]]:
        """Return the field names of every struct, by which two sides know that they mean the same."""
        return {name: list(getattr(kind, "__match_args__", ())) for name, kind in sorted(self.structs.items())}

    def _decode_dict(self, payload: list[Json], depth: int, rows: Rows | None) -> dict[str, Any]:
        decoded: dict[str, Any] = {}
        for pair in payload:
            name, item = _exactly(pair, 2)
            if not isinstance(name, str) or name in decoded:
                raise ProtocolError("the names of a dict are not texts, each one once")
            decoded[name] = self._decode(item, depth + 1, rows)
        return decoded

    def _decode_struct(self, payload: Json, depth: int, rows: Rows | None) -> Record:
        name, items = _exactly(payload, 2)
        kind = self.structs.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ProtocolError("a struct has a type that is not known")
        expected: int | None = getattr(kind, "n_fields", None)
        if expected is not None and expected != len(_array(items)):
            raise ProtocolError(f"{name} has {expected} fields, {len(items)} came")
        return kind(self._decode_items(_array(items), depth + 1, rows))


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
    if isinstance(value, np.generic):
        return _tagged("scalar", encode_scalar(value))
    if isinstance(value, int):
        return _tagged("subclass", ["int", _checked_int(int.__int__(value))])
    if isinstance(value, float):
        return _tagged("subclass", ["float", Codec({}).encode(float.__float__(value))])
    if isinstance(value, str):
        return _tagged("subclass", ["str", str.__str__(value)])
    raise ProtocolError(f"{type(value).__name__} has no encoding")


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


def _decode_subclass(payload: Json) -> object:
    name, item = _exactly(payload, 2)
    value = Codec({})._decode(item, MAX_DEPTH - 1, None)
    if not isinstance(name, str) or name not in _SUBCLASSES or type(value).__name__ != name:
        raise ProtocolError("a derived value is none of int, float and str")
    return _SUBCLASSES[name](value)


def _decode_foreign(payload: Json) -> Foreign:
    if not isinstance(payload, str) or not NAME.fullmatch(payload):
        raise ProtocolError("a foreign value has no type name")
    return Foreign(payload)


_DECODERS: Final[Mapping[str, Callable[[Json], Any]]] = {
    "float": _decode_float,
    "time": _decode_time,
    "scalar": decode_scalar,
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
        return value if has_scalar_encoding(value) else Foreign(type(value).__name__)
    if value is None or isinstance(value, (bool, int, float, str, Foreign)):
        return value
    if isinstance(value, tuple) and hasattr(type(value), "n_fields"):
        return value
    return Foreign(type(value).__name__ if NAME.fullmatch(type(value).__name__) else "object")
