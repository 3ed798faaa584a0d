"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad it is: a FAIL stops the bot or makes it do wrong, a WARN deserves a person's look."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Attributes
    ----------
    name : str
        What was checked.
    grade : Grade
    text : str
        What was found; never a secret.
    mend : str
        What to do about it; empty when there is nothing to do.
    """

    name: str
    grade: Grade
    text: str
    mend: str = ""


def ok(name: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(name, Grade.OK, text)


def warn(name: str, text: str, mend: str) -> Finding:
    """Return a finding that deserves a look."""
    return Finding(name, Grade.WARN, text, mend)


def fail(name: str, text: str, mend: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(name, Grade.FAIL, text, mend)
