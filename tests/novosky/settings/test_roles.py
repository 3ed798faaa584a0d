"""Every key says whose it is where it is declared; the lists of keys follow from that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest

from backtest.sweep.axes import KEYS
from engine.gates import GATES
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.base import Section
from novosky.settings.roles import Role, places_with
from novosky.settings.strategy import STRATEGY_KEYS
from optimize.history.strategy_params import parameters_in_force


def keys_of(section: type[Section], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        place = prefix + (field.alias or name)
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from keys_of(inner, f"{place}.")
        else:
            yield place


def role_of(place: str, settings: type[Section]) -> list[Role]:
    return [role for role in Role if any(f"{place}.".startswith(f"{owner}.") for owner in places_with(settings, role))]


@pytest.mark.parametrize("settings", [Settings, MlSettings])
def test_every_key_has_exactly_one_role(settings: type[Section]) -> None:
    found = {place: role_of(place, settings) for place in keys_of(settings)}
    assert len(found) > 30
    assert {place: roles for place, roles in found.items() if len(roles) != 1} == {}


def test_a_key_without_a_role_is_an_error_that_names_it() -> None:
    class Inner(Section):
        known: Annotated[int, Role.WORLD] = 1
        forgotten: int = 2

    class Outer(Section):
        inner: Inner = Inner()

    with pytest.raises(TypeError, match=r"Inner\.forgotten has 0 roles"):
        places_with(Outer, Role.WORLD)


def test_the_strategy_that_travels_is_the_one_older_versions_published() -> None:
    """Other keys would make every published set one that this version refuses."""
    assert (
        *("dynamic_position_sizing.risk_percent", "ml_active_management", "risk_management", "session_confidence"),
        *("news_block_minutes", "news.currencies", "news.impacts", "enable_ema_trend_filter", "adx_filter"),
        *("equity_curve_filter", "risk_model"),
    ) == STRATEGY_KEYS


def test_what_describes_the_world_is_no_strategy() -> None:
    assert places_with(Settings, Role.WORLD) == (
        *("symbol", "timeframe", "account_type", "risk_profile.starting_balance_usd", "costs", "account", "broker"),
    )


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
def test_a_gate_is_the_strategys_or_protects_the_account(gate: object) -> None:
    for key in gate.keys:  # type: ignore[attr-defined]
        file, place = key.split(".", 1)
        (role,) = role_of(place, Settings if file == "config" else MlSettings)
        # The hard halt measures from the account's starting balance.
        assert role in (Role.STRATEGY, Role.LIMIT) or place == "risk_profile.starting_balance_usd"


def test_only_what_the_optimiser_decides_is_swept() -> None:
    for key in KEYS.values():
        assert role_of(".".join(key.path), Settings if key.file == "config" else MlSettings) == [Role.STRATEGY]


def test_the_record_names_the_limits_and_not_the_world(root: Path) -> None:
    recorded = parameters_in_force(load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json"))
    assert {"config.max_daily_loss", "config.risk_management.min_atr_threshold"} < set(recorded)
    assert not [name for name in recorded if name.startswith(("config.costs", "config.news.", "ml_config.training"))]
