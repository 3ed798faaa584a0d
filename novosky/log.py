"""The program's log: JSON lines in a file that rotates, words on the console, secrets in neither.

Every line of the file is one JSON object: `time` (UTC), `level`, `logger`, `message`, then
whatever the caller gave as `extra`, and `exception` where there was one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import math
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from novosky.errors import StorageError, UsageError
from novosky.redaction import Redactor

LOG_FILE = "novosky.jsonl"
MAX_BYTES = 10_000_000
PRINTED = "novosky.printed"
"""Logger of lines that a command has printed itself: they go to the file and not to the console again."""
KEPT_FILES = 5
"""Besides the one being written: weeks of a bot that writes a line or two per bar."""
_CHATTY = ("httpx", "httpcore", "urllib3", "botocore", "boto3", "telegram", "apscheduler", "matplotlib", "numba")
"""Libraries that log every request or compilation; only their warnings are kept."""
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_OWN = frozenset({"time", "level", "logger", "message", "exception", "stack"})


class SecretFilter(logging.Filter):
    """Takes secrets out of a record before it is written: message, arguments, exception and extras.

    Parameters
    ----------
    secrets : iterable of str
        See `novosky.redaction.secret_values`.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._redactor = Redactor(secrets)
        self._plain = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record in place and let it pass."""
        clean = self._redactor
        record.msg = clean.text(_message_of(record))
        record.args = None
        if record.exc_info:
            record.exc_text = record.exc_text or self._plain.formatException(record.exc_info)
            # The exception itself still holds what its text has lost.
            record.exc_info = None
        if record.exc_text:
            record.exc_text = clean.text(record.exc_text)
        if record.stack_info:
            record.stack_info = clean.text(record.stack_info)
        for name in record.__dict__.keys() - _STANDARD:
            record.__dict__[name] = clean.value(record.__dict__[name], name)
        return True


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, ASCII only, without its end."""
        line: dict[str, Any] = {
            "time": _utc(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": _message_of(record),
        }
        for name in sorted(record.__dict__.keys() - _STANDARD):
            line[f"{name}_" if name in _OWN else name] = _plain(record.__dict__[name])
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, allow_nan=False)


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _ConsoleFormatter(logging.Formatter):
    """Writes a record for a person: UTC, level, words."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _utc(record.created)


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError) as error:
        # A line with a slip in it is still worth more than none.
        return f"{record.msg!s} {record.args!r} (cannot be put together: {error})"


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold; numbers that it cannot, and everything else, as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)


class _FileHandler(logging.handlers.RotatingFileHandler):
    """Ours, so that a second configuration can tell it from handlers that others have set."""

    said = False

    def __init__(self, path: Path, most: int, kept: int) -> None:
        super().__init__(path, maxBytes=most, backupCount=kept, encoding="utf-8")
        self._most = most

    def doRollover(self) -> None:
        """Put the full file aside; one that another program holds open grows until it can be."""
        try:
            super().doRollover()
        except OSError:
            self.stream = self.stream or self._open()
            self.maxBytes = self.stream.tell() + max(1, self._most // 10)
        else:
            self.maxBytes = self._most

    def handleError(self, record: logging.LogRecord) -> None:
        # By default every line would print a traceback; the console shows the lines themselves anyway.
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.said:
            self.said = True
            sys.stderr.write(f"the log {self.baseFilename} cannot be written ({error.strerror}); lines are missing\n")

    def close(self) -> None:
        # A full disk was reported by the line that met it; the program does not end for it.
        with contextlib.suppress(OSError):
            super().close()


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Ours, likewise."""


def configure_logging(
    folder: Path | None,
    level: str = "INFO",
    *,
    secrets: Iterable[str] = (),
    console: TextIO | None = None,
    console_level: str = "DEBUG",
    max_bytes: int = MAX_BYTES,
    kept_files: int = KEPT_FILES,
) -> None:
    """Send the log to a file and to the console; called once by a command, again it replaces itself.

    An exception that ends the program or a thread is logged too, without secrets, instead of being
    printed as it is.

    Parameters
    ----------
    folder : Path or None
        Where `novosky.jsonl` and its predecessors are kept; None writes to the console alone.
    level : str
        "DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL".
    secrets : iterable of str
        Values that must not appear, from `novosky.redaction.secret_values`.
    console : text stream or None
        Standard error unless given.
    console_level : str
        Least level that the console shows, where a command prints most of what it does itself.
    max_bytes, kept_files : int
        Size at which the file is put aside, and how many such are kept.

    Raises
    ------
    UsageError
        There is no such level.
    StorageError
        The folder cannot be written.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise UsageError(f"there is no log level {level!r}; take DEBUG, INFO, WARNING, ERROR or CRITICAL")
    handlers: list[logging.Handler] = [_ConsoleHandler(console or sys.stderr)]
    handlers[0].setFormatter(_ConsoleFormatter("%(asctime)s %(levelname)-8s %(message)s"))
    handlers[0].addFilter(lambda record: record.name != PRINTED)
    handlers[0].setLevel(console_level.upper())
    if folder is not None:
        handlers.append(_open_file(folder, max_bytes, kept_files))
        handlers[1].setFormatter(JsonFormatter())
    cleaning = SecretFilter(secrets)
    root = logging.getLogger()
    for earlier in [handler for handler in root.handlers if isinstance(handler, _FileHandler | _ConsoleHandler)]:
        root.removeHandler(earlier)
        earlier.close()
    for handler in handlers:
        handler.addFilter(cleaning)
        root.addHandler(handler)
    root.setLevel(number)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)
    sys.excepthook = _log_fatal
    threading.excepthook = _log_thread


def _open_file(folder: Path, max_bytes: int, kept_files: int) -> logging.Handler:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _FileHandler(folder / LOG_FILE, max_bytes, kept_files)
    except OSError as error:
        raise StorageError(
            f"the log {folder / LOG_FILE} cannot be written ({error.strerror or error}); "
            "free the disk or mend the permissions"
        ) from error


def _log_fatal(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("novosky").critical("the program ends with a defect", exc_info=(kind, error, trace))


def _log_thread(end: threading.ExceptHookArgs) -> None:
    name = "a thread" if end.thread is None else f"the thread {end.thread.name}"
    details = None if end.exc_value is None else (end.exc_type, end.exc_value, end.exc_traceback)
    logging.getLogger("novosky").critical("%s ends with a defect", name, exc_info=details)
