"""A command: how many bars a file holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROW = "a command"
EDITS = {
    "commands/count.py": [
        (
            "",
            '''"""Count the bars of a file."""

from __future__ import annotations

from pathlib import Path

import click

from commands.shared.options import FILE

EPILOG = """\\b
Example:
  novosky count data/BTCUSD_M15.parquet
"""


@click.command(epilog=EPILOG)
@click.argument("data", type=FILE)
def count(data: Path) -> None:
    """Print how many bars a file holds."""
    from novosky.data.store import load_bars

    click.echo(f"{len(load_bars(data))} bars")
''',
        )
    ],
    "README.md": [
        (
            "| see what the bot would have done on a file of bars |",
            "| know how many bars a file holds | `novosky count FILE` |\n"
            "| see what the bot would have done on a file of bars |",
        )
    ],
}


def check(folder: Path) -> None:
    """The program lists it, helps with it, refuses what it does not know, and runs it with the usual exit codes."""
    import subprocess

    from click.testing import CliRunner

    from commands.main import COMMANDS, cli
    from novosky.data.store import save_bars
    from novosky.data.synthetic import synthetic_bars

    assert COMMANDS["count"] == "Count the bars of a file."
    assert "Count the bars of a file." in CliRunner().invoke(cli, ["--help"]).output
    assert "novosky count data/" in CliRunner().invoke(cli, ["count", "--help"]).output
    assert CliRunner().invoke(cli, ["count", "--no-such-flag"]).exit_code == 2
    save_bars(folder / "bars.parquet", synthetic_bars("null", 123, seed=1))
    for file, code, out in (("bars.parquet", 0, "123 bars\n"), ("none.parquet", 4, "")):
        program = [sys.executable, "-c", "from commands.main import main; main()", "count", str(folder / file)]
        done = subprocess.run(program, env=os.environ, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, out), done.stderr
