"""What a command writes on its pages about itself."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from novosky.provenance import Provenance

if TYPE_CHECKING:
    from novosky.settings import Settings

_SCRIPT_FOLDERS = ("scripts", "ml", "tune")


def provenance(settings: Settings) -> Provenance:
    """Return what a page made by the running command says of itself."""
    from novosky import __version__
    from novosky.clock import RealClock

    return Provenance(
        symbol=settings.symbol,
        timeframe=settings.timeframe,
        profile=settings.risk_profile.name,
        version=__version__,
        command=command_line(sys.argv),
        made=int(RealClock().now()),
    )


def command_line(words: list[str]) -> str:
    """Return a command line as a person would type it again in the checkout.

    Examples
    --------
    >>> command_line(["/home/me/novosky/scripts/sweep.py", "--data", "my bars.csv"])
    "python scripts/sweep.py --data 'my bars.csv'"
    >>> command_line(["/home/me/.venv/bin/novosky", "backtest"])
    'novosky backtest'
    """
    program = Path(words[0])
    if program.suffix == ".py":
        parts = [part for part in program.parent.parts[-2:] if part in _SCRIPT_FOLDERS]
        name = "/".join([*parts, program.name])
        first = "novosky" if program.name == "__main__.py" else f"python {name}"
    else:
        first = program.stem if program.suffix == ".exe" else program.name
    return " ".join([first, shlex.join(words[1:])]).strip()
