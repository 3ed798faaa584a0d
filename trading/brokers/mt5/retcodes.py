"""What each trade return code of MetaTrader 5 means in the port's words, and asks of the one who sent the order.

The texts beside the codes come in the terminal's language, so nothing is ever decided by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from trading.brokers.mt5_package.constants import TRADE_RETCODE_HEDGE_PROHIBITED
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import DealReason, OrderResult, Outcome


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

OUTCOMES: Final[Mapping[int, Outcome]] = MappingProxyType(
    {
        C.TRADE_RETCODE_REQUOTE: Outcome.PRICE_MOVED,
        C.TRADE_RETCODE_REJECT: Outcome.REJECTED,
        C.TRADE_RETCODE_CANCEL: Outcome.CANCELLED,
        # The server has taken the order on; until its deal is found nobody knows.
        C.TRADE_RETCODE_PLACED: Outcome.UNKNOWN,
        C.TRADE_RETCODE_DONE: Outcome.FILLED,
        C.TRADE_RETCODE_DONE_PARTIAL: Outcome.PARTLY_FILLED,
        C.TRADE_RETCODE_ERROR: Outcome.UNKNOWN,
        C.TRADE_RETCODE_TIMEOUT: Outcome.UNKNOWN,
        C.TRADE_RETCODE_INVALID: Outcome.INVALID,
        C.TRADE_RETCODE_INVALID_VOLUME: Outcome.BAD_VOLUME,
        C.TRADE_RETCODE_INVALID_PRICE: Outcome.BAD_PRICE,
        C.TRADE_RETCODE_INVALID_STOPS: Outcome.STOPS_TOO_CLOSE,
        C.TRADE_RETCODE_TRADE_DISABLED: Outcome.TRADING_OFF,
        C.TRADE_RETCODE_MARKET_CLOSED: Outcome.MARKET_CLOSED,
        C.TRADE_RETCODE_NO_MONEY: Outcome.NO_MONEY,
        C.TRADE_RETCODE_PRICE_CHANGED: Outcome.PRICE_MOVED,
        C.TRADE_RETCODE_PRICE_OFF: Outcome.NOT_SENT,
        C.TRADE_RETCODE_INVALID_EXPIRATION: Outcome.INVALID,
        C.TRADE_RETCODE_ORDER_CHANGED: Outcome.UNKNOWN,
        C.TRADE_RETCODE_TOO_MANY_REQUESTS: Outcome.TOO_MANY_REQUESTS,
        C.TRADE_RETCODE_NO_CHANGES: Outcome.UNCHANGED,
        C.TRADE_RETCODE_SERVER_DISABLES_AT: Outcome.PROGRAMS_OFF_AT_SERVER,
        C.TRADE_RETCODE_CLIENT_DISABLES_AT: Outcome.PROGRAMS_OFF_HERE,
        C.TRADE_RETCODE_LOCKED: Outcome.UNKNOWN,
        C.TRADE_RETCODE_FROZEN: Outcome.FROZEN,
        C.TRADE_RETCODE_INVALID_FILL: Outcome.INVALID,
        C.TRADE_RETCODE_CONNECTION: Outcome.UNKNOWN,
        C.TRADE_RETCODE_ONLY_REAL: Outcome.REAL_ONLY,
        C.TRADE_RETCODE_LIMIT_ORDERS: Outcome.TOO_MANY_ORDERS,
        C.TRADE_RETCODE_LIMIT_VOLUME: Outcome.TOO_MUCH_VOLUME,
        C.TRADE_RETCODE_INVALID_ORDER: Outcome.INVALID,
        C.TRADE_RETCODE_POSITION_CLOSED: Outcome.POSITION_GONE,
        C.TRADE_RETCODE_INVALID_CLOSE_VOLUME: Outcome.BAD_VOLUME,
        C.TRADE_RETCODE_CLOSE_ORDER_EXIST: Outcome.EXIT_UNDER_WAY,
        C.TRADE_RETCODE_LIMIT_POSITIONS: Outcome.TOO_MANY_POSITIONS,
        C.TRADE_RETCODE_REJECT_CANCEL: Outcome.UNKNOWN,
        C.TRADE_RETCODE_LONG_ONLY: Outcome.LONG_ONLY,
        C.TRADE_RETCODE_SHORT_ONLY: Outcome.SHORT_ONLY,
        C.TRADE_RETCODE_CLOSE_ONLY: Outcome.CLOSE_ONLY,
        C.TRADE_RETCODE_FIFO_CLOSE: Outcome.NOT_THE_OLDEST,
        TRADE_RETCODE_HEDGE_PROHIBITED: Outcome.NO_HEDGING,
    }
)
"""The one place where the numbers become words."""
_STOPS_SET: Final = frozenset({C.TRADE_RETCODE_DONE, C.TRADE_RETCODE_PLACED})
DEAL_REASONS: Final[Mapping[int, DealReason]] = MappingProxyType(
    {
        C.DEAL_REASON_CLIENT: DealReason.HAND,
        C.DEAL_REASON_MOBILE: DealReason.HAND,
        C.DEAL_REASON_WEB: DealReason.HAND,
        C.DEAL_REASON_EXPERT: DealReason.PROGRAM,
        C.DEAL_REASON_SL: DealReason.STOP,
        C.DEAL_REASON_TP: DealReason.TARGET,
        C.DEAL_REASON_SO: DealReason.STOP_OUT,
    }
)

_NOT_DELIVERED: Final = frozenset({C.RES_E_INVALID_PARAMS, C.RES_E_INVALID_VERSION, C.RES_E_UNSUPPORTED})
"""Errors of `last_error` after which a request certainly never left this machine."""


def reaction_to(retcode: int) -> Reaction:
    """Return the reaction to a return code; codes nobody knows stop the trading."""
    return REACTIONS.get(retcode, Reaction.STOP)


def outcome_of_code(retcode: int) -> Outcome:
    """Return a return code in the port's words; codes nobody knows are unforeseen refusals."""
    return OUTCOMES.get(retcode, Outcome.UNFORESEEN)


def result_of(retcode: int, comment: str) -> OrderResult:
    """Return the port's result of an order that a return code ended without a deal."""
    return OrderResult(outcome_of_code(retcode), comment=comment, code=str(retcode))


def result_of_stops(retcode: int, comment: str) -> OrderResult:
    """Return the port's result of setting a position's levels: there is nothing to fill."""
    outcome = Outcome.ACCEPTED if retcode in _STOPS_SET else outcome_of_code(retcode)
    return OrderResult(outcome, comment=comment, code=str(retcode))


def deal_reason(reason: int) -> DealReason:
    """Return a DEAL_REASON_... in the port's words; the terminal's others are all the broker's doing."""
    return DEAL_REASONS.get(reason, DealReason.BROKER)


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
