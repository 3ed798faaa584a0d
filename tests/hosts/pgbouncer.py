"""A PgBouncer of its own in front of the tests' PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hosts.ports import own_port
from tests.hosts.postgres_server import PASSWORD, UNPRIVILEGED, USER, PostgresServer

PATIENCE = 20.0


def find_bouncer() -> str | None:
    """Return the program: on PATH, or where Debian keeps those of the administrator."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@contextmanager
def pooled(server: PostgresServer, mode: str, *, size: int = 20, round_robin: bool = False) -> Iterator[int]:
    """Yield the port of a pooler that leads to the server's databases; skip, saying why, where there is none.

    Parameters
    ----------
    server : PostgresServer
    mode : str
        session, transaction or statement.
    size : int
        Server processes per user and database.
    round_robin : bool
        Hand out the process that has rested longest, instead of the one used last.
    """
    program = find_bouncer()
    if program is None:
        pytest.skip("PgBouncer is not installed (apt-get install pgbouncer)")
    folder = Path(tempfile.mkdtemp(prefix="novosky-pool-"))
    try:
        with own_port() as port:
            config = folder / "pgbouncer.ini"
            config.write_text(
                f"[databases]\n* = host=127.0.0.1 port={server.port} user={USER} password='{PASSWORD}'\n"
                f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
                f"pool_mode = {mode}\ndefault_pool_size = {size}\nserver_round_robin = {int(round_robin)}\n"
                f"logfile = {folder / 'log'}\npidfile = {folder / 'pid'}\n"
            )
            if os.geteuid() == 0:
                for path in (folder, config):
                    shutil.chown(path, UNPRIVILEGED)
            user = UNPRIVILEGED if os.geteuid() == 0 else None
            process = subprocess.Popen([program, "-q", str(config)], user=user, cwd="/", stderr=subprocess.DEVNULL)
            try:
                _await(port, process)
                yield port
            finally:
                process.terminate()
                process.wait(10)
    finally:
        shutil.rmtree(folder)


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"PgBouncer did not start (exit code {process.poll()})")
