"""What a fill and a held position cost: the instrument's cost model, in one place.

| model | a fill pays | holding pays |
|---|---|---|
| broker of lots | a commission per lot and side | swap, a rate per lot and night by side |
| exchange | a share of the fill's value: the maker's where a resting order is met, else the taker's | funding, \
a share of the position's value at stated hours, from longs to shorts while the rate is positive |

Both are sums of the same terms: a model that does not charge a term has it at zero, and the term is
then left out, so that it cannot change a bit of the other's.
"""

from __future__ import annotations

from engine.records import Params
from novosky.compiled import compiled


@compiled
def fee(params: Params, volume: float, price: float, maker: bool) -> float:
    """Return what one fill costs in USD; negative is a rebate.

    Parameters
    ----------
    volume : float
        Lots.
    price : float
        Of the fill, USD.
    maker : bool
        True when the order rested in the book until the market came to it, as a target does.
    """
    paid = params.commission_per_lot * volume
    # One question for a broker of lots: the terms of an exchange cost the loop 4 % where none is charged.
    if params.taker_fee != 0.0 or params.maker_fee != 0.0 or params.min_fee != 0.0:
        share = params.maker_fee if maker else params.taker_fee
        paid += share * (volume * params.lot_units * price)
        # A least fee of zero is none: taken as a floor it would eat the maker's rebate.
        if params.min_fee > 0.0:
            paid = max(paid, params.min_fee)
    return paid


@compiled
def carry(params: Params, side: int, volume: float, price: float, charges: float) -> float:
    """Return what holding a position earns in USD over so many nights, or funding moments; negative is paid.

    Parameters
    ----------
    side : int
        1 long, -1 short.
    price : float
        The bid when it is charged, which stands for the exchange's mark price.
    charges : float
        See `Rollovers.nights`.
    """
    rate = params.swap_long if side > 0 else params.swap_short
    earned = rate * volume
    if params.funding_rate != 0.0:
        earned -= side * params.funding_rate * (volume * params.lot_units * price)
    return earned * charges


@compiled
def loss_of_a_lot(params: Params, distance: float, price: float) -> float:
    """Return the USD a lot loses at its stop at most: the distance, both slippages and both fees, all a taker's.

    The least fee is not in it: it does not grow with the volume, see `sizing.lot_size`.

    Parameters
    ----------
    distance : float
        USD between the quote and the stop.
    price : float
        The quote, USD.
    """
    # Both the entry and the stop are market fills, so both slip.
    loss = (distance + 2.0 * params.slippage) * params.lot_units + 2.0 * params.commission_per_lot
    if params.taker_fee != 0.0:
        # The stop of a short lies above the quote: its fee is of the higher price.
        loss += params.taker_fee * params.lot_units * (2.0 * price + distance)
    return loss
