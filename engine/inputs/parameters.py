"""From settings to the engine's parameters: the only place where percent become shares and names become bits."""

from __future__ import annotations

import numpy as np

from engine.gates import GATES
from engine.records import Params, Rollovers, new_record
from novosky.market.bars import M15_SECONDS
from novosky.market.server_time import ServerClock
from novosky.market.trading_hours import WEEKDAYS
from novosky.settings import MlSettings, Settings
from novosky.settings.places import setting_at


def build_params(settings: Settings, ml_settings: MlSettings) -> Params:
    """Return the engine's parameters for these settings.

    What the gates compare is declared beside each gate (`engine.gates`).
    """
    broker, sizing, costs = settings.broker, settings.dynamic_position_sizing, settings.costs
    params = new_record(Params)
    params.bar_seconds = M15_SECONDS
    params.lot_units = settings.lot_units
    params.price_scale = 10.0**broker.digits
    params.money_scale = 10.0**settings.money_digits
    params.volume_scale = 1.0 / broker.volume_step
    params.volume_min = max(broker.volume_min, sizing.min_lot)
    params.volume_max = min(broker.volume_max, sizing.max_lot)
    params.stops_distance = broker.stops_level * broker.point
    # The first quote after a decision comes with the next bar, at the very second of the
    # close; anything later means the market was closed or silent.
    params.entry_valid_seconds = 0
    # Costs are stated per standard lot; a cent lot, a hundredth of it, pays a hundredth.
    share = settings.lot_units / broker.contract_size
    params.commission_per_lot = costs.commission_per_lot * share
    params.slippage = costs.slippage
    params.swap_long = costs.swap_long * share
    params.swap_short = costs.swap_short * share
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


def _set_position_model(params: Params, ml_settings: MlSettings) -> None:
    model = ml_settings.position_model
    params.position_model = model.enabled
    params.position_horizon = ml_settings.labeling.horizon_bars
    params.exit_threshold = model.exit_threshold
    params.exit_min_gap = model.min_prob_diff
    params.min_bars_held = model.min_bars_held
    params.add_threshold = model.add_threshold


def build_rollovers(settings: Settings, start: int, end: int) -> Rollovers:
    """Return the server midnights in (start, end] and the nights each counts.

    With a triple day, that day's night counts three times and the nights that end Saturday
    and Sunday not at all, so that a week always has seven; without one every night counts once.
    """
    times, ended = ServerClock(settings.broker.server_clock).midnights(start, end)
    nights = np.ones(len(times))
    triple = settings.costs.triple_swap_day
    if triple is not None:
        nights[ended >= WEEKDAYS.index("saturday")] = 0.0
        nights[ended == WEEKDAYS.index(triple)] = 3.0
    return Rollovers(times, nights)
