"""Addresses that no request can be sent to are refused where they are written, whoever would use them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from alerts.telegram.access import TelegramAccess
from commands.shared.options import check_address_option
from ml.hub.endpoint import endpoint_of
from novosky.errors import SettingsError, UsageError
from novosky.settings.runtime import News
from novosky.web_address import check_web_address
from trading.brokers.bridge.line import check_address

LABEL = "a" * 64
IMPOSSIBLE = [
    f"https://{LABEL}",
    f"https://api.{LABEL}.example:443",
    "https://" + ".".join(["a" * 60] * 5),
    "https://a..b",
    "https://.",
    "https://",
    "https://[::1",
    "https://x:99999",
    "https://x:abc",
    "https://" + "ü" * 63 + ".de",
]
POSSIBLE = [
    "https://" + "a" * 63 + ".example",
    "http://127.0.0.1:8787",
    "http://localhost",
    "https://[::1]:443",
    "https://münchen.example",
    "https://nfs.faireconomy.media.",
]


def _telegram(address: str) -> object:
    return TelegramAccess.from_environment(
        {"TELEGRAM_BOT_TOKEN": "1:a", "TELEGRAM_CHAT_IDS": "1", "TELEGRAM_API_URL": address}
    )


EDGES: dict[str, Callable[[str], object]] = {
    "the rule": check_web_address,
    "news.base_url": lambda address: News(base_url=address),
    "an option": lambda address: check_address_option("--base-url", address),
    "Telegram": _telegram,
    "the hub": lambda address: endpoint_of(address, "bucket"),
    "the bridge": check_address,
}


@pytest.mark.parametrize("address", IMPOSSIBLE)
@pytest.mark.parametrize("edge", EDGES)
def test_a_host_that_cannot_exist_is_refused_where_it_is_written(edge: str, address: str) -> None:
    with pytest.raises((ValueError, ValidationError, SettingsError, UsageError)):
        EDGES[edge](address)


@pytest.mark.parametrize("address", POSSIBLE)
def test_a_host_that_can_exist_is_taken(address: str) -> None:
    assert check_web_address(address) == address
    assert News(base_url=address).base_url == address


@pytest.mark.parametrize("address", ["ftp://x", "api.binance.com", "", "https://a b", "https://a\0", "https://a\n"])
def test_what_is_no_web_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|blank"):
        check_web_address(address)
