"""Words of a remote host, made safe at the edge where they come in.

A title, a reason or a name that another machine sends goes on to files, databases, logs, consoles
and messages. One lone surrogate or NUL in it is refused by each of them in its own way, far from
the host that sent it. So every remote's words pass through here once, and nobody behind it asks again.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 1_000
"""Characters of a title or reason; real ones are below two hundred."""
_CUT = "…"
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: JSON escapes can write it, and no file, database or message takes it."""
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]")
"""Control characters except tab and line feed, and those that turn the direction of what follows."""
_SPACE = re.compile(r"\s+")


def whole_characters(text: str) -> str:
    r"""Return the text with U+FFFD in place of every lone surrogate.

    Examples
    --------
    >>> whole_characters("a\ud800")
    'a\ufffd'
    """
    return SURROGATE.sub("\ufffd", text)


def clean_lines(text: str, longest: int = LONGEST) -> str:
    r"""Return text of valid characters only, its lines kept, cut to `longest` characters.

    Halves of characters (lone surrogates) become U+FFFD; control characters become spaces.

    Examples
    --------
    >>> clean_lines("a\x00b\ud800")
    'a b\ufffd'
    """
    whole = _UNSEEN.sub(" ", whole_characters(text.replace("\r\n", "\n")))
    return whole if len(whole) <= longest else whole[: longest - 1] + _CUT


def clean_text(text: str, longest: int = LONGEST) -> str:
    r"""Return text as one line of valid characters, without spaces at its ends, cut to `longest`.

    Examples
    --------
    >>> clean_text(" CPI\n y/y\x00 ")
    'CPI y/y'
    """
    line = _SPACE.sub(" ", clean_lines(text, longest=len(text) + 1)).strip()
    return line if len(line) <= longest else line[: longest - 1] + _CUT
