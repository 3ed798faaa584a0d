"""Who may talk to the bot and as whom: read from the environment, never from a file of settings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from novosky.errors import SettingsError

TOKEN_VARIABLE, CHATS_VARIABLE, URL_VARIABLE = "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "TELEGRAM_API_URL"
PUBLIC_URL = "https://api.telegram.org"


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
    """

    token: SecretStr
    chats: tuple[int, ...]
    base_url: str = PUBLIC_URL

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
        parts = [part for part in re.split(r"[\s,;]+", chats) if part]
        if any(re.fullmatch(r"-?\d{1,15}", part) is None for part in parts):
            raise SettingsError(f"{CHATS_VARIABLE} must be chat ids (whole numbers) separated by commas")
        base_url = environment.get(URL_VARIABLE, "").strip() or PUBLIC_URL
        if not base_url.startswith(("http://", "https://")):
            raise SettingsError(f"{URL_VARIABLE} must begin with https:// or http://")
        return cls(SecretStr(token), tuple(dict.fromkeys(int(part) for part in parts)), base_url.rstrip("/"))

    @property
    def bot_id(self) -> str:
        """The public part of the token: which bot this is."""
        return self.token.get_secret_value().partition(":")[0]

    @property
    def labels(self) -> dict[str, int]:
        """Each chat under a name that may be stored and logged."""
        return {label_of(chat): chat for chat in self.chats}


def label_of(chat: int) -> str:
    """Return a name for a chat that does not tell its id."""
    return hashlib.sha256(f"chat {chat}".encode()).hexdigest()[:10]
