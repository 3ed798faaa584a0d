"""Secrets and what differs from machine to machine: environment variables, or a private file `.env`.

Nothing here is ever written to settings, logs or the journal. A variable of the process wins
over the file's, so that a service manager can override it. The file's syntax is stated in
`novosky.env_file`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from novosky.env_file import read_env_file
from novosky.errors import StorageError
from novosky.persistence import discard_file

ENV_FILE = Path(".env")
PRIVATE = 0o600


@dataclass(frozen=True)
class Variable:
    """An environment variable the programs read.

    Attributes
    ----------
    name : str
    purpose : str
        One line for people.
    secret : bool
        True when its value must never be shown.
    """

    name: str
    purpose: str
    secret: bool


BROKER = Variable("NOVOSKY_BROKER", "how the account is reached: paper, mt5 or bridge", secret=False)
TERMINAL = (
    Variable("MT5_LOGIN", "account number; no other account is ever traded", secret=True),
    Variable("MT5_PASSWORD", "its password; empty where the terminal is logged in to it already", secret=True),
    Variable("MT5_SERVER", "name of the broker's server", secret=False),
    Variable("MT5_PATH", "terminal64.exe, where several terminals are installed", secret=False),
)
ACCOUNT_KIND = Variable("NOVOSKY_ACCOUNT", "demo or real; real money is traded only where this says real", secret=False)
BRIDGE = (
    Variable("NOVOSKY_BRIDGE_URL", "address of the bridge beside the terminal", secret=False),
    Variable("NOVOSKY_BRIDGE_TOKEN", "at least 32 random letters and digits, the same on both machines", secret=True),
    Variable("NOVOSKY_BRIDGE_CA", "the bridge's certificate, where no public authority signed it", secret=False),
)
REHEARSAL = Variable("NOVOSKY_REHEARSAL", "the faster clock of a rehearsal, as its bridge prints it", secret=False)
HUB_FOLDER = Variable("NOVOSKY_HUB", "folder of published models, file:///path", secret=False)
HUB_STORE = (
    Variable("R2_ENDPOINT_URL", "address of the S3 store", secret=False),
    Variable("R2_ACCESS_KEY_ID", "its key", secret=True),
    Variable("R2_SECRET_ACCESS_KEY", "the key's secret", secret=True),
    Variable("R2_BUCKET", "its bucket", secret=False),
)
HUB_PUBLIC_KEY = Variable(
    "NOVOSKY_HUB_PUBLIC_KEY", "whose revisions are trusted; empty takes the file hub.pub", secret=False
)
HUB_PRIVATE_KEY = Variable("NOVOSKY_HUB_PRIVATE_KEY", "signs revisions; the key or its file", secret=True)
DATABASE = Variable("NOVOSKY_DATABASE_URL", "PostgreSQL for the journal; empty keeps it in logs/", secret=True)
LOCKS = Variable(
    "NOVOSKY_LOCKS", "folder of the account locks, the same for every bot of the machine; empty takes the user's own",
    secret=False,
)  # fmt: skip
VARIABLES = (
    *(BROKER, *TERMINAL, ACCOUNT_KIND, *BRIDGE),
    *(HUB_FOLDER, *HUB_STORE, HUB_PUBLIC_KEY, HUB_PRIVATE_KEY, DATABASE, LOCKS),
)
"""All that this package declares; each alert channel declares its own, see `alerts.family.channel_variables`."""


def read_environment(file: Path, process: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a `.env` file with those of the process over them; empty ones count as unset.

    Parameters
    ----------
    file : Path
        May be absent.
    process : mapping
        Usually `os.environ`.

    Raises
    ------
    SettingsError
        The file cannot be read; the message names the line and never shows its text.
    """
    values = {**read_env_file(file), **process}
    return {name: value for name, value in values.items() if value.strip()}


def template(variables: Sequence[Variable], values: Mapping[str, str]) -> str:
    """Return the text of a `.env` file; secrets stay empty whatever `values` holds."""
    lines = ["# Read by NOVOSKY at start. Keep it private: chmod 600, never into git."]
    for variable in variables:
        value = "" if variable.secret else values.get(variable.name, "")
        lines += ["", f"# {variable.purpose}", f"{variable.name}={value}"]
    return "\n".join(lines) + "\n"


def create_private(path: Path, text: str) -> bool:
    """Create a file that only its owner can read; False, and nothing is touched, when there is one already.

    Raises
    ------
    StorageError
        It cannot be written; nothing is left behind.
    """
    try:
        # Exclusive and private from its first byte on: no moment at which others could read it.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        return False
    except OSError as error:
        raise StorageError(f"{path} could not be created ({error.strerror}); mend the permissions") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        discard_file(path)
        raise StorageError(f"{path} could not be written ({error.strerror}); free disk space") from error
    return True
