"""Reading JSON that others wrote, so that no text of theirs can do more than be refused.

The standard decoder lets through what later breaks far from its cause: numbers that are none,
integers no column or array holds, a key that is written twice and silently loses one value, half
a character that no file or socket takes. And nesting some thousand levels deep ends it with
another error than bad syntax does. Here each of them is one error that names the line and column.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from pathlib import Path
from typing import Any, Final

from novosky.remote_text import SURROGATE, whole_characters

MAX_BYTES: Final = 16 * 1024 * 1024
"""Larger than any file of ours by an order of magnitude, and decoded within a second or two."""
MAX_DEPTH: Final = 64
"""Settings, manifests and answers of hosts nest below ten levels."""
_LEAST, _MOST = -(2**63), 2**63 - 1
_TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))|(?P<open>[\[{])|(?P<close>[\]}])|(?P<comma>,)'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<name>-?[A-Za-z]+)",
    re.DOTALL | re.ASCII,
)
_LONGEST_INTEGER = 20
"""Characters; a longer one is out of range, and is never converted to find that out."""


class JsonError(ValueError):
    """A text is no JSON, or none that is safe to work with; the message says what, where and why."""


def parse_json(
    content: str | bytes | bytearray,
    what: str,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    mend_text: bool = False,
) -> Any:
    """Return the value of a JSON text.

    Parameters
    ----------
    content : str or bytes
        Bytes are UTF-8, with or without a byte-order mark.
    what : str
        Names the text in errors: a path, an address.
    max_bytes, max_depth : int
        Length of `content` (bytes, or characters of a `str`) and levels of arrays and objects.
    mend_text : bool
        Replace halves of characters (lone surrogates, which JSON can write but no file holds) by
        U+FFFD instead of refusing the text: for hosts whose answer is worth more than its spelling.

    Raises
    ------
    JsonError
        Not UTF-8 or not JSON; too large or too deep; NaN, Infinity, a number that is too large for a
        double or an integer beyond 64 bits; a key that stands twice in one object; a lone surrogate.

    Examples
    --------
    >>> parse_json('{"a": [1, 2.5]}', "config.json")
    {'a': [1, 2.5]}
    >>> parse_json('{"a": NaN}', "config.json")
    Traceback (most recent call last):
        ...
    novosky.guarded_json.JsonError: config.json: line 1 column 7: a: NaN is no number of JSON
    """
    if len(content) > max_bytes:
        raise JsonError(f"{what}: it is larger than {max_bytes:,} bytes")
    text = _decoded(content, what)
    _check_tokens(text, what, max_depth)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"{what}: line {error.lineno} column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise JsonError(f"{what}: it is not JSON ({type(error).__name__})") from error
    # Only an escape can write half a character, or the text itself where it came as `str`.
    if "\\u" not in text and not SURROGATE.search(text):
        return value
    return _whole_characters(value, what, mend=mend_text)


def array_items(text: str, key: str | None = None) -> list[str]:
    """Return the texts of the objects in an array: the outermost one, or that under a key of the outermost object.

    For an answer of many items of which one cannot be decoded: they are found by their brackets
    alone, and what cannot be read costs no more than itself.

    Examples
    --------
    >>> array_items('{"result": [{"a": NaN}, {"a": {}}, 5]}', "result")
    ['{"a": NaN}', '{"a": {}}']
    >>> array_items('[{"a": NaN}, {}]')
    ['{"a": NaN}', '{}']
    """
    found: list[str] = []
    outer = 1 if key is None else 2
    depth, last, inside, start = 0, "", False, 0
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "open":
            depth += 1
            if depth == outer and token.group() == "[" and (key is None or last == f'"{key}"'):
                inside = True
            elif depth == outer + 1 and inside and token.group() == "{":
                start = token.start()
        elif kind == "close":
            if depth == outer + 1 and inside and token.group() == "}":
                found.append(text[start : token.end()])
            inside = inside and depth > outer
            depth -= 1
        last = token.group() if kind == "string" and depth == 1 else ""
    return found


def read_json_file(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON file, of which no more than `max_bytes` are ever read.

    Raises
    ------
    JsonError
        As for `parse_json`; the message names the file.
    OSError
        It cannot be read.
    """
    with path.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    return parse_json(content, str(path), max_bytes=max_bytes)


