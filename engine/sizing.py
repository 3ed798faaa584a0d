"""From a candidate that may trade to an order: bracket, lot size and the broker's limits."""

from __future__ import annotations

import numpy as np

from engine.costs import loss_of_a_lot
from engine.fills import required_margin, rounded, stops_allowed
from engine.records import Account, Candidate, Params
from novosky.compiled import compiled

FITS = 0
# A bit for each gate of `engine.gates.order`, in its order.
BAD_STOPS = 1
BAD_VOLUME = 2
NO_MARGIN = 4


@compiled
def half_kelly(confidence: float, payoff: float) -> float:
    """Return half of Kelly's fraction p - (1 - p) / b for win chance p and pay-off b, within [0, 1].

    Source: J. L. Kelly, A New Interpretation of Information Rate (1956).
    """
    if not payoff > 0.0:
        return 0.0
    fraction = 0.5 * (confidence - (1.0 - confidence) / payoff)
    return min(fraction, 1.0) if fraction > 0.0 else 0.0


@compiled
def bracket(candidate: Candidate, params: Params, bid: float, spread: float) -> tuple[float, float]:
    """Return stop and target: ATR multiples from the close's ask for a long, its bid for a short."""
    quote = bid + spread if candidate.side > 0 else bid
    sl = rounded(quote - candidate.side * candidate.sl_mult * candidate.atr, params.price_scale)
    tp = rounded(quote + candidate.side * candidate.tp_mult * candidate.atr, params.price_scale)
    return sl, tp


@compiled
def lot_size(
    candidate: Candidate, params: Params, equity: float, distance: float, multiplier: float, price: float
) -> float:
    """Return the lots to trade, 0.0 when even the smallest lot would risk too much.

    lots = equity * risk / (distance * value of 1 USD per lot), rounded down to the volume
    step and raised to the smallest lot; the loss at the stop, with both fees and
    the slippage of both fills, never exceeds `max_risk_fraction` of equity.

    Parameters
    ----------
    distance : float
        USD between the quote and the stop.
    multiplier : float
        The risk model's answer, 1.0 when it is off.
    price : float
        The quote, USD: fees can be a share of what is traded.
    """
    if params.fixed_volume > 0.0:
        return params.fixed_volume
    if equity <= 0.0 or not distance > 0.0:
        return 0.0
    risk = params.risk_fraction * multiplier
    if params.half_kelly != 0:
        payoff = candidate.tp_mult / candidate.sl_mult if candidate.sl_mult > 0.0 else 0.0
        risk *= half_kelly(candidate.confidence, payoff)
    if not risk > 0.0:
        return 0.0
    lots = equity * risk / (distance * params.lot_units)
    # The least fee is paid by the smallest order too, so it comes off what may be lost before lots are counted.
    cap = (params.max_risk_fraction * equity - 2.0 * params.min_fee) / loss_of_a_lot(params, distance, price)
    lots = min(max(lots, params.volume_min), params.volume_max, cap)
    # The tiny addition keeps 0.29 / 0.01 = 28.999999999999996 from losing a step.
    lots = float(np.floor(lots * params.volume_scale + 1e-9) / params.volume_scale)
    return lots if lots >= params.volume_min else 0.0


@compiled
def plan_order(
    candidate: Candidate,
    account: Account,
    params: Params,
    bid: float,
    spread: float,
    multiplier: float,
) -> tuple[int, float, float, float]:
    """Size a candidate and check it against the broker's limits.

    Returns
    -------
    (int, float, float, float)
        FITS or the sum of BAD_STOPS, BAD_VOLUME and NO_MARGIN; lots; stop; target.
    """
    sl, tp = bracket(candidate, params, bid, spread)
    quote = bid + spread if candidate.side > 0 else bid
    volume = lot_size(candidate, params, account.balance, abs(quote - sl), multiplier, quote)
    verdict = FITS
    if not stops_allowed(params, candidate.side, bid, spread, sl, tp):
        verdict += BAD_STOPS
    if not volume > 0.0:
        verdict += BAD_VOLUME
    if required_margin(params, volume, quote) > account.balance:
        verdict += NO_MARGIN
    return verdict, volume, sl, tp
