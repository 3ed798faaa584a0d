"""The cost model of an instrument: fees of lots or of value, carry of nights or of funding, and never half of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.inputs.parameters import build_params, build_rollovers
from novosky.errors import SettingsError
from novosky.market.costs import Carry, CostModel, Fees
from novosky.settings import Settings
from tests.helpers.paper_runs import scattered_ml_settings, settings_with
from trading.brokers.mt5.entry import package_reach

EXCHANGE: dict[str, Any] = {
    "fees": "maker_taker",
    "commission_per_lot": 0.0,
    "maker_fee_pct": 0.02,
    "taker_fee_pct": 0.05,
    "min_fee": 0.1,
    "carry": "funding",
    "swap_long": 0.0,
    "swap_short": 0.0,
    "funding_rate_pct": 0.01,
    "funding_hours_utc": [0, 8, 16],
}
DAY = 86_400


def exchange(**changes: Any) -> Settings:
    return settings_with(costs={**EXCHANGE, **changes})


def test_an_exchanges_costs_reach_the_engine_as_shares() -> None:
    params = build_params(exchange(), scattered_ml_settings())
    assert (params.commission_per_lot, params.swap_long, params.swap_short) == (0.0, 0.0, 0.0)
    assert (params.maker_fee, params.taker_fee, params.min_fee) == pytest.approx((0.0002, 0.0005, 0.1))
    assert params.funding_rate == pytest.approx(0.0001)


def test_a_cent_lot_pays_the_same_share_of_its_smaller_value() -> None:
    cent = exchange().model_copy(update={"account_type": "cent"})
    assert build_params(cent, scattered_ml_settings()).taker_fee == pytest.approx(0.0005)


def test_funding_is_due_at_its_hours_and_once_each() -> None:
    start = 20_000 * DAY
    due = build_rollovers(exchange(), start, start + DAY)
    assert list(due.time) == [start + 8 * 3600, start + 16 * 3600, start + DAY], "the start itself is over"
    assert list(due.nights) == [1.0, 1.0, 1.0]
    assert len(build_rollovers(exchange(), start + 1, start + 7 * 3600).time) == 0


def test_a_brokers_costs_are_as_they_were() -> None:
    settings = settings_with(costs={"commission_per_lot": 3.5})
    assert settings.costs.model.fees == Fees(per_lot=3.5)
    params = build_params(settings, scattered_ml_settings())
    assert (params.maker_fee, params.taker_fee, params.min_fee, params.funding_rate) == (0.0, 0.0, 0.0, 0.0)
    nights = build_rollovers(settings, 20_000 * DAY, 20_007 * DAY)
    assert np.sum(nights.nights) == 7.0


def test_keys_that_say_nothing_are_not_written() -> None:
    """The identity of a paper account is a hash of its costs: it must not change with a key that came later."""
    written = json.loads(settings_with().costs.model_dump_json())
    assert set(written) == {
        "spread",
        "bar_spread",
        "commission_per_lot",
        "slippage",
        "swap_long",
        "swap_short",
        "triple_swap_day",
    }
    again = exchange()
    assert Settings.model_validate(again.model_dump(by_alias=True)) == again
    assert Settings.model_validate_json(again.model_dump_json(by_alias=True)) == again


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"maker_fee_pct": None}, "state maker_fee_pct"),
        ({"taker_fee_pct": None, "maker_fee_pct": None}, "state maker_fee_pct and taker_fee_pct"),
        ({"commission_per_lot": 3.5}, "charged on top"),
        ({"fees": "per_lot"}, "charge nothing"),
        ({"funding_rate_pct": None}, "state funding_rate_pct and funding_hours_utc"),
        ({"funding_hours_utc": []}, "state funding_rate_pct and funding_hours_utc"),
        ({"funding_hours_utc": [8, 0]}, "ascending"),
        ({"funding_hours_utc": [0, 24]}, "from 0 to 23"),
        ({"swap_long": -3.0}, "never be charged"),
        ({"carry": "nights"}, "charge nothing"),
    ],
)
def test_half_a_model_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises((SettingsError, ValueError), match=words):
        Settings.model_validate({**settings_with().model_dump(by_alias=True), "costs": costs_of(changes)})


def costs_of(changes: dict[str, Any]) -> dict[str, Any]:
    return {**settings_with().costs.model_dump(), **EXCHANGE, **changes}


@pytest.mark.parametrize(
    "settings",
    [
        exchange(),
        exchange(carry="nights", swap_long=-2.0, funding_rate_pct=None, funding_hours_utc=None),
        exchange(fees="per_lot", commission_per_lot=3.0, maker_fee_pct=None, taker_fee_pct=None, min_fee=0.0),
    ],
    ids=["both", "fees", "carry"],
)
def test_a_broker_of_lots_and_nights_refuses_an_exchanges_costs(settings: Settings, tmp_path: Path) -> None:
    from random import Random

    from novosky.clock import RealClock

    reach = package_reach({"MT5_LOGIN": "12345678", "MT5_SERVER": "Broker-Demo"})
    with pytest.raises(SettingsError, match=r"costs\.(fees|carry) is .*MetaTrader 5 charges a commission per lot"):
        reach.open(settings, RealClock(), Random(1))


def test_costs_are_named_for_what_they_are() -> None:
    plain = CostModel(Fees(per_lot=3.5), Carry(long=-20.0, short=-5.0))
    assert (plain.fees.name, plain.fees.text) == ("Commission", "3.5 USD per lot and side")
    assert (plain.carry.name, plain.carry.text) == ("Swap", "long -20.0, short -5.0 USD per lot and night")
    model = exchange().costs.model
    assert (model.fees.name, model.carry.name) == ("Fees", "Funding")
    assert model.fees.text == "maker 0.02 %, taker 0.05 % of a fill's value, at least 0.1 USD"
    assert model.carry.text == "0.01 % of the position's value at 00:00, 08:00, 16:00 UTC, from longs to shorts"
