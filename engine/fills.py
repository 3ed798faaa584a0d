"""How orders become fills: the simulated market, one function per rule, in MetaTrader 5's terms.

Bars are bids. A long enters at the ask and leaves at the bid, a short the reverse; the
spread is constant within a bar. Stops and targets are live from the moment of entry, the
entry bar included. Market and stop fills suffer `slippage`; a target is a limit order and
fills at its price or, when the bar opens beyond it, at that better open.
"""

from __future__ import annotations

import numpy as np

from engine.costs import carry, fee
from engine.records import Account, Minutes, Params, Rollovers, Trade
from engine.touch import STOP_TOUCHED, TARGET_TOUCHED, bracket_touch, touch_price
from novosky.compiled import compiled

EXIT_STOP = STOP_TOUCHED
EXIT_TARGET = TARGET_TOUCHED
EXIT_STOP_OUT = 3
EXIT_MODEL = 4
EXIT_HALT = 5
EXIT_MANUAL = 6
EXIT_NAMES = ("", "sl", "tp", "so", "model", "halt", "manual")

ORDER_NONE = 0
ORDER_FILLED = 1
ORDER_BAD_STOPS = 2
ORDER_NO_MONEY = 3
ORDER_EXPIRED = 4


@compiled
def rounded(value: float, scale: float) -> float:
    """Round half away from zero to 1/scale, as MT5's NormalizeDouble; a scale of 0 leaves the value.

    NaN and infinity stay what they are.
    """
    if scale == 0.0:
        return value
    # Not math.floor: it answers an integer, which NaN and infinity do not have.
    magnitude = float(np.floor(abs(value) * scale + 0.5) / scale)
    return -magnitude if value < 0.0 and magnitude > 0.0 else magnitude


@compiled
def floating_profit(account: Account, params: Params, bid: float, spread: float) -> float:
    """Return the open position's price result in USD if it were closed at this quote."""
    if account.side > 0:
        return (bid - account.entry_price) * account.volume * params.lot_units
    if account.side < 0:
        return (account.entry_price - (bid + spread)) * account.volume * params.lot_units
    return 0.0


@compiled
def floating_equity(account: Account, params: Params, bid: float, spread: float) -> float:
    """Return balance plus floating profit plus accumulated swap, as MT5 defines equity."""
    if account.side == 0:
        return account.balance
    return account.balance + floating_profit(account, params, bid, spread) + account.swap


@compiled
def required_margin(params: Params, volume: float, price: float) -> float:
    """Return the margin of a position in USD: its value over the leverage (calc mode CFDLEVERAGE)."""
    return volume * params.lot_units * price / params.leverage


@compiled
def stops_allowed(params: Params, side: int, bid: float, spread: float, sl: float, tp: float) -> bool:
    """Tell whether stop and target keep the broker's distance: from the bid for a long, the ask for a short."""
    quote = bid if side > 0 else bid + spread
    # Brokers compare whole points: a stop exactly at the distance is not refused for 1e-12 USD.
    least = rounded(params.stops_distance, params.price_scale)
    to_stop = rounded(side * (quote - sl), params.price_scale)
    to_target = rounded(side * (tp - quote), params.price_scale)
    return to_stop >= least and to_target >= least


@compiled
def nights_until(rollovers: Rollovers, position: int, time: int) -> tuple[int, float]:
    """Count the nights whose server midnight has come by `time`, from `position` on.

    Returns
    -------
    (int, float)
        The position after the last such midnight, and the sum of their nights.
    """
    nights = 0.0
    while position < len(rollovers.time) and rollovers.time[position] <= time:
        nights += rollovers.nights[position]
        position += 1
    return position, nights


@compiled
def charge_carry(account: Account, params: Params, price: float, nights: float) -> None:
    """Add the swap of `nights`, or the funding, to the open position; it is booked with the closing deal."""
    earned = carry(params, account.side, account.volume, price, nights)
    account.swap = rounded(account.swap + earned, params.money_scale)


