r"""The syntax of a `.env` file, for everything that reads one: what is signed in with is what is hidden.

One `NAME=value` per line, `export ` before it or not. The rules are those of a POSIX shell that
expands nothing:

| written | read |
|---|---|
| `A=pa#ss` | `pa#ss`: a `#` inside a word belongs to it |
| `A=123 # demo` | `123`: white space and `#` begin a comment |
| `A=C:\MT5\terminal64.exe` | as it stands: without quotes a backslash means nothing |
| `A=two words` | `two words`, without the white space around them |
| `A="x # y"`, `A='x # y'` | `x # y`; only a comment may follow the closing quote |
| `A="say \"hi\""` | `say "hi"`; `\"`, `\\`, `\$` and a backslash before a back-tick lose their backslash |
| `A="C:\new\table"` | as it stands: no other backslash means anything, `\n` and `\t` neither |
| `A='it\'s'` | `it's`; nothing else is special between single quotes |
| `A=$HOME` | `$HOME`: nothing is put in |
| `A=` | unset |

A name given twice keeps its last value. Files of Windows editors are read too: CR LF, a
byte-order mark, UTF-16 with its mark.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from novosky.errors import SettingsError

MOST_BYTES = 1 << 20
"""More than this is no file of settings."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)[^\S\n]*=(.*)", re.DOTALL)
_REST = r"(?:\s+#.*|\s*)"
_SINGLE = re.compile(rf"'((?:\\'|[^'])*)'{_REST}", re.DOTALL)
_DOUBLE = re.compile(rf'"((?:\\["\\$`]|[^"])*)"{_REST}', re.DOTALL)
_COMMENT = re.compile(r"\s#.*", re.DOTALL)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a `.env` file, also those without a value; none when there is no file.

    Raises
    ------
    SettingsError
        The file cannot be read. The message names the line and its variable and never shows its text.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(_text_of(path)), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise SettingsError(f"{path}, line {number}: not of the form NAME=value; correct it or begin it with #")
        name = match[1]
        if "\0" in match[2]:
            raise SettingsError(f"{path}, line {number}: {name} holds a NUL character; write the line anew")
        value = _value_of(match[2])
        if value is None:
            raise SettingsError(
                f"{path}, line {number}: the quotes of {name} do not enclose the whole value; put the value between "
                "two equal quotes (' or \"), a quote inside them after a backslash, and only a comment behind them"
            )
        values[name] = value
    return values


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror or error}); correct its permissions or write it anew"
        ) from None
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path} holds more than {MOST_BYTES:,} bytes, so it is no .env file; write it anew")
    try:
        return content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        # Without its cause: a decoding error carries the file's bytes.
        raise SettingsError(f"{path} cannot be read (it is not UTF-8 text); save it as UTF-8") from None


def _value_of(text: str) -> str | None:
    """Return what stands behind the equals sign, None when quotes are begun and not ended."""
    bare = text.strip()
    if bare.startswith("'"):
        match = _SINGLE.fullmatch(bare)
        return None if match is None else match[1].replace("\\'", "'")
    if bare.startswith('"'):
        match = _DOUBLE.fullmatch(bare)
        return None if match is None else re.sub(r'\\(["\\$`])', r"\1", match[1])
    # What stands before the value is still there: `A= # none yet` holds a comment, `A=#1` a value.
    return _COMMENT.sub("", text, count=1).strip()
