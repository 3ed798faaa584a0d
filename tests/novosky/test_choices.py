"""Names that options offer are those that settings take."""

from __future__ import annotations

from typing import Any

import click
import pytest

from commands.data import download_data as download
from commands.onboarding import onboarding
from commands.sweep import sweep
from commands.trade import trade
from commands.weekly_optimize import weekly_optimize as weekly
from novosky.choices import ACCOUNT_TYPES, MARKET_KINDS, PROFILE_NAMES
from novosky.data.synthetic import synthetic_bars
from novosky.settings import Settings
from novosky.settings.profiles import PROFILES


def offered(command: click.Command, option: str) -> list[str]:
    (found,) = (each for each in command.params if each.name == option)
    assert isinstance(found.type, click.Choice)
    return list(found.type.choices)


def taken(key: str) -> Any:
    """What the schema of config.json says of a key."""
    return Settings.model_json_schema()["properties"][key]["enum"]


def test_the_profiles_are_offered_in_the_order_of_their_numbers() -> None:
    assert [profile.number for profile in PROFILES] == [1, 2, 3, 4, 5]
    assert [profile.name for profile in PROFILES] == list(PROFILE_NAMES)
    assert offered(sweep, "profile") == offered(weekly, "profile") == list(PROFILE_NAMES)


def test_the_types_of_account_are_those_of_the_settings() -> None:
    assert offered(onboarding, "account") == list(ACCOUNT_TYPES) == taken("account_type")


@pytest.mark.parametrize("kind", MARKET_KINDS)
def test_every_kind_of_embedded_market_that_is_offered_can_be_made(kind: Any) -> None:
    assert kind in offered(download, "kind")
    assert synthetic_bars(kind, 5, seed=1).attrs["synthetic"] == kind


def test_every_feed_that_is_offered_has_a_market() -> None:
    from typing import get_args

    from commands.trade_modes.paper_markets import FeedName

    assert offered(trade, "feed") == list(get_args(FeedName))
