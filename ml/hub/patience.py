"""Trying again what may pass, and taking downloads up where they broke off."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

import tenacity

from ml.hub.store import AbsentError, Store, TroubleError, blob_name
from novosky.errors import ModelError, NetworkError, StorageError
from novosky.files import sha256_of
from novosky.persistence import open_binary, remove_file

T = TypeVar("T")
Tell = Callable[[int], None]
"""Called with the number of bytes of the object that are there by now."""


@dataclass(frozen=True)
class Patience:
    """How long a store is asked again.

    Attributes
    ----------
    attempts : int
        For one request, the first included. Progress in a download starts the count anew.
    first_wait, longest_wait : float
        Seconds; the wait doubles, with a random share so that many clients do not return together.
    sleep : callable
        How to wait.
    rng : random.Random
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    rng: Random = field(default_factory=Random)

    def wait(self, failures: int) -> float:
        """Return how many seconds to wait after so many failures in a row."""
        longest = min(self.first_wait * 2.0 ** (failures - 1), self.longest_wait)
        return longest * self.rng.uniform(0.5, 1.0)


class PatientStore:
    """A store that is asked again when it is in trouble.

    Parameters
    ----------
    store : Store
    patience : Patience, optional
    """

    def __init__(self, store: Store, patience: Patience | None = None) -> None:
        self._store = store
        self._patience = patience or Patience()

    @property
    def place(self) -> str:
        """For messages: where it is."""
        return self._store.place

    def names(self, prefix: str) -> list[str]:
        """Return the names below a prefix, sorted; raises `NetworkError` like all methods here."""
        return self._ask(lambda: self._store.names(prefix))

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, None when there is none."""
        return self._ask(lambda: self._store.size(name))

    def small(self, name: str, most: int) -> bytes:
        """Return an object's content.

        Raises
        ------
        AbsentError
        ModelError
            It is larger than `most` bytes.
        """

        def whole() -> bytes:
            found = bytearray()
            with self._store.read(name) as pieces:
                for piece in pieces:
                    found += piece
                    if len(found) > most:
                        raise ModelError(f"{name} at {self.place} is larger than {most:,} bytes; it is none of ours")
            return bytes(found)

        return self._ask(whole)

    def digest(self, name: str, most: int) -> tuple[str, int]:
        """Return an object's SHA-256 and size, reading little more than `most` bytes; raises `AbsentError`."""

        def whole() -> tuple[str, int]:
            found, size = hashlib.sha256(), 0
            with self._store.read(name) as pieces:
                for piece in pieces:
                    found.update(piece)
                    size += len(piece)
                    if size > most:
                        break
            return found.hexdigest(), size

        return self._ask(whole)

    def create_bytes(self, name: str, content: bytes) -> bool:
        """Store a small object; False when the name is taken by another content."""
        created = self._ask(lambda: self._store.create(name, io.BytesIO(content), len(content)))
        if created:
            return True
        # A lost answer makes an own success look like somebody else's.
        try:
            return self.small(name, max(len(content), 1)) == content
        except AbsentError as error:
            raise NetworkError(f"{self.place} says of {name} that it is taken, and that it is absent") from error

    def upload(self, name: str, path: Path) -> None:
        """Store a file under a name that says its content; one that is there already is not sent."""
        size = path.stat().st_size
        if self.size(name) == size:
            return

        def send() -> bool:
            with path.open("rb") as content:
                return self._store.create(name, content, size)

        if not self._ask(send) and self.size(name) != size:
            raise ModelError(f"{name} at {self.place} is there with another size: the hub is damaged; remove it")

    def download(self, digest: str, size: int, path: Path, tell: Tell) -> None:
        """Bring an object to `path`, its hash checked; go on with what an earlier attempt has left there.

        Parameters
        ----------
        digest : str
            Hexadecimal SHA-256, which also names the object.
        size : int
            Bytes it must have; more are never read.
        path : Path
            Complete or partial from an earlier run, or absent.
        tell : callable

        Raises
        ------
        ModelError
            Missing, or with another content than its name says.
        NetworkError
            The store keeps failing; what arrived is kept.
        StorageError
            It cannot be written.
        """
        resumed = _length(path) > 0
        self._fill(digest, size, path, tell)
        if resumed and not _is_whole(path, digest, size):
            # What an interrupted run left may have been bent; what comes whole from the hub is what it has.
            remove_file(path)
            self._fill(digest, size, path, tell)
        if not _is_whole(path, digest, size):
            remove_file(path, missing_ok=True)
            raise ModelError(
                f"{blob_name(digest)} at {self.place} is damaged: its content does not have that SHA-256; nothing was "
                "changed here. Pull another revision, or have this one published again."
            )

    def _fill(self, digest: str, size: int, path: Path, tell: Tell) -> None:
        """Append what is missing, as far as the store has it; progress begins the count of failures anew."""
        failures, before = 0, -1
        while (have := _length(path)) < size:
            tell(have)
            failures = 0 if have > before else failures
            before = have
            try:
                self._append(digest, size, path, have, tell)
                return
            except TroubleError as error:
                failures += 1
                if failures >= self._patience.attempts:
                    raise self._gave_up(error) from error
                self._patience.sleep(self._patience.wait(failures))
            except AbsentError as error:
                raise ModelError(
                    f"{blob_name(digest)} is missing at {self.place}; nothing was changed here. Pull another revision, "
                    "or have this one published again."
                ) from error

    def _append(self, digest: str, size: int, path: Path, have: int, tell: Tell) -> None:
        try:
            with self._store.read(blob_name(digest), have) as pieces, open_binary(path, "ab") as stream:
                for piece in pieces:
                    have += len(piece)
                    if have > size:
                        # Longer than signed: none of it is believed.
                        stream.truncate(0)
                        return
                    stream.write(piece)
                    tell(have)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise StorageError(f"{path} cannot be written ({error.strerror or error}); free disk space") from error

    def _ask(self, act: Callable[[], T]) -> T:
        patience = self._patience
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TroubleError),
            stop=tenacity.stop_after_attempt(patience.attempts),
            wait=lambda state: patience.wait(state.attempt_number),
            sleep=patience.sleep,
            reraise=True,
        )
        try:
            return retrying(act)
        except TroubleError as error:
            raise self._gave_up(error) from error

    def _gave_up(self, error: TroubleError) -> NetworkError:
        return NetworkError(
            f"{self.place} did not answer properly in {self._patience.attempts} attempts ({error}); nothing was "
            "changed here. Check the network and run the same command again: it goes on where it was."
        )


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_whole(path: Path, digest: str, size: int) -> bool:
    return _length(path) == size and path.exists() and sha256_of(path) == digest
