"""Telegram: messages to chats, and commands from them; its parts are in `alerts.telegram`.

Those are imported where they are used: python-telegram-bot takes half a second to load, and few
commands tell anybody anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from novosky.environment import Variable

if TYPE_CHECKING:
    from alerts.port import Desk
    from alerts.telegram.access import TelegramAccess
    from alerts.telegram.channel import TelegramChannel
    from alerts.telegram.service import TelegramService

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
PROBE_SECONDS = 10.0
"""For each step of the one call a probe makes."""


def configured(environment: Mapping[str, str]) -> ChatsAccess | None:
    """Read the token and the chats; None when neither is set.

    Raises
    ------
    SettingsError
        Only one of them is set, or one cannot be read. The message shows no value.
    """
    from alerts.telegram.access import TelegramAccess

    access = TelegramAccess.from_environment(environment)
    return None if access is None else ChatsAccess(access)


@dataclass(frozen=True)
class ChatsAccess:
    """The chats of one bot, see `alerts.port.Access`."""

    name: ClassVar[str] = "telegram"
    title: ClassVar[str] = TITLE

    access: TelegramAccess

    @property
    def reach(self) -> str:
        """How many chats are told."""
        return f"{len(self.access.chats)} chat(s)"

    def connect(self) -> TelegramChannel:
        """Open the chats for messages alone; a chat's new id is remembered no longer than the channel lives."""
        from alerts.telegram.api import TelegramApi
        from alerts.telegram.channel import TelegramChannel
        from alerts.telegram.chats import ChatBook

        return TelegramChannel(TelegramApi(self.access), ChatBook(self.access.destinations))

    def serve(self, desk: Desk) -> TelegramService:
        """Return the service that tells and listens."""
        from alerts.telegram.service import TelegramService

        return TelegramService(
            self.access,
            desk.queue,
            desk.view,
            desk.controls,
            ledger=desk.folder / "telegram.json",
            clock=desk.clock,
            rng=desk.rng,
            new_code=desk.new_code,
        )

    def probe(self) -> str:
        """Ask Telegram whether it knows the token."""
        from alerts.telegram.api import TelegramApi

        api = TelegramApi(self.access, timeout=PROBE_SECONDS)
        try:
            api.username()
        finally:
            api.close()
        return "the token is valid"
