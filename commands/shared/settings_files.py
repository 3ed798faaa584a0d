"""Settings files for a folder that has none: the shipped ones, written and said."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from novosky.installation import provide_settings


def provided_settings(config: Path, ml_config: Path) -> None:
    """Write the shipped settings where the default places are empty, and say so.

    A file that was named on the command line is never made up: the command reports it missing.
    """
    context = click.get_current_context()
    named = any(
        context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None) for name in ("config", "ml_config")
    )
    for path in provide_settings(config, ml_config, named=named):
        click.echo(f"wrote {path}, the settings that come with the program")
