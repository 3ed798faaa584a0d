"""What each trade return code of MetaTrader 5 asks of the one who sent the order.

The texts beside the codes come in the terminal's language, so nothing is ever decided by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from trading.brokers.mt5_package.constants import TRADE_RETCODE_HEDGE_PROHIBITED
from trading.brokers.mt5_package.constants import ModuleConstants as C


class Reaction(Enum):
    """How to go on after a return code."""

    OK = "executed, or nothing had to be done"
    REQUOTE = "try again with a new quote, while the decision is fresh"
    BACK_OFF = "wait, then try again"
    AMBIGUOUS = "find out what happened before anything else is sent"
    CALLER = "the request was wrong; the same request will be refused again"
    STOP = "not now and not soon; a person has to look"
    WAIT = "not now; the market or the order's state has to change first"


REACTIONS: Final[Mapping[int, Reaction]] = MappingProxyType(
    {
        C.TRADE_RETCODE_REQUOTE: Reaction.REQUOTE,
        C.TRADE_RETCODE_REJECT: Reaction.STOP,
        C.TRADE_RETCODE_CANCEL: Reaction.STOP,
        C.TRADE_RETCODE_PLACED: Reaction.OK,
        C.TRADE_RETCODE_DONE: Reaction.OK,
        C.TRADE_RETCODE_DONE_PARTIAL: Reaction.OK,
        C.TRADE_RETCODE_ERROR: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_TIMEOUT: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_INVALID: Reaction.CALLER,
        C.TRADE_RETCODE_INVALID_VOLUME: Reaction.CALLER,
        C.TRADE_RETCODE_INVALID_PRICE: Reaction.CALLER,
        C.TRADE_RETCODE_INVALID_STOPS: Reaction.CALLER,
        C.TRADE_RETCODE_TRADE_DISABLED: Reaction.STOP,
        C.TRADE_RETCODE_MARKET_CLOSED: Reaction.WAIT,
        C.TRADE_RETCODE_NO_MONEY: Reaction.STOP,
        C.TRADE_RETCODE_PRICE_CHANGED: Reaction.REQUOTE,
        C.TRADE_RETCODE_PRICE_OFF: Reaction.REQUOTE,
        C.TRADE_RETCODE_INVALID_EXPIRATION: Reaction.CALLER,
        C.TRADE_RETCODE_ORDER_CHANGED: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_TOO_MANY_REQUESTS: Reaction.BACK_OFF,
        C.TRADE_RETCODE_NO_CHANGES: Reaction.OK,
        C.TRADE_RETCODE_SERVER_DISABLES_AT: Reaction.STOP,
        C.TRADE_RETCODE_CLIENT_DISABLES_AT: Reaction.STOP,
        C.TRADE_RETCODE_LOCKED: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_FROZEN: Reaction.WAIT,
        C.TRADE_RETCODE_INVALID_FILL: Reaction.CALLER,
        C.TRADE_RETCODE_CONNECTION: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_ONLY_REAL: Reaction.STOP,
        C.TRADE_RETCODE_LIMIT_ORDERS: Reaction.STOP,
        C.TRADE_RETCODE_LIMIT_VOLUME: Reaction.STOP,
        C.TRADE_RETCODE_INVALID_ORDER: Reaction.CALLER,
        # For whoever wanted to close it that is what was wanted; the desk tells the two apart.
        C.TRADE_RETCODE_POSITION_CLOSED: Reaction.OK,
        C.TRADE_RETCODE_INVALID_CLOSE_VOLUME: Reaction.CALLER,
        C.TRADE_RETCODE_CLOSE_ORDER_EXIST: Reaction.WAIT,
        C.TRADE_RETCODE_LIMIT_POSITIONS: Reaction.STOP,
        C.TRADE_RETCODE_REJECT_CANCEL: Reaction.AMBIGUOUS,
        C.TRADE_RETCODE_LONG_ONLY: Reaction.STOP,
        C.TRADE_RETCODE_SHORT_ONLY: Reaction.STOP,
        C.TRADE_RETCODE_CLOSE_ONLY: Reaction.STOP,
        C.TRADE_RETCODE_FIFO_CLOSE: Reaction.CALLER,
        TRADE_RETCODE_HEDGE_PROHIBITED: Reaction.STOP,
    }
)

_NOT_DELIVERED: Final = frozenset({C.RES_E_INVALID_PARAMS, C.RES_E_INVALID_VERSION, C.RES_E_UNSUPPORTED})
"""Errors of `last_error` after which a request certainly never left this machine."""


def reaction_to(retcode: int) -> Reaction:
    """Return the reaction to a return code; codes nobody knows stop the trading."""
    return REACTIONS.get(retcode, Reaction.STOP)


def retcode_of_error(code: int) -> int | None:
    """Return the return code that stands for a send without a result, None when its outcome is unclear.

    Parameters
    ----------
    code : int
        From `last_error`, read together with the send's None.
    """
    if code == C.RES_E_AUTO_TRADING_DISABLED:
        return int(C.TRADE_RETCODE_CLIENT_DISABLES_AT)
    if code in _NOT_DELIVERED:
        return int(C.TRADE_RETCODE_INVALID)
    return None
