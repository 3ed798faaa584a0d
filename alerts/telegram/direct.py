"""A message sent at once, for commands without an outbox: followed to a chat's new id."""

from __future__ import annotations

from alerts.telegram.api import BotApi, ChatClosedError, ChatMovedError
from alerts.telegram.destination import Destination


def send_now(api: BotApi, to: Destination, text: str) -> None:
    """Send plain words; the failures are those of `BotApi.send`, without `ChatMovedError`."""
    try:
        api.send(to, text, html=False)
    except ChatMovedError as moved:
        try:
            api.send(Destination(moved.chat, to.topic), text, html=False)
        except ChatMovedError as error:
            raise ChatClosedError(str(error)) from error
