"""Questions to a person: `?` explains them, amounts may be written as people write them, a slip is asked again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

T = TypeVar("T")
_AMOUNT = re.compile(
    r"(?:USD|US\$|\$)?\s*(?P<whole>\d{1,3}(?:[,_' \u00a0]\d{3})+|\d+)(?P<part>\.\d+)?\s*(?:USD|US\$|\$|dollars?)?",
    re.IGNORECASE,
)


def ask(question: str, explanation: str, default: str | None, read: Callable[[str], T]) -> T:
    """Ask until the answer can be read.

    Parameters
    ----------
    question : str
    explanation : str
        Shown for `?`.
    default : str
        Taken on Enter; None where there is none.
    read : callable
        Returns what the answer means; ValueError says in plain words why it means nothing.
    """
    while True:
        text = str(click.prompt(question, default=default)).strip()
        if text in ("?", "help"):
            click.echo(click.wrap_text(explanation, 100, "   ", "   "))
            continue
        try:
            return read(text)
        except ValueError as reason:
            click.echo(f"   {reason}")


def ask_yes_no(question: str, explanation: str, *, default: bool) -> bool:
    """Ask for yes or no."""
    return ask(f"{question} (yes, no)", explanation, "yes" if default else "no", read_yes_no)


def read_yes_no(text: str) -> bool:
    """Return what yes, no and their short forms mean."""
    answers = {"yes": True, "y": True, "no": False, "n": False}
    if text.lower() not in answers:
        raise ValueError(f"{text!r} is neither yes nor no; answer one of them, or ? for an explanation")
    return answers[text.lower()]


def read_amount(text: str) -> float:
    """Return an amount of USD: 1000, 1,000, $1,000.50, 1 000 USD."""
    if "%" in text:
        raise ValueError(f"{text!r} is a percentage; an amount of USD is wanted here, like 1000 or $1,000")
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no amount of USD; write it like 1000, $1,000 or 1000.50")
    return float(re.sub(r"[^0-9]", "", match["whole"]) + (match["part"] or ""))


def read_choice(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a reader of one of some words, or of their beginning."""

    def read(text: str) -> str:
        near = [choice for choice in choices if choice.startswith(text.lower())] if text else []
        if text.lower() in choices:
            return text.lower()
        if len(near) != 1:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return near[0]

    return read


class Amount(click.ParamType[float]):
    """An amount of USD on the command line, above 0."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text; fails as a usage error."""
        if isinstance(value, float):
            return value
        try:
            amount = read_amount(str(value))
        except ValueError as reason:
            self.fail(str(reason), param, ctx)
        if amount <= 0.0:
            self.fail(f"{value!r} is not above 0", param, ctx)
        return amount
