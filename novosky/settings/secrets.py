"""Secrets: from the environment, or from a file `.env` that is never committed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from novosky.environment import ENV_FILE, read_environment
from novosky.redaction import secret_values


class Secrets(BaseModel):
    """What only the environment may tell; absent ones are None. Printing it shows no value.

    Values are read with ``.get_secret_value()`` where they are handed to a server, and nowhere
    else.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, use_attribute_docstrings=True)

    database_url: SecretStr | None = Field(None, alias="NOVOSKY_DATABASE_URL")
    """Where the journal lives when not in a SQLite file."""
    bridge_token: SecretStr | None = Field(None, alias="NOVOSKY_BRIDGE_TOKEN")
    """Bearer token of the MetaTrader bridge."""
    mt5_password: SecretStr | None = Field(None, alias="MT5_PASSWORD")
    """Of the trading account."""
    r2_endpoint_url: SecretStr | None = Field(None, alias="R2_ENDPOINT_URL")
    """Holds the owner's account number."""
    r2_access_key_id: SecretStr | None = Field(None, alias="R2_ACCESS_KEY_ID")
    r2_secret_access_key: SecretStr | None = Field(None, alias="R2_SECRET_ACCESS_KEY")
    hidden: frozenset[SecretStr] = frozenset()
    """Every secret value found, also of names not listed here: what the log must not show."""

    @property
    def hidden_values(self) -> frozenset[str]:
        """The values for `novosky.log.configure_logging`."""
        return frozenset(value.get_secret_value() for value in self.hidden)


def load_secrets(path: Path = ENV_FILE, environment: Mapping[str, str] | None = None) -> Secrets:
    """Read the secrets; the environment wins over the file, and neither is changed.

    Parameters
    ----------
    path : Path
        A file of ``NAME=value`` lines; it need not exist. Names that mean nothing here are
        ignored.
    environment : mapping of str or None
        ``os.environ`` unless given.

    Raises
    ------
    SettingsError
        The file is there and cannot be read. The message holds nothing of its content.
    """
    found = read_environment(path, os.environ if environment is None else environment)
    hidden = frozenset(map(SecretStr, secret_values(found)))
    return Secrets.model_validate({**found, "hidden": hidden})