def _decoded(content: str | bytes | bytearray, what: str) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return bytes(content).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(f"{what}: byte {error.start + 1} is not UTF-8 text") from error


def _check_tokens(text: str, what: str, max_depth: int) -> None:
    """Refuse what the decoder would accept or stumble over, before it sees the text."""
    seen: list[set[str] | None] = []
    """For every open bracket the keys so far; None for an array."""
    key_next = False
    path: list[str] = []
    """For every open bracket the key it is at; empty in an array and before the first one."""
    for token in _TOKEN.finditer(text):
        kind, written = token.lastgroup, token.group()
        if kind == "string":
            if key_next and seen and (keys := seen[-1]) is not None:
                key = _key(written)
                if key in keys:
                    raise _refused(text, token, what, f"the key {reprlib.repr(key)} is written twice")
                keys.add(key)
                path[-1] = key
            key_next = False
        elif kind == "open":
            seen.append(set() if written == "{" else None)
            path.append("")
            if len(seen) > max_depth:
                raise _refused(text, token, what, f"it is nested deeper than {max_depth} levels")
            key_next = written == "{"
        elif kind == "close":
            key_next = False
            if seen:
                seen.pop()
                path.pop()
        elif kind == "comma":
            key_next = bool(seen) and seen[-1] is not None
        elif kind == "number":
            if reason := _bad_number(written):
                raise _refused(text, token, what, _at(path) + reason)
        elif written.lstrip("-") in ("NaN", "Infinity"):
            raise _refused(text, token, what, f"{_at(path)}{written} is no number of JSON")


def _at(path: list[str]) -> str:
    """Return the dotted key of a value for a message."""
    keys = ".".join(reprlib.repr(key)[1:-1] for key in path if key)
    return f"{keys}: " if keys else ""


def _key(written: str) -> str:
    """Return a key as the decoder reads it; one it cannot read is left for it to refuse."""
    if "\\" not in written:
        return written[1:-1]
    try:
        return str(json.loads(written))
    except ValueError:
        return written


def _bad_number(written: str) -> str | None:
    """Say why a number must not be read; None for a good one and for what is no number at all."""
    if written.lstrip("-").isdecimal():
        if len(written) <= _LONGEST_INTEGER and _LEAST <= int(written) <= _MOST:
            return None
        return f"the integer {reprlib.repr(written)[1:-1]} does not fit into 64 bits"
    try:
        finite = math.isfinite(float(written))
    except ValueError:
        return None
    return None if finite else f"the number {reprlib.repr(written)[1:-1]} is too large"


def _whole_characters(value: Any, what: str, *, mend: bool) -> Any:
    """Return the value with every lone surrogate replaced, or refuse the first one."""
    if isinstance(value, str):
        if not SURROGATE.search(value):
            return value
        if mend:
            return whole_characters(value)
        raise JsonError(f"{what}: the text {reprlib.repr(value)} holds half a character (a lone surrogate)")
    if isinstance(value, list):
        return [_whole_characters(item, what, mend=mend) for item in value]
    if isinstance(value, dict):
        whole = _whole_characters
        mended = {whole(key, what, mend=mend): whole(item, what, mend=mend) for key, item in value.items()}
        if len(mended) < len(value):
            raise JsonError(f"{what}: two keys of one object differ only in half characters (lone surrogates)")
        return mended
    return value


def _refused(text: str, token: re.Match[str], what: str, reason: str) -> JsonError:
    place = token.start()
    line = text.count("\n", 0, place) + 1
    return JsonError(f"{what}: line {line} column {place - text.rfind(chr(10), 0, place)}: {reason}")
