"""Who may talk to the bot and as whom: read from the environment, never from a file of settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from alerts.telegram.destination import Destination, read_destinations
from novosky.errors import SettingsError
from novosky.web_address import check_web_address

TOKEN_VARIABLE, CHATS_VARIABLE, URL_VARIABLE = "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "TELEGRAM_API_URL"
PUBLIC_URL = "https://api.telegram.org"
CHATS_MEND = "write whole numbers and commas, e.g. 1111,-100123/45 for topic 45 of a group; the log names a chat's id"


@dataclass(frozen=True)
class TelegramAccess:
    """The bot's token and the chats it knows.

    Attributes
    ----------
    token : SecretStr
    chats : tuple of int
        Chats that are told everything and may command. In a group every member may.
    base_url : str
        The Bot API's address, without a slash at its end.
    topics : tuple of Destination
        Where messages go in those of the chats that have topics; the others get them as they are.
    """

    token: SecretStr
    chats: tuple[int, ...]
    base_url: str = PUBLIC_URL
    topics: tuple[Destination, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> TelegramAccess | None:
        """Read the variables; None when neither token nor chats are set.

        Raises
        ------
        SettingsError
            Only one of them is set, or one cannot be read. The message shows no value.
        """
        token, chats = environment.get(TOKEN_VARIABLE, "").strip(), environment.get(CHATS_VARIABLE, "").strip()
        if not token and not chats:
            return None
        if not token or not chats:
            missing = CHATS_VARIABLE if token else TOKEN_VARIABLE
            raise SettingsError(
                f"{missing} is not set; Telegram needs {TOKEN_VARIABLE} and {CHATS_VARIABLE}, or neither"
            )
        if re.fullmatch(r"\d+:[\w-]+", token) is None:
            raise SettingsError(f"{TOKEN_VARIABLE} is no bot token; @BotFather gives one like 123456789:AAF...")
        try:
            found = read_destinations(chats)
        except ValueError as error:
            raise SettingsError(f"{CHATS_VARIABLE} {error}; {CHATS_MEND}") from None
        base_url = environment.get(URL_VARIABLE, "").strip() or PUBLIC_URL
        try:
            check_web_address(base_url)
        except ValueError as error:
            raise SettingsError(f"{URL_VARIABLE}: {error}") from None
        ids = tuple(dict.fromkeys(each.chat for each in found))
        return cls(SecretStr(token), ids, base_url.rstrip("/"), tuple(each for each in found if each.topic is not None))

    @property
    def bot_id(self) -> str:
        """The public part of the token: which bot this is."""
        return self.token.get_secret_value().partition(":")[0]

    @property
    def destinations(self) -> tuple[Destination, ...]:
        """Where everything is told: the chats in their order, those with topics in these."""
        named = {chat: [each for each in self.topics if each.chat == chat] for chat in self.chats}
        return tuple(each for chat in self.chats for each in named[chat] or [Destination(chat)])

    @property
    def labels(self) -> dict[str, Destination]:
        """Each destination under a name that may be stored and logged."""
        return {destination.label: destination for destination in self.destinations}
