"""How a flat record is declared, created and stored.

A layout is a class of annotated fields, not a thing to instantiate: `new_record(Account)` returns
a numpy record with these attributes, zeroed, and `dtype_of(Account)` its dtype. A layout that
inherits from others has their fields first.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Hashable
from typing import Annotated, Any, TypeVar, cast, get_type_hints

import numpy as np
import numpy.typing as npt

F8 = Annotated[float, "f8"]
I8 = Annotated[int, "i8"]
I1 = Annotated[int, "i1"]
U4 = Annotated[int, "u4"]

R = TypeVar("R")


def dtype_of(layout: type[Any]) -> np.dtype[Any]:
    """Return the numpy dtype of a layout class."""
    return _dtype_of(cast(Hashable, layout))


@functools.cache
def _dtype_of(layout: Hashable) -> np.dtype[Any]:
    fields: list[Any] = []
    for name, hint in get_type_hints(layout, include_extras=True).items():
        code, *shape = hint.__metadata__
        fields.append((name, code, *[(size,) for size in shape]))
    return np.dtype(fields)


@functools.cache
def _record_dtype(layout: Hashable) -> np.dtype[Any]:
    """Return the dtype whose single elements have attributes, which a plain one's lack."""
    return np.dtype((np.record, _dtype_of(layout)))


def new_records(layout: type[Any], count: int) -> npt.NDArray[Any]:
    """Return `count` zeroed records as an array that also works uncompiled."""
    return np.zeros(count, dtype=dtype_of(layout)).view(np.recarray)


def new_record(layout: type[R]) -> R:
    """Return one zeroed record, typed as its layout."""
    return cast(R, np.zeros(1, dtype=_record_dtype(cast(Hashable, layout)))[0])


def values_of(record: Any) -> dict[str, Any]:
    """Return a record's fields as plain Python numbers by name; fields of several numbers as arrays.

    All at once, because each attribute of a numpy record takes as long to read as ten of an object.
    """
    return dict(zip(record.dtype.names, record.item(), strict=True))


def to_bytes(record: Any) -> bytes:
    """Return a record's bytes, for the journal."""
    return bytes(np.asarray(record).tobytes())


def from_bytes(layout: type[R], content: bytes) -> R:
    """Return the record stored by `to_bytes`.

    Raises
    ------
    ValueError
        The bytes belong to another version of the layout.
    """
    dtype = _record_dtype(cast(Hashable, layout))
    if len(content) != dtype.itemsize:
        raise ValueError(f"{layout.__name__} takes {dtype.itemsize} bytes, found {len(content)}")
    # Over bytes that can be written: the engine changes the record in place.
    return cast(R, np.frombuffer(bytearray(content), dtype=dtype)[0])


def to_text(record: Any) -> str:
    """Return a record as a JSON object by field name, for the journal.

    Every float comes back as the same float; what JSON has no number for stands as text
    ("Infinity", "-Infinity", "NaN").
    """
    content = np.asarray(record).item()
    named = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in zip(record.dtype.names, content, strict=True)
    }
    try:
        # Nearly every record is finite: each value is looked at only where one is not.
        return json.dumps(named, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps({name: _spelt(value) for name, value in named.items()}, separators=(",", ":"))


def from_text(layout: type[R], content: str) -> R:
    """Return the record stored by `to_text`.

    A field that is missing, because the text is older than it, takes the value its layout
    declares (`halt_moved: F8 = 0.0`).

    Raises
    ------
    ValueError
        The text has a field that the layout does not know, or lacks one without a declared value.
    """
    stored = json.loads(content)
    dtype = dtype_of(layout)
    unknown = sorted(set(stored) - set(dtype.names or ()))
    if unknown:
        raise ValueError(f"{layout.__name__} knows no field {', '.join(unknown)}")
    record = new_record(layout)
    for name in dtype.names or ():
        if name in stored:
            value = stored[name]
        elif hasattr(layout, name):
            value = getattr(layout, name)
        else:
            raise ValueError(f"{layout.__name__} lacks the field {name}")
        # numpy reads the texts of infinity and NaN as the floats they are.
        record[name] = value  # type: ignore[index]
    return record


def _spelt(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if isinstance(value, list):
        return [_spelt(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0.0 else "-Infinity"
    return value
