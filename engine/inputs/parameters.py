"""From settings to the engine's parameters: the only place where percent become shares and names become bits."""

from __future__ import annotations

import numpy as np

from engine.gates import GATES
from engine.records import Params, Rollovers, new_record
from novosky.market.costs import CostModel
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import DAY_SECONDS
from novosky.market.trading_hours import WEEKDAYS
from novosky.settings import MlSettings, Settings
from novosky.settings.places import setting_at


def build_params(settings: Settings, ml_settings: MlSettings) -> Params:
    """Return the engine's parameters for these settings.

    What the gates compare is declared beside each gate (`engine.gates`).
    """
    broker, sizing = settings.broker, settings.dynamic_position_sizing
    params = new_record(Params)
    params.bar_seconds = settings.frame.seconds
    params.lot_units = settings.lot_units
    params.price_scale = 10.0**broker.digits
    params.money_scale = 10.0**settings.money_digits
    params.volume_scale = 1.0 / broker.volume_step
    # The stricter of what the broker takes and what the owner wants.
    params.volume_min = max(broker.volume_min, sizing.min_lot)
    params.volume_max = min(broker.volume_max, sizing.max_lot)
    params.stops_distance = broker.stops_level * broker.point
    # The first quote after a decision comes with the next bar, at the very second of the
    # close; anything later means the market was closed or silent.
    params.entry_valid_seconds = 0
    set_costs(params, settings.costs.model, settings.lot_units / broker.contract_size)
    params.leverage = settings.account.leverage / broker.margin_rate
    params.stop_out_level = settings.account.stop_out_level / 100.0
    params.risk_fraction = sizing.risk_percent / 100.0
    params.max_risk_fraction = sizing.max_risk_per_trade_pct / 100.0
    params.half_kelly = settings.ml_active_management.enabled
    for gate in GATES:
        for limit in gate.limits:
            values = (setting_at(key, settings, ml_settings) for key in limit.keys)
            params[limit.field] = limit.value(*values)  # type: ignore[index]
    _set_position_model(params, ml_settings)
    params.risk_model = settings.risk_model.enabled
    return params


def set_costs(params: Params, costs: CostModel, share: float) -> None:
    """Write an instrument's cost model into the engine's parameters.

    Parameters
    ----------
    share : float
        Of a standard lot that one lot of the account is: costs are stated per standard lot, and a
        cent lot, a hundredth of it, pays a hundredth. Shares of a value and least fees stay as they are.
    """
    fees, carry = costs.fees, costs.carry
    params.commission_per_lot = fees.per_lot * share
    params.maker_fee, params.taker_fee, params.min_fee = fees.maker, fees.taker, fees.least
    params.slippage = costs.slippage
    params.swap_long = carry.long * share
    params.swap_short = carry.short * share
    params.funding_rate = carry.funding


def _set_position_model(params: Params, ml_settings: MlSettings) -> None:
    model = ml_settings.position_model
    params.position_model = model.enabled
    params.position_horizon = ml_settings.labeling.horizon_bars
    params.exit_threshold = model.exit_threshold
    params.exit_min_gap = model.min_prob_diff
    params.min_bars_held = model.min_bars_held
    params.add_threshold = model.add_threshold


def build_rollovers(settings: Settings, start: int, end: int) -> Rollovers:
    """Return the server midnights in (start, end] and the nights each counts, or the moments of funding.

    With a triple day, that day's night counts three times and the nights that end Saturday
    and Sunday not at all, so that a week always has seven; without one every night counts once.
    """
    carry = settings.costs.model.carry
    if carry.hours:
        return _funding_moments(carry.hours, start, end)
    times, ended = ServerClock(settings.broker.server_clock).midnights(start, end)
    nights = np.ones(len(times))
    triple = settings.costs.triple_swap_day
    if triple is not None:
        # The triple night pays for the weekend, so its own nights must not be charged again.
        nights[ended >= WEEKDAYS.index("saturday")] = 0.0
        nights[ended == WEEKDAYS.index(triple)] = 3.0
    return Rollovers(times, nights)


def _funding_moments(hours: tuple[int, ...], start: int, end: int) -> Rollovers:
    """Return the moments in (start, end] at which funding is due, each charged once."""
    days = np.arange(start // DAY_SECONDS, end // DAY_SECONDS + 1, dtype=np.int64)
    moments = (days[:, None] * DAY_SECONDS + np.array(hours, np.int64) * 3_600).ravel()
    times = moments[(moments > start) & (moments <= end)]
    return Rollovers(times, np.ones(len(times)))
