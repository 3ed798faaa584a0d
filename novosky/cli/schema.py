"""`novosky schema`: write the JSON Schemas that config.json and ml_config.json refer to."""

from __future__ import annotations

import click

EPILOG = """\b
Example:
  novosky schema
"""


@click.command(epilog=EPILOG)
def schema() -> None:
    """Write config.schema.json and ml_config.schema.json beside the settings code."""
    from pathlib import Path

    import novosky.settings
    from novosky.files import write_text
    from novosky.settings.loading import schema_of
    from novosky.settings.ml import MlSettings
    from novosky.settings.runtime import Settings

    folder = Path(novosky.settings.__file__).parent
    for name, model in (("config.schema.json", Settings), ("ml_config.schema.json", MlSettings)):
        write_text(folder / name, schema_of(model))
        click.echo(f"wrote {folder / name}")
