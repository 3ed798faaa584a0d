"""Write the JSON Schemas of both settings files."""

from __future__ import annotations

from pathlib import Path

import click

from commands.shared.options import FOLDER

EPILOG = """\b
Example:
  novosky schema
  novosky schema --output schemas
"""


@click.command(epilog=EPILOG)
@click.option(
    "--output",
    type=FOLDER,
    help="Where to write them.  [beside the settings code; of an installed program, this folder]",
)
def schema(output: Path | None) -> None:
    """Write config.schema.json and ml_config.schema.json, which editors complete and check keys from.

    An installed program's own files are never written over.
    """
    import novosky.settings
    from novosky.files import write_text
    from novosky.installation import is_packaged
    from novosky.settings.loading import schema_of
    from novosky.settings.ml import MlSettings
    from novosky.settings.runtime import Settings

    beside_code = Path(novosky.settings.__file__).parent
    folder = output or (beside_code if not is_packaged() else Path())
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in (("config.schema.json", Settings), ("ml_config.schema.json", MlSettings)):
        write_text(folder / name, schema_of(model))
        click.echo(f"wrote {folder / name}")
