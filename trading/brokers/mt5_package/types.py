"""The result types as attributes of a module, where the package has them."""

from __future__ import annotations

from trading.brokers.mt5_package import structs


class ModuleTypes:
    """Every type the package exports, as attributes of whatever inherits from this class."""

    AccountInfo = structs.AccountInfo
    BookInfo = structs.BookInfo
    OrderCheckResult = structs.OrderCheckResult
    OrderSendResult = structs.OrderSendResult
    SymbolInfo = structs.SymbolInfo
    TerminalInfo = structs.TerminalInfo
    Tick = structs.Tick
    TradeDeal = structs.TradeDeal
    TradeOrder = structs.TradeOrder
    TradePosition = structs.TradePosition
    TradeRequest = structs.TradeRequest
