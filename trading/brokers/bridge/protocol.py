"""The messages between client and server of the bridge, and their bytes.

A client asks `GET /v1/hello` once, then sends `POST /v2/call`; both carry the bearer token. What
is not exactly one of these messages is refused with a `ProtocolError`.

Every message is a JSON object. Only the answer to a call is more: four bytes that tell the length
of its JSON, most significant first, the JSON, and behind it the rows of the arrays in it, as they
lie in memory, in the order of their descriptions (`trading.brokers.bridge.arrays`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from trading.brokers.bridge.arrays import Json, Rows
from trading.brokers.bridge.refusal import ProtocolError

PROTOCOL_VERSION: Final = 2
"""Client and server must agree on it; it changes with every change of the meaning of a message."""
HELLO_PATH: Final = "/v1/hello"
"""The same in all versions, so that each can tell the other which one it speaks."""
CALL_PATH: Final = "/v2/call"
MAX_REQUEST_BYTES: Final = 64 * 1024
"""A request holds a few scalars; the largest real one is below 1 kB."""
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""About four million ticks."""
_LENGTH: Final = 4


@dataclass(frozen=True)
class Hello:
    """What the server says of itself.

    Attributes
    ----------
    protocol : int
        Its `PROTOCOL_VERSION`.
    package : str
        Version of the MetaTrader 5 package, or of what stands for it.
    server : str
        Drawn anew at every start.
    stamp : float
        Seconds of the server's own clock, which calls must carry.
    time : float
        Its wall clock in UTC epoch seconds.
    busy : float
        Seconds that the running call has taken so far; 0.0 without one.
    structs : mapping
        Field names of every struct.
    """

    protocol: int
    package: str
    server: str
    stamp: float
    time: float
    busy: float
    structs: dict[str, list[str]]


@dataclass(frozen=True)
class Call:
    """One call of a function of the package.

    Attributes
    ----------
    server : str
        The server it is meant for.
    session : str
        The client's session: 32 hexadecimal digits.
    seq : int
        Greater than that of every call before it in the session.
    stamp : float
        When it was made, by the server's own clock, in seconds.
    patience : float
        Seconds the client waits; a call that has not begun by then is not executed.
    function : str
        Its name.
    args : list
        Its positional arguments, encoded.
    kwargs : mapping or None
        Its keyword arguments, encoded; None where the call was written without any. The package
        tells the two apart: `order_send(request, **{})` is an error.
    """

    server: str
    session: str
    seq: int
    stamp: float
    patience: float
    function: str
    args: list[Json]
    kwargs: dict[str, Json] | None


@dataclass(frozen=True)
class Answer:
    """What came of a call.

    Attributes
    ----------
    seq : int
        That of the call.
    stamp : float
        The server's own clock in seconds.
    value : tree
        What the function returned, encoded; None when it raised.
    raised : list or None
        Type name and text of the exception it raised.
    error : list
        Code and text of `last_error()` right after the call.
    """

    seq: int
    stamp: float
    value: Json
    raised: list[Json] | None
    error: list[Json]


@dataclass(frozen=True)
class Refused:
    """Why the server did not execute a request, or cannot say what came of it.

    Attributes
    ----------
    refused : str
        A word for programs.
    message : str
        A sentence for people.
    """

    refused: str
    message: str


def dump(message: Hello | Call | Refused) -> bytes:
    """Return the bytes of a message."""
    return _text(message)


def dump_answer(answer: Answer, rows: Sequence[bytes]) -> bytes:
    """Return the bytes of an answer with the rows of its arrays."""
    text = _text(answer)
    return b"".join((len(text).to_bytes(_LENGTH, "big"), text, *rows))


def _text(message: Hello | Call | Answer | Refused) -> bytes:
    return json.dumps(vars(message), allow_nan=False, separators=(",", ":")).encode("ascii")


def load_tree(data: bytes) -> Json:
    """Return the JSON tree of bytes; ProtocolError when they are not JSON."""
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a message is not JSON") from error


def _refuse_constant(name: str) -> float:
    raise ProtocolError(f"{name} is not JSON")


def load_hello(data: bytes) -> Hello:
    """Read a server's hello; of another protocol only the version counts.

    Raises
    ------
    ProtocolError
        Not a hello.
    """
    tree = load_tree(data)
    if type(tree) is dict and type(tree.get("protocol")) is int and tree["protocol"] != PROTOCOL_VERSION:
        return Hello(tree["protocol"], "", "", 0.0, 0.0, 0.0, {})
    _fields(tree, protocol=int, package=str, server=str, stamp=float, time=float, busy=float, structs=dict)
    return Hello(**tree)


def load_call(data: bytes) -> Call:
    """Read a call.

    Raises
    ------
    ProtocolError
        Not a call.
    """
    tree = load_tree(data)
    numbers = {"seq": int, "stamp": float, "patience": float}
    _fields(tree, server=str, session=str, **numbers, function=str, args=list, kwargs=(dict, type(None)))
    if not re.fullmatch(r"[0-9a-f]{32}", tree["session"]):
        raise ProtocolError("a session is not 32 hexadecimal digits")
    if tree["seq"] < 1 or not 0 < tree["patience"] < math.inf or not math.isfinite(tree["stamp"]):
        raise ProtocolError("a call's number, moment or patience is out of range")
    return Call(**tree)


def load_answer(data: bytes | bytearray) -> tuple[Answer, Rows]:
    """Read an answer and the rows behind it.

    Raises
    ------
    ProtocolError
        Not an answer.
    """
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    if not _LENGTH < end <= len(data):
        raise ProtocolError("an answer is shorter than it says")
    tree = load_tree(bytes(data[_LENGTH:end]))
    _fields(tree, seq=int, stamp=float, value=object, raised=(list, type(None)), error=list)
    if tree["raised"] is not None and [type(item) for item in tree["raised"]] != [str, str]:
        raise ProtocolError("an exception is not a name and a text")
    if [type(item) for item in tree["error"]] != [int, str]:
        raise ProtocolError("the last error is not a code and a text")
    return Answer(**tree), Rows(memoryview(data)[end:])


def load_refused(data: bytes) -> Refused:
    """Read a refusal.

    Raises
    ------
    ProtocolError
        Not a refusal.
    """
    tree = load_tree(data)
    _fields(tree, refused=str, message=str)
    return Refused(**tree)


def _fields(tree: Json, **kinds: type | tuple[type, ...]) -> None:
    """Refuse a message that has other fields than these, or of other types."""
    if type(tree) is not dict or tree.keys() != kinds.keys():
        raise ProtocolError(f"a message has other fields than {', '.join(kinds)}")
    for name, kind in kinds.items():
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if object not in wanted and type(tree[name]) not in wanted:
            raise ProtocolError(f"{name} of a message is of the wrong type")