@compiled
def close_position(account: Account, params: Params, trade: Trade, time: int, price: float, reason: int) -> None:
    """Book the open position at `price` and write it into `trade`."""
    units = account.volume * params.lot_units
    profit = rounded((price - account.entry_price) * account.side * units, params.money_scale)
    # A target is the one exit that waits in the book; every other takes what is there.
    paid = fee(params, account.volume, price, reason == EXIT_TARGET)
    commission = rounded(-paid, params.money_scale)
    # Sums of cents are rounded again: 0.1 + 0.2 must not travel on as 0.30000000000000004.
    account.balance = rounded(account.balance + profit + commission + account.swap, params.money_scale)
    trade.entry_time = account.entry_time
    trade.exit_time = time
    trade.side = account.side
    trade.reason = reason
    trade.volume = account.volume
    trade.entry_price = account.entry_price
    trade.exit_price = price
    trade.sl = account.sl
    trade.tp = account.tp
    trade.profit = profit
    trade.commission = rounded(account.commission + commission, params.money_scale)
    trade.swap = account.swap
    trade.balance = account.balance
    trade.risk = abs(account.entry_price - account.sl) * units
    trade.spread_cost = account.spread_paid
    trade.slippage_cost = account.slippage_paid
    account.closed += 1
    account.last_net = rounded(profit + trade.commission + account.swap, params.money_scale)
    account.side = 0
    account.volume = 0.0
    account.entry_time = 0
    account.entry_price = 0.0
    account.sl = 0.0
    account.tp = 0.0
    account.swap = 0.0
    account.commission = 0.0
    account.margin = 0.0
    account.spread_paid = 0.0
    account.slippage_paid = 0.0
    account.pending_exit = 0


@compiled
def close_at_quote(
    account: Account, params: Params, trade: Trade, time: int, bid: float, spread: float, reason: int, slipped: bool
) -> None:
    """Close at a quote: a long at the bid, a short at the ask, less slippage for anything but a target."""
    units = account.volume * params.lot_units
    slippage = params.slippage if slipped else 0.0
    account.slippage_paid += slippage * units
    if account.side > 0:
        close_position(account, params, trade, time, rounded(bid - slippage, params.price_scale), reason)
    else:
        account.spread_paid += spread * units
        close_position(account, params, trade, time, rounded(bid + spread + slippage, params.price_scale), reason)


@compiled
def fill_entry(account: Account, params: Params, time: int, bid: float, spread: float) -> int:
    """Fill the waiting entry at this quote, or drop it for the reason a broker would give.

    Returns
    -------
    int
        ORDER_FILLED, ORDER_BAD_STOPS (MT5 10016), ORDER_NO_MONEY (10019) or
        ORDER_EXPIRED (10018: the market had closed between decision and quote).
    """
    side = account.pending_side
    # Used up whatever comes of it: a market order that is refused does not wait for the next quote.
    account.pending_side = 0
    if time - account.pending_time > params.entry_valid_seconds:
        return ORDER_EXPIRED
    if not stops_allowed(params, side, bid, spread, account.pending_sl, account.pending_tp):
        return ORDER_BAD_STOPS
    quote = bid + spread if side > 0 else bid
    margin = required_margin(params, account.pending_volume, quote)
    # An entry is only made from a flat account, whose free margin is its balance.
    if margin > account.balance:
        return ORDER_NO_MONEY
    units = account.pending_volume * params.lot_units
    account.side = side
    account.volume = account.pending_volume
    account.entry_time = time
    account.entry_price = rounded(quote + side * params.slippage, params.price_scale)
    account.sl = account.pending_sl
    account.tp = account.pending_tp
    account.margin = margin
    account.swap = 0.0
    # MT5 books the commission of a side with that side's deal; swap is booked only with the closing one.
    account.commission = rounded(-fee(params, account.volume, account.entry_price, False), params.money_scale)
    account.balance = rounded(account.balance + account.commission, params.money_scale)
    # A long pays the spread on its way in, at the ask; a short pays it on its way out.
    account.spread_paid = spread * units if side > 0 else 0.0
    account.slippage_paid = params.slippage * units
    return ORDER_FILLED


