"""The live bot's notifier: messages stand in the log, and the channels' senders wake."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from alerts.port import Service

_log = logging.getLogger(__name__)


class LogNotifier:
    """Writes messages to the log and wakes those who send the outbox on."""

    def __init__(self) -> None:
        self.services: Sequence[Service] = ()

    def send(self, message: str) -> None:
        """Log a message; its queued copies are what the services then find."""
        _log.info("%s", message)
        for service in self.services:
            service.wake()
