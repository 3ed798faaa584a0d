"""Where trials are kept: an Optuna storage in a database, with errors in our words and no secret in them.

A study in an SQLite file belongs to one process at a time, which holds a lock beside the
file; a trial still marked as running when the lock is free was left by a process that died.
On a database server several processes may work on one study, and Optuna's heartbeat tells
the dead ones.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from novosky.errors import LockedError, StorageError, UsageError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from sqlalchemy.engine import URL

_HEARTBEAT_SECONDS = 60
# Long enough for a paused virtual machine or a database that restarts.
_GRACE_SECONDS = 300
_SQLITE_WAIT_SECONDS = 30
_EXAMPLE = "sqlite:///tuning/studies.sqlite or postgresql+psycopg://HOST/DATABASE"


def require_optuna() -> None:
    """Raise `UsageError` when Optuna is not installed."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "tuning needs Optuna, which is not installed: run `pip install 'optuna>=4'`, or install the development "
            "environment with `pip install -r requirements-dev.lock`"
        ) from error


def parse_storage(text: str) -> URL:
    """Return the database URL of `--storage`.

    Raises
    ------
    UsageError
        It is none; the text is not repeated, because it may hold a password.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(text)
        url.get_dialect()
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"--storage is not a database URL such as {_EXAMPLE}") from error
    except NoSuchModuleError as error:
        raise UsageError(
            f"--storage: there is no database driver {url.drivername!r}; give a URL such as {_EXAMPLE}"
        ) from error
    return url


def sqlite_storage(path: Path) -> URL:
    """Return the URL of a study file."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path.resolve()))


def public_text(url: URL) -> str:
    """Return what may be shown and stored of a URL: driver, host, port and database.

    A file is named without its folders, which are nobody else's business.
    """
    from sqlalchemy.engine import URL

    file = _sqlite_file(url)
    database = url.database if file is None else file.name
    return URL.create(url.drivername, host=url.host, port=url.port, database=database).render_as_string()


def _sqlite_file(url: URL) -> Path | None:
    """Return the file of an SQLite storage; None for a server, or for a database in memory."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


def _redacted(text: str, url: URL) -> str:
    """Return the first line of a driver's message without what the URL keeps secret."""
    line = (text.strip().splitlines() or [""])[0]
    given = [url.username, url.password, *(value for value in url.query.values() if isinstance(value, str))]
    for secret in sorted({str(value) for value in given if value}, key=len, reverse=True):
        line = line.replace(secret, "***")
    return line


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Turn errors of the database into ours.

    Raises
    ------
    StorageError
        The database cannot be reached, is damaged, or was written by another version of Optuna.
    UsageError
        The database's driver is not installed.
    """
    from alembic.util.exc import CommandError
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    place = public_text(url)
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, CommandError) as error:
        cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
        raise StorageError(
            f"the study storage {place} failed ({type(cause).__name__}: {_redacted(str(cause), url)}); finished trials "
            "are kept there. Mend the database or give another --storage, then run the command again"
        ) from error


@contextmanager
def held_study(url: URL, name: str) -> Iterator[Study]:
    """Open or create a study and, in an SQLite file, hold it alone.

    Parameters
    ----------
    url : URL
    name : str

    Yields
    ------
    optuna.study.Study
        To be maximised; what a dead process left running is marked as failed.

    Raises
    ------
    LockedError
        Another process works on the study.
    StorageError
        See `storage_errors`.
    UsageError
        The driver of the database is missing.
    """
    import optuna

    # Its log lines would tear the progress bar, and a failed trial's error is raised anyway.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    file = _sqlite_file(url)
    with _alone(file, name), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # A setting beyond its bounds is tried on purpose.
        warnings.filterwarnings("ignore", message="Fixed parameter")
        with storage_errors(url):
            storage = _connect(url, server=url.get_backend_name() != "sqlite")
            study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
            if file is not None:
                _fail_orphans(study)
            try:
                yield study
            finally:
                storage.remove_session()
                storage.engine.dispose()


def _connect(url: URL, *, server: bool) -> RDBStorage:
    from optuna.storages import RDBStorage

    text = url.render_as_string(hide_password=False)
    place = public_text(url)
    try:
        if server:
            return RDBStorage(text, heartbeat_interval=_HEARTBEAT_SECONDS, grace_period=_GRACE_SECONDS)
        return RDBStorage(text, engine_kwargs={"connect_args": {"timeout": _SQLITE_WAIT_SECONDS}})
    except ImportError as error:
        raise UsageError(
            f"--storage {place}: the database driver of {url.drivername} is not installed; install it with pip, e.g. "
            "`pip install 'psycopg[binary]'` for postgresql+psycopg"
        ) from error
    except (RuntimeError, AssertionError) as error:
        raise StorageError(
            f"the study storage {place} was written by another version of Optuna; bring it up to date with "
            "`optuna storage upgrade --storage URL`, or give another --storage"
        ) from error


@contextmanager
def _alone(file: Path | None, study: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    if file is None:
        yield
        return
    digest = hashlib.sha256(study.encode("utf-8")).hexdigest()[:12]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file.with_name(f".{file.name}.{digest}.lock"), timeout=0)
        lock.acquire()
    except Timeout as error:
        raise LockedError(
            f"another process is working on the study {study} in {file.name}; wait for it or stop it first"
        ) from error
    except OSError as error:
        raise StorageError(
            f"{file.parent} cannot be written ({error.strerror or error}); mend the permissions or give another "
            "--storage"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _fail_orphans(study: Study) -> None:
    """Mark trials of dead processes as failed; only for the holder of the lock."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