@compiled
def open_of_bar(
    account: Account, params: Params, trade: Trade, time: int, bid: float, spread: float, nights: float
) -> int:
    """Begin a bar: swap or funding of the time before it, then the waiting exit or entry at its first quote.

    Returns
    -------
    int
        What became of a waiting entry (`ORDER_...`), ORDER_NONE when there was none.
    """
    account.time = time
    if account.side != 0:
        if nights != 0.0:
            charge_carry(account, params, bid, nights)
        if account.pending_exit != 0:
            reason = account.pending_exit
            account.pending_exit = 0
            # An exit that met a closed market is dropped too; the next close decides again.
            if time - account.pending_time <= params.entry_valid_seconds:
                close_at_quote(account, params, trade, time, bid, spread, reason, True)
        return ORDER_NONE
    if account.pending_side != 0:
        return fill_entry(account, params, time, bid, spread)
    return ORDER_NONE


@compiled
def stop_out_price(account: Account, params: Params) -> float:
    """Return the exit-side price at which equity falls to the broker's stop-out share of margin.

    Solves balance + swap + side * (price - entry) * units = level * margin for the price.
    """
    floor = params.stop_out_level * account.margin - account.balance - account.swap
    return account.entry_price + account.side * floor / (account.volume * params.lot_units)


@compiled
def effective_stop(account: Account, params: Params) -> tuple[float, int]:
    """Return the price that ends the position against it, and whether stop or stop-out sets it."""
    # Of two levels against the position the price meets the nearer one first.
    if params.stop_out_level > 0.0:
        level = stop_out_price(account, params)
        if (level - account.sl) * account.side > 0.0:
            return level, EXIT_STOP_OUT
    return account.sl, EXIT_STOP


@compiled
def touched(account: Account, params: Params, first: float, high: float, low: float, spread: float) -> int:
    """Tell which levels of the open position a bar reached: 0, EXIT_STOP, EXIT_TARGET or BOTH_TOUCHED.

    For the stop-out see `effective_stop`; it counts as the stop here.
    """
    stop, _ = effective_stop(account, params)
    if account.side > 0:
        return bracket_touch(1, stop, account.tp, first, low, high)
    # A short leaves at the ask, which is a price on the broker's grid like the level it meets.
    scale = params.price_scale
    ask, worst, best = rounded(first + spread, scale), rounded(high + spread, scale), rounded(low + spread, scale)
    return bracket_touch(-1, stop, account.tp, ask, worst, best)


@compiled
def first_touch(account: Account, params: Params, spread: float, minutes: Minutes, bar: int) -> int:
    """Decide a bar that touched both levels by its minutes, else for the stop.

    A minute that touches both, and minutes that touch neither, count as the stop.
    """
    if len(minutes.begin) == 0:
        return EXIT_STOP
    for k in range(minutes.begin[bar], minutes.begin[bar + 1]):
        # Where the minute opened is taken at its worst, so that a minute with both stays a stop.
        first = minutes.low[k] if account.side > 0 else minutes.high[k]
        touch = touched(account, params, first, minutes.high[k], minutes.low[k], spread)
        if touch == EXIT_TARGET:
            return EXIT_TARGET
        if touch != 0:
            return EXIT_STOP
    return EXIT_STOP


@compiled
def settle_touch(
    account: Account, params: Params, trade: Trade, time: int, first: float, spread: float, touch: int
) -> None:
    """Close the position at the level it reached, or at the open when the bar began beyond it."""
    # Both levels are compared as bids, the price a bar is made of: a short's ask level less the spread.
    shift = 0.0 if account.side > 0 else spread
    if touch == EXIT_TARGET:
        bid = touch_price(account.side, TARGET_TOUCHED, account.tp - shift, first)
        close_at_quote(account, params, trade, time, bid, spread, EXIT_TARGET, False)
        return
    stop, reason = effective_stop(account, params)
    bid = touch_price(account.side, STOP_TOUCHED, stop - shift, first)
    close_at_quote(account, params, trade, time, bid, spread, reason, True)
