"""What every command does to its output before its first word, and to its last one."""

from __future__ import annotations

import io
import os
import re
import sys

from novosky.errors import NovoskyError

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escape_what_cannot_be_shown() -> None:
    """Let both streams write a character outside their encoding as its number instead of failing.

    A redirect of a Windows console is in the machine's old code page, and a name of a folder or
    of an instrument may lie outside it: the work is done all the same. Python does so for
    standard error already.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def shown_error(text: str) -> str:
    """Return an error's words as the console may show them.

    Values that the environment or `.env` declares secret are taken out. Control characters, which
    a name in somebody's file may hold, are shown as their numbers: they could steer the terminal.
    """
    from novosky.environment import ENV_FILE, read_environment
    from novosky.redaction import Redactor, secret_values

    try:
        environment = read_environment(ENV_FILE, os.environ)
    except NovoskyError:
        # The file is what is wrong, or it is beside the point; nothing in it has been used.
        environment = dict(os.environ)
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", Redactor(secret_values(environment)).text(text))
