"""A report to the chats of the bot, sent at once: an optimisation has no journal to queue it in."""

from __future__ import annotations

from collections.abc import Mapping

import tenacity

from alerts.telegram.access import TelegramAccess
from alerts.telegram.api import (
    ChatClosedError,
    RefusedError,
    SlowDownError,
    TelegramApi,
    TokenRefusedError,
    UnreachableError,
)
from alerts.telegram.destination import Destination
from alerts.telegram.direct import send_now
from novosky.errors import SettingsError

_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_MOST_LETTERS = 4_000
"""Telegram takes 4,096."""


def send_report(environment: Mapping[str, str], text: str) -> str:
    """Send a text to every chat and say how it went; nothing here raises.

    Parameters
    ----------
    environment : mapping
        With the variables of `TelegramAccess`.
    text : str
    """
    try:
        access = TelegramAccess.from_environment(environment)
    except SettingsError as error:
        return f"not sent: {error}"
    if access is None:
        return "not sent: Telegram is not set up"
    api, places = TelegramApi(access), access.destinations
    try:
        failures = [reason for each in places if (reason := _send(api, each, text[:_MOST_LETTERS])) is not None]
    finally:
        api.close()
    reached = len(places) - len(failures)
    return f"sent to {reached} of {len(places)} chats" + (f": {failures[0]}" if failures else "")


def _send(api: TelegramApi, to: Destination, text: str) -> str | None:
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((UnreachableError, SlowDownError)),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=_wait,
        reraise=True,
    )
    try:
        retrying(send_now, api, to, text)
    except (UnreachableError, SlowDownError):
        return "Telegram does not answer"
    except ChatClosedError:
        return "a chat is closed to the bot"
    except (RefusedError, TokenRefusedError) as error:
        return f"Telegram refused it ({type(error).__name__})"
    return None


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, SlowDownError):
        return min(error.seconds, _LONGEST_WAIT)
    return min(2.0**state.attempt_number, _LONGEST_WAIT)
