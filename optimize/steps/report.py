"""Send a report at once on every configured alert channel: an optimisation has no journal to queue it in."""

from __future__ import annotations

import math
from collections.abc import Mapping

from alerts.direct import Told, tell_now
from alerts.family import configured_channels
from alerts.message import Message
from novosky.clock import RealClock
from novosky.errors import SettingsError

_ATTEMPTS = 4
"""For each place; a weekly run has no later moment to try again."""


def send_report(environment: Mapping[str, str], text: str) -> str:
    """Send a text on every configured channel and say how it went; nothing here raises.

    Parameters
    ----------
    environment : mapping
        With the variables of the channels, see `alerts.family`.
    text : str
    """
    try:
        channels = configured_channels(environment)
    except SettingsError as error:
        return f"not sent: {error}"
    if not channels:
        return "not sent: no alert channel is set up"
    clock = RealClock()
    now = clock.now()
    message = Message("weekly report", "optimisation", text, math.floor(now))
    return "; ".join(map(_words, tell_now(channels, message, now, attempts=_ATTEMPTS, sleep=clock.sleep)))


def _words(told: Told) -> str:
    reason = f": {told.problems[0]}" if told.problems else ""
    return f"{told.title}: sent to {told.reached} of {told.places} places{reason}"
