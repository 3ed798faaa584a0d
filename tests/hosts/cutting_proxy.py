"""A TCP proxy that cuts a connection at a chosen moment: the network, at its worst."""

from __future__ import annotations

import contextlib
import socket
import threading


class CuttingProxy:
    """Passes bytes on between clients and a port of the loopback, until told to cut.

    Parameters
    ----------
    target : int
        The port behind it.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._words, self._moment, self._times, self._skipped = b"", "", 0, 0
        self._room = 0
        self._refusing = False
        self.cuts = 0

    @property
    def port(self) -> int:
        """Where clients connect to."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        # Wakes the thread that waits for clients.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self, words: bytes, moment: str, times: int = 1, skip: int = 0, room: int = 0) -> None:
        """Cut at `times` packets with these words, `skip` of them passed on.

        Moments: "before" they reach the server, or "after" it has acted, when `room` bytes of its
        answer have come through.
        """
        self._room = room
        self._words, self._moment, self._times, self._skipped = words, moment, times, skip

    @property
    def left_to_skip(self) -> int:
        """How many packets with the words are still to be passed on before the first cut."""
        return self._skipped

    def cut_all(self) -> None:
        """Cut every connection now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                _hang_up(end)

    def refuse(self) -> None:
        """Cut every connection and take no more."""
        self._refusing = True
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                _hang_up(client)
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._pairs.append((client, server))
            answering = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, answering), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server, answering), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket, answering: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                if self._times and self._words in data and self._skipped:
                    self._skipped -= 1
                elif self._times and self._words in data:
                    self._times -= 1
                    self.cuts += 1
                    if self._moment == "before":
                        break
                    answering.set()
                server.sendall(data)
        if not answering.is_set():
            _hang_up(client)
            _hang_up(server)

    def _answer(self, client: socket.socket, server: socket.socket, answering: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                # The server has done it; its answer gets lost.
                if answering.is_set():
                    client.sendall(data[: self._room])
                    if len(data) >= self._room:
                        break
                    self._room -= len(data)
                    continue
                client.sendall(data)
        _hang_up(client)
        _hang_up(server)


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
