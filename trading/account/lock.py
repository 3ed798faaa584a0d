"""One bot per account on a machine, whatever folder or checkout it is started from.

The lock is the account's (login and server), not a folder's. It is a file in a place that does
not depend on the environment of whoever starts the bot, held by its open descriptor: the system
gives it back however the process ends. A deleted file fools nobody: Windows does not delete an
open one, Linux holds the account a second time by a socket whose name is in no folder, and the
holder looks again at every step whether the file there is still the one it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from novosky.errors import LockedError, StorageError
from novosky.files import write_json
from novosky.guarded_json import read_json_file

FOLDER_NAME = Path("novosky") / "locks"
_TRIES = 5
"""A file that is deleted between its opening and its locking is opened anew, but not for ever."""


_LONGEST_NOTE = 1 << 16
_LAST_SECOND = 253_402_300_800
"""The year 10000, beyond which no date can be shown."""


@dataclass(frozen=True)
class Holder:
    """Who trades an account; what is not known is 0 or empty."""

    pid: int = 0
    folder: str = ""
    since: int = 0

    def __str__(self) -> str:
        """Return it in words."""
        words = f"process {self.pid}" if self.pid else "another process of this machine"
        words += f" in {self.folder}" if self.folder else ""
        return words + (f", since {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC" if self.since else "")


def lock_folder(named: Path | None = None) -> Path:
    """Return where account locks are kept: `named`, or one place per user of the machine.

    Neither HOME nor TMPDIR nor a session's runtime folder is asked where the system knows the
    user's home itself: a service, a cron job and a shell differ in those.
    """
    if named is not None:
        return named
    for place in _places():
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            if os.access(place, os.W_OK | os.X_OK):
                return place
    raise StorageError(
        f"no folder for the lock of the account can be written (tried {', '.join(map(str, _places()))}); "
        "make one of them writable, or name one with NOVOSKY_LOCKS, the same for every bot of this machine"
    )


def _places() -> list[Path]:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return [*([Path(local) / FOLDER_NAME] if local else []), Path.home() / "AppData" / "Local" / FOLDER_NAME]
    import pwd

    private = Path(f"/tmp/novosky-{os.getuid()}")
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        # A user without an entry, as containers have them.
        return [private]
    within = Path("Library/Application Support") if sys.platform == "darwin" else Path(".local/state")
    return [home / within / FOLDER_NAME, private]


class AccountLock:
    """Holds an account for this process. Made by `account_lock`.

    Parameters
    ----------
    key : str
        Names the account without telling its number, see `trading.live.access.account_key`.
    shown : str
        The account in words, for messages.
    holder : Holder
        What whoever is refused is told of this process.
    named : Path or None
        See `lock_folder`.
    """

    def __init__(self, key: str, shown: str, holder: Holder, named: Path | None = None) -> None:
        self._shown, self._own = shown, holder
        self._file = lock_folder(named) / f"account-{key}.lock"
        # Where a place was named, it is the whole name: such bots are kept apart from those of other places.
        scope = key if named is None else hashlib.sha256(f"{key}{named.absolute()}".encode()).hexdigest()[:24]
        self._name = f"\0novosky-account-{scope}"
        self._descriptor: int | None = None
        self._socket: socket.socket | None = None

    def acquire(self) -> None:
        """Take the account.

        Raises
        ------
        LockedError
            Another process of this machine trades it; the message says which, and from where.
        StorageError
            The lock's file cannot be made.
        """
        self._take_name()
        try:
            self._take_file()
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Make sure that the file in its place is still the one that is held.

        Raises
        ------
        LockedError
            It was deleted, and another bot has taken the account since.
        """
        assert self._descriptor is not None, "checked while held"
        if _same_file(self._file, self._descriptor):
            return
        earlier, self._descriptor = self._descriptor, None
        try:
            self._take_file()
        finally:
            os.close(earlier)

    def release(self) -> None:
        """Give the account back; the file stays, empty of meaning."""
        if self._descriptor is not None:
            self._note.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @property
    def _note(self) -> Path:
        # Beside the lock: Windows lets nobody read a locked file.
        return self._file.with_suffix(".json")

    def _take_name(self) -> None:
        if sys.platform != "linux":
            return
        place = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            place.bind(self._name)
            # Whoever is refused connects to learn which process listens.
            place.listen()
        except OSError as error:
            place.close()
            raise self._refusal() from error
        self._socket = place

    def _take_file(self) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            for _ in range(_TRIES):
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
                if not _lock(descriptor):
                    os.close(descriptor)
                    raise self._refusal()
                if _same_file(self._file, descriptor):
                    self._descriptor = descriptor
                    break
                os.close(descriptor)
            else:
                raise StorageError(f"{self._file} is deleted again and again; let its folder alone")
        except OSError as error:
            raise StorageError(
                f"{self._file} cannot be written ({error.strerror}); mend the permissions of its folder"
            ) from error
        write_json(self._note, asdict(self._own))

    def _refusal(self) -> LockedError:
        return LockedError(f"another bot trades {self._shown}: {self._holder()}; stop that one first")

    def _holder(self) -> Holder:
        told = _told(self._note)
        pid = self._listening_pid()
        if not pid or pid == told.pid:
            return told
        folder = ""
        with contextlib.suppress(OSError):
            folder = str(Path(f"/proc/{pid}/cwd").readlink())
        return Holder(pid, folder)

    def _listening_pid(self) -> int:
        """Return the process that holds the name, 0 where that cannot be told."""
        if sys.platform != "linux":
            return 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(1.0)
            try:
                asking.connect(self._name)
                facts = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            except OSError:
                return 0
        return int.from_bytes(facts[:4], sys.byteorder)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def account_lock(key: str, shown: str, folder: Path, now: float, named: Path | None = None) -> Iterator[AccountLock]:
    """Hold an account for the life of the block; see `AccountLock` for what it raises.

    Parameters
    ----------
    key, shown, named
        See `AccountLock`.
    folder : Path
        Where this process keeps its journal.
    now : float
        UTC epoch seconds.
    """
    lock = AccountLock(key, shown, Holder(os.getpid(), str(folder.absolute()), int(now)), named)
    lock.acquire()
    try:
        yield lock
    finally:
        lock.release()


def _told(note: Path) -> Holder:
    """Return what a note says of the holder; one that another program damaged says nothing."""
    try:
        content = read_json_file(note, max_bytes=_LONGEST_NOTE)
    except (OSError, ValueError):
        return Holder()
    if not isinstance(content, dict):
        return Holder()
    pid, folder, since = content.get("pid"), content.get("folder"), content.get("since")
    return Holder(
        pid if type(pid) is int and pid > 0 else 0,
        folder if isinstance(folder, str) and folder.isprintable() else "",
        since if type(since) is int and 0 <= since < _LAST_SECOND else 0,
    )
