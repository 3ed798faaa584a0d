"""What must hold before an order leaves: the right account, and every switch on the way to the market."""

from __future__ import annotations

from typing import Any

from novosky.errors import BrokerError
from trading.brokers.mt5.terms import Access, shown_login
from trading.brokers.mt5_package.constants import ModuleConstants as C

_ALLOWED = 0


def check_account(info: Any, access: Access) -> None:
    """Refuse an account other than the one that is to be traded.

    Parameters
    ----------
    info : AccountInfo

    Raises
    ------
    BrokerError
        Login, server, kind or bookkeeping differ; no order must be sent.
    """
    login = shown_login(info.login)
    if info.login != access.login or info.server != access.server:
        raise BrokerError(
            f"the terminal stands at another account, {login} on {info.server!r}; this bot trades "
            f"{shown_login(access.login)} on {access.server!r}; log the terminal in to that account"
        )
    if info.trade_mode == C.ACCOUNT_TRADE_MODE_REAL and not access.real:
        raise BrokerError(f"account {login} holds real money but this bot is set to demo; allow it or change it")
    if info.trade_mode != C.ACCOUNT_TRADE_MODE_REAL and access.real:
        raise BrokerError(f"account {login} is no real account but this bot is set to real; change the setting")
    if info.margin_mode != C.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING:
        raise BrokerError(
            f"account {login} nets its positions, so this bot's cannot be told from others'; open a hedging account"
        )


def refusal_of_entry(terminal: Any, account: Any, symbol: Any, side: int) -> int:
    """Return the return code with which an entry would be refused, 0 when all switches are on.

    Parameters
    ----------
    terminal, account, symbol
        TerminalInfo, AccountInfo and SymbolInfo, read just now: each can change without notice.
    side : int
        1 buy, -1 sell.
    """
    if not terminal.connected:
        return C.TRADE_RETCODE_PRICE_OFF
    if not terminal.trade_allowed or terminal.tradeapi_disabled:
        return C.TRADE_RETCODE_CLIENT_DISABLES_AT
    if not account.trade_allowed:
        return C.TRADE_RETCODE_TRADE_DISABLED
    if not account.trade_expert:
        return C.TRADE_RETCODE_SERVER_DISABLES_AT
    return _refusal_of_symbol(int(symbol.trade_mode), side)


def _refusal_of_symbol(mode: int, side: int) -> int:
    if mode == C.SYMBOL_TRADE_MODE_CLOSEONLY:
        return C.TRADE_RETCODE_CLOSE_ONLY
    if mode == C.SYMBOL_TRADE_MODE_LONGONLY:
        return _ALLOWED if side > 0 else C.TRADE_RETCODE_LONG_ONLY
    if mode == C.SYMBOL_TRADE_MODE_SHORTONLY:
        return _ALLOWED if side < 0 else C.TRADE_RETCODE_SHORT_ONLY
    return _ALLOWED if mode == C.SYMBOL_TRADE_MODE_FULL else C.TRADE_RETCODE_TRADE_DISABLED
