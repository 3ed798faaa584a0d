"""Keeping the token out of the log."""

from __future__ import annotations

import logging


class TokenFilter(logging.Filter):
    """Replaces the token wherever a record would show it; put it on the handlers."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; it always passes."""
        text = record.getMessage()
        if self._token in text:
            record.msg, record.args = text.replace(self._token, "[token]"), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info).replace(self._token, "[token]")
        return True
