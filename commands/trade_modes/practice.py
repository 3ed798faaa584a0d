"""Paper trading right after a demo: with the demo's models where this machine has none of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from ml.sets.companions import MANIFEST_NAME
from ml.sets.deployment import Deployment

DEMO = Path("demo")
"""Where `novosky demo` leaves its files unless told otherwise."""


@dataclass(frozen=True)
class Choice:
    """What a paper bot trades with.

    Attributes
    ----------
    files : Deployment
    note : str or None
        What a person must know of it.
    """

    files: Deployment
    note: str | None


def paper_files(files: Deployment, *, named: bool, demo: Path = DEMO) -> Choice:
    """Return the settings and models that paper trading begins with.

    Parameters
    ----------
    files : Deployment
        What the command line says, or its defaults.
    named : bool
        Whether a person named one of the three: then nothing else is taken.
    demo : Path
        The demo's folder.
    """
    left = Deployment(demo / "models", demo / "config.json", demo / "ml_config.json")
    complete = (left.models / MANIFEST_NAME).is_file() and left.config.is_file() and left.ml_config.is_file()
    if named or (files.models / MANIFEST_NAME).exists() or not complete:
        return Choice(files, None)
    note = (
        f"{files.models} holds no models yet: paper trading with the demo's SYNTHETIC ones and their settings, as with "
        f"--models {left.models.as_posix()} --config {left.config.as_posix()} --ml-config {left.ml_config.as_posix()}"
    )
    return Choice(left, note)


def named_on_the_command_line(*options: str) -> bool:
    """Tell whether one of the command's options was given."""
    context = click.get_current_context()
    return any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in options)
