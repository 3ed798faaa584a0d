"""The exception tree. Each branch says what the caller does about it and how a command exits.

Every message names the thing that is wrong, the place, and the mend. Commands let these
errors rise to `commands.main`, which prints the message on one line and exits with
`exit_code`; anything that is not a `NovoskyError` is a defect and keeps its traceback.

| code | class | reaction |
|---|---|---|
| 0 | | success |
| 2 | `UsageError` (and click's own) | correct the command line |
| 3 | `SettingsError` | correct config.json or ml_config.json |
| 4 | `DataError` | correct or download the bars |
| 5 | `ModelError` | train or pull the models |
| 6 | `ModelCompatibilityError` | retrain or pull a set that matches the configuration |
| 7 | `StorageError` | free the disk, mend the permissions |
| 8 | `BrokerError` | mend the connection or the account; the bot retries temporary ones |
| 9 | `LockedError` | stop the other process first |
| 10 | `NetworkError` | retried with back-off, then reported |
| 130 | interrupted by the user | |
"""

from __future__ import annotations


class NovoskyError(Exception):
    """Base of every expected error; carries the exit code of its branch."""

    exit_code = 1


class UsageError(NovoskyError):
    """The command was called with arguments that contradict each other or the data."""

    exit_code = 2


class SettingsError(NovoskyError):
    """A settings file is missing, malformed, or holds unknown or out-of-range keys."""

    exit_code = 3


class DataError(NovoskyError):
    """Bars that break a rule of the bar frame: never repaired silently."""

    exit_code = 4


class ModelError(NovoskyError):
    """A model artifact is missing, truncated or does not match its recorded hash."""

    exit_code = 5


class ModelCompatibilityError(ModelError):
    """The model set on disk was made for other features or libraries than those configured."""

    exit_code = 6


class StorageError(NovoskyError):
    """A file could not be written whole; the previous version is still in place."""

    exit_code = 7


class BrokerError(NovoskyError):
    """The broker refused, or answered something that must be reconciled first."""

    exit_code = 8


class LockedError(NovoskyError):
    """Another process holds the account, the journal or the store."""

    exit_code = 9


class NetworkError(NovoskyError):
    """A remote source did not answer properly after the allowed retries."""

    exit_code = 10
