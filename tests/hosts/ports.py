"""A port of the loopback that is a test's own for as long as it needs it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_port() -> Iterator[int]:
    """Give a port that nobody listens on, and that nobody else is given before the block ends.

    A port that is looked for and let go belongs to whoever asks next. This one stays bound: the system
    draws it for nobody, and a server that is told it can still listen there, again and again, because the
    socket that holds it allows so and does not listen itself.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        number = int(holder.getsockname()[1])
        if os.name == "nt":
            # There no server may share a port, however it was bound.
            holder.close()
        yield number
