"""How the package reads its arguments: exact types, exact forms, everything else is -2.

Values must be Python's own `int`, `float` and `str`: NumPy scalars, `Decimal` and `None`
are refused even where they would convert.
"""

from __future__ import annotations

import dis
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import FrameType
from typing import Any

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import (
    ARGUMENT_COUNT,
    INVALID_ARGUMENTS,
    UNNAMED_ARGUMENTS,
    Failure,
    invalid,
    invalid_unnamed,
)
from trading.brokers.mt5_package.structs import TradeRequest

COMMENT_LIMIT = 28
"""Longest comment taken. Reports name limits from 28 to 31; the smallest of them keeps callers honest."""
_MILLISECONDS = 1000
_LARGEST = 2**63
_LAST_SECOND = 253_402_300_799
"""Of the year 9999."""


def whole(value: Any) -> bool:
    """Tell whether the package takes a value as an integer of 64 bits; True and False are integers to it."""
    return type(value) in (int, bool) and abs(value) < _LARGEST


def real(value: Any) -> bool:
    """Tell whether the package takes a value as a number with decimals: one that is a number, and finite."""
    if type(value) is float:
        return math.isfinite(value)
    # An integer may be too large for any number with decimals.
    return type(value) in (int, bool) and abs(value) < _LARGEST


def text(value: Any) -> bool:
    """Tell whether the package takes a value as text."""
    return type(value) is str


def moment(value: Any) -> bool:
    """Tell whether the package takes a value as a date, which has to lie in the calendar."""
    try:
        seconds = value.timestamp() if isinstance(value, datetime) else value
    except (OverflowError, ValueError, OSError):
        # The year 1 in the host's own zone, say.
        return False
    return (isinstance(value, datetime) or whole(value)) and abs(seconds) <= _LAST_SECOND


def milliseconds(value: int | datetime) -> int:
    """Return a date as milliseconds; a naive datetime is read in the host's own time zone."""
    seconds = value.timestamp() if isinstance(value, datetime) else value
    return round(seconds * _MILLISECONDS)


def check_unnamed(args: Sequence[Any], *kinds: Any, optional: int = 0) -> Failure | None:
    """Check positional arguments against one test each; the last `optional` may be absent."""
    if not len(kinds) - optional <= len(args) <= len(kinds):
        return ARGUMENT_COUNT
    for place, (value, fits) in enumerate(zip(args, kinds, strict=False)):
        if not fits(value):
            return invalid_unnamed(place)
    return None


def check_named(kwargs: Mapping[str, Any], kinds: Mapping[str, Any]) -> Failure | None:
    """Check keyword arguments; names the function does not know are ignored, as in the package."""
    for name, fits in kinds.items():
        if name in kwargs and not fits(kwargs[name]):
            return invalid(name)
    return None


def passes_empty_mapping(frame: FrameType) -> bool:
    """Tell whether the call being executed in `frame` is written `f(..., **mapping)`.

    A function written in C sees the difference between no keywords and an empty mapping of
    them, and the package refuses the latter next to a positional request. One written in
    Python does not, so the caller's instruction is read.
    """
    code, place = frame.f_code.co_code, frame.f_lasti
    if dis.opname[code[place]] != "CALL_FUNCTION_EX":
        return False
    if sys.version_info >= (3, 14):
        return dis.opname[code[place - 2]] != "PUSH_NULL"
    return bool(code[place + 1] & 1)


REQUEST_KINDS: dict[str, Any] = {
    name: {"int": whole, "float": real, "str": text}[kind] for name, kind in TradeRequest.__annotations__.items()
}
_DEFAULTS: dict[str, Any] = {
    name: {"int": 0, "float": 0.0, "str": ""}[kind] for name, kind in TradeRequest.__annotations__.items()
}
_REQUIRED: dict[int, tuple[str, ...]] = {
    C.TRADE_ACTION_DEAL: ("symbol", "volume", "type"),
    C.TRADE_ACTION_PENDING: ("symbol", "volume", "type", "price"),
}
"""Fields without which a request is never sent; a close without a volume is the classic one."""


def read_request(args: Sequence[Any], kwargs: Mapping[str, Any], caller: FrameType) -> TradeRequest | Failure:
    """Return the request of an `order_send` or `order_check` call as the terminal understands it.

    Parameters
    ----------
    args, kwargs
        As they arrived: one dictionary, or the fields as keywords.
    caller : FrameType
        Where the call is written.
    """
    if args and (kwargs or passes_empty_mapping(caller)):
        return UNNAMED_ARGUMENTS
    if len(args) > 1:
        return ARGUMENT_COUNT
    fields = args[0] if args else kwargs
    if type(fields) is not dict:
        return INVALID_ARGUMENTS
    return read_fields(fields)


def _comment_fits(comment: str) -> bool:
    try:
        return len(comment.encode()) <= COMMENT_LIMIT
    except UnicodeEncodeError:
        # Half a character, of which no server can make a name.
        return False


def read_fields(fields: Mapping[str, Any]) -> TradeRequest | Failure:
    """Return the request that these fields make, or the failure of the first one that is not taken."""
    failure = check_named(fields, REQUEST_KINDS)
    if failure is not None:
        return failure
    if not _comment_fits(fields.get("comment", "")):
        return invalid("comment")
    for name in ("action", *_REQUIRED.get(fields.get("action", 0), ())):
        if name not in fields:
            return invalid(name)
    values = {name: fields.get(name, default) for name, default in _DEFAULTS.items()}
    for name, default in _DEFAULTS.items():
        if type(default) is float:
            values[name] = float(values[name])
    return TradeRequest(values.values())
