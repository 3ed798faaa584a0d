"""How a command shows itself: plain words for the kinds of values, and examples as it was called."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Collection, Mapping
from typing import Any

import click

from novosky.installation import SCRIPTS, is_checkout

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""Both are understood by every command, whichever way it is called."""
_SCRIPT_CALL = re.compile(r"python (" + "|".join(re.escape(script) for script in SCRIPTS) + r")(?![\w/.])")


def _limits(kind: click.IntRange | click.FloatRange) -> str:
    """Return the limits of a number in words."""
    least = None if kind.min is None else f"{'above' if kind.min_open else 'at least'} {_figure(kind.min)}"
    most = None if kind.max is None else f"{'below' if kind.max_open else 'at most'} {_figure(kind.max)}"
    if kind.min is not None and kind.max is not None and not (kind.min_open or kind.max_open):
        return f"{_figure(kind.min)} to {_figure(kind.max)}"
    return " and ".join(part for part in (least, most) if part is not None)


def _figure(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


class WholeNumber(click.IntRange):
    """A whole number within limits; help and errors use plain words for both."""

    name = "whole number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return what help shows instead of the value."""
        return "NUMBER"

    def _describe_range(self) -> str:
        return _limits(self)


class Number(click.FloatRange):
    """A number within limits; help and errors use plain words for both."""

    name = "number"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return what help shows instead of the value."""
        return "NUMBER"

    def _describe_range(self) -> str:
        return _limits(self)


def presentable(command: click.Command, called: str | None) -> click.Command:
    """Return a copy of the command with plain words in its help.

    Parameters
    ----------
    command : click.Command
    called : str or None
        How it was called, like `novosky train`; None for a script, whose help shows scripts.
    """
    shown = copy.copy(command)
    # A command keeps the help option of its first call, which may have known --help alone.
    shown._help_option = None
    shown.params = [_presentable_param(param) for param in command.params]
    if called is not None or not is_checkout():
        shown.epilog = None if command.epilog is None else _under_novosky(command.epilog)
        shown.help = None if command.help is None else _under_novosky(command.help)
    if isinstance(shown, click.Group):
        shown.commands = {name: presentable(inner, called) for name, inner in shown.commands.items()}
    return shown


def _presentable_param(param: click.Parameter) -> click.Parameter:
    shown = copy.copy(param)
    shown.type = _plain(param.type)
    return shown


def _plain(kind: click.ParamType[Any]) -> click.ParamType[Any]:
    """Return the same kind of value under a plain name."""
    if isinstance(kind, (WholeNumber, Number)):
        return kind
    if isinstance(kind, click.IntRange):
        return WholeNumber(kind.min, kind.max, kind.min_open, kind.max_open, kind.clamp)
    if isinstance(kind, click.FloatRange):
        return Number(kind.min, kind.max, kind.min_open, kind.max_open, kind.clamp)
    if isinstance(kind, click.types.FloatParamType):
        return Number()
    if isinstance(kind, click.types.IntParamType):
        return WholeNumber()
    return kind


def _under_novosky(text: str) -> str:
    """Return help whose examples call `novosky NAME` instead of the scripts."""
    return _SCRIPT_CALL.sub(lambda match: f"novosky {SCRIPTS[match[1]]}", text)


def nearest(word: str, known: Collection[str] | Mapping[str, object]) -> str:
    """Say which known names come near a word that is none of them, or list all."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=2, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(sorted(known))}"
