"""Where a database lives: a SQLite file, or the PostgreSQL database a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from novosky.errors import SettingsError

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
"""What a URL may begin with, and the driver that serves it."""
_LOOPBACK = (None, "", "localhost", "127.0.0.1", "::1")
_EXAMPLE = "write it as postgresql://USER:PASSWORD@HOST:5432/DATABASE"


def sqlite_url(path: Path) -> URL:
    """Return the URL of a SQLite file, whatever characters its path holds."""
    return URL.create("sqlite", database=str(path))


def journal_url(text: str) -> URL:
    """Read a database URL as people write it, e.g. the value of NOVOSKY_DATABASE_URL.

    A connection that leaves this machine is encrypted unless the URL states another `sslmode`.

    Raises
    ------
    SettingsError
        It is no URL of SQLite or PostgreSQL. The message never repeats the URL: it holds a password.
    """
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError) as error:
        raise SettingsError(f"NOVOSKY_DATABASE_URL is not a database URL; {_EXAMPLE}") from error
    driver = DRIVERS.get(url.drivername, url.drivername)
    if driver not in DRIVERS.values():
        raise SettingsError(f"NOVOSKY_DATABASE_URL names neither PostgreSQL nor SQLite; {_EXAMPLE}")
    if "@" in (url.host or ""):
        raise SettingsError(
            "NOVOSKY_DATABASE_URL holds an @ too many; inside the password write it as %40 (and / as %2F, : as %3A)"
        )
    url = url.set(drivername=driver)
    if not is_here(url) and "sslmode" not in url.query:
        # The driver would fall back to no encryption without a word.
        url = url.update_query_dict({"sslmode": "require"})
    return url


def is_here(url: URL) -> bool:
    """Tell whether a database is on this machine, so that asking it sends nothing out."""
    return url.get_backend_name() == "sqlite" or (url.host or "").startswith("/") or url.host in _LOOPBACK


def shown(url: URL) -> str:
    """Return a URL for messages: no password, and a SQLite file by its path alone."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def without_password(text: str, url: URL) -> str:
    """Return a driver's words with the URL's passwords taken out, however they are encoded."""
    found = [url.password, *url.normalized_query.get("password", ())]
    for password in filter(None, map(str, filter(None, found))):
        for spelling in (password, quote(password, safe=""), quote_plus(password)):
            text = text.replace(spelling, "***")
    return text
