"""Telegram: messages to chats, and commands from them; the parts are in `alerts.telegram`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from novosky.environment import Variable

if TYPE_CHECKING:
    from alerts.port import Access

TITLE = "Telegram"
PURPOSE = (
    "The bot tells you of trades and halts and takes commands like /status and /pause. You need a bot's token from "
    "@BotFather and your chat's number."
)
VARIABLES = (
    Variable("TELEGRAM_BOT_TOKEN", "token of the bot, from @BotFather", secret=True),
    Variable(
        "TELEGRAM_CHAT_IDS",
        "chats that are told everything and may command, separated by commas; ID/TOPIC for a topic",
        secret=True,
    ),
)
NEEDED = ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS")


def configured(environment: Mapping[str, str]) -> Access | None:
    """Read the token and the chats; None when neither is set.

    Raises
    ------
    SettingsError
        Only one of them is set, or one cannot be read. The message shows no value.
    """
    from alerts.telegram.access import TelegramAccess

    return TelegramAccess.from_environment(environment)
