"""What people are told when the bot ends for good: once per cause and day, however often it is restarted."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

from alerts.message import Message
from novosky.errors import NovoskyError


def fatal_message(error: NovoskyError, now: int) -> Message:
    """Return the message of an end that no waiting mends.

    Its key is the cause and the UTC day: a service manager starts the bot again every few seconds,
    and the same reason is no news. Figures in the text (ages, tickets, process numbers) are no other cause.

    Parameters
    ----------
    error : NovoskyError
    now : int
        UTC epoch seconds.
    """
    cause = f"{type(error).__name__}: {re.sub(r'[0-9]+', '#', str(error))}"
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    key = f"fatal:{day}:{hashlib.sha256(cause.encode()).hexdigest()[:12]}"
    return Message(key, "error", f"the bot has stopped: {error}", now)
