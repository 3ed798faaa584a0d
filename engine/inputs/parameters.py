"""From settings to the engine's parameters: the only place where percent become shares and names become bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.records import SESSIONS, Params, Rollovers, new_record
from novosky.market.costs import CostModel
from novosky.market.server_time import ServerClock
from novosky.market.trading_hours import WEEKDAYS
from novosky.settings import MlSettings, Settings

_DAY = 86_400
LONDON, NEW_YORK, ASIAN = 1, 2, 4
MIN_VOTES = 2
"""Members of the ensemble that must name the side."""


def build_params(settings: Settings, ml_settings: MlSettings) -> Params:
    """Return the engine's parameters for these settings.

    The starting balance of the hard halt is `risk_profile.starting_balance_usd`.
    """
    broker, sizing = settings.broker, settings.dynamic_position_sizing
    params = new_record(Params)
    params.bar_seconds = settings.frame.seconds
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
    set_costs(params, settings.costs.model, settings.lot_units / broker.contract_size)
    params.leverage = settings.account.leverage / broker.margin_rate
    params.stop_out_level = settings.account.stop_out_level / 100.0
    params.risk_fraction = sizing.risk_percent / 100.0
    params.max_risk_fraction = sizing.max_risk_per_trade_pct / 100.0
    params.half_kelly = settings.ml_active_management.enabled
    _set_gates(params, settings, ml_settings)
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


def _set_gates(params: Params, settings: Settings, ml_settings: MlSettings) -> None:
    params.min_votes = MIN_VOTES
    params.confidence[:] = session_thresholds(settings, ml_settings)
    params.min_gap = ml_settings.prediction.min_probability_diff
    params.min_atr = settings.risk_management.min_atr_threshold
    params.max_spread_atr = settings.risk_management.max_spread_atr
    params.news_minutes = settings.news_block_minutes if settings.news_block_minutes > 0 else -1.0
    params.ema_trend = settings.enable_ema_trend_filter
    params.min_adx = settings.adx_filter.min_adx if settings.adx_filter.enabled else 0.0
    params.max_consecutive_losses = settings.max_consecutive_losses
    params.max_daily_loss = settings.max_daily_loss / 100.0
    params.max_weekly_drawdown = settings.max_weekly_drawdown_pct / 100.0
    params.max_total_drawdown = settings.max_total_drawdown_pct / 100.0
    params.starting_balance = settings.risk_profile.starting_balance_usd
    curve = settings.equity_curve_filter
    params.equity_curve = curve.enabled
    params.equity_curve_trades = curve.lookback_trades
    params.equity_curve_drawdown = curve.max_drawdown_pct / 100.0
    params.equity_curve_pause = round(curve.pause_hours * 3600)
    _set_position_model(params, ml_settings)
    params.risk_model = settings.risk_model.enabled


def _set_position_model(params: Params, ml_settings: MlSettings) -> None:
    model = ml_settings.position_model
    params.position_model = model.enabled
    params.position_horizon = ml_settings.labeling.horizon_bars
    params.exit_threshold = model.exit_threshold
    params.exit_min_gap = model.min_prob_diff
    params.min_bars_held = model.min_bars_held
    params.add_threshold = model.add_threshold


def session_thresholds(settings: Settings, ml_settings: MlSettings) -> npt.NDArray[np.float64]:
    """Return the confidence threshold of each combination of session bits, shape (8,).

    Sessions without an override use `prediction.confidence_threshold`; where sessions with
    overrides overlap, the highest of them applies.
    """
    by_bit = (
        (LONDON, settings.session_confidence.london),
        (NEW_YORK, settings.session_confidence.new_york),
        (ASIAN, settings.session_confidence.asian),
    )
    thresholds = np.full(SESSIONS, ml_settings.prediction.confidence_threshold)
    for sessions in range(SESSIONS):
        overrides = [value for bit, value in by_bit if value is not None and sessions & bit]
        if overrides:
            thresholds[sessions] = max(overrides)
    return thresholds


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
        nights[ended >= WEEKDAYS.index("saturday")] = 0.0
        nights[ended == WEEKDAYS.index(triple)] = 3.0
    return Rollovers(times, nights)


def _funding_moments(hours: tuple[int, ...], start: int, end: int) -> Rollovers:
    """Return the moments in (start, end] at which funding is due, each charged once."""
    days = np.arange(start // _DAY, end // _DAY + 1, dtype=np.int64)
    moments = (days[:, None] * _DAY + np.array(hours, np.int64) * 3_600).ravel()
    times = moments[(moments > start) & (moments <= end)]
    return Rollovers(times, np.ones(len(times)))
