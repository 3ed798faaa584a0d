"""What every order needs at hand: the link, the symbol, its quote and contract, and the stops of a position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from novosky.clock import Clock
from novosky.errors import BrokerError
from novosky.settings import Settings
from trading.brokers.facts import MarginFacts
from trading.brokers.mt5.clock import OffsetCheck, ServerTime
from trading.brokers.mt5.filling import FillingChoice
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.lookup import Lookup
from trading.brokers.mt5.margin import read_margin
from trading.brokers.mt5.money import CALIBRATION_TICKS, Money, sizing_problem
from trading.brokers.mt5.retcodes import Reaction, reaction_to, result_of_stops, retcode_of_error
from trading.brokers.mt5.symbols import await_tick, has_quote
from trading.brokers.mt5.terms import Access, Timing
from trading.brokers.mt5.worker import EXIT, LinkWedged
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable, OrderResult, Outcome

_ASK_AGAIN = (Reaction.REQUOTE, Reaction.BACK_OFF, Reaction.AMBIGUOUS)
"""Reactions after which setting stops is tried again: doing it twice does no harm."""


@dataclass
class Desk:
    """The account's tools.

    Attributes
    ----------
    symbol : str
        The broker's name of it; set once connected.
    money : Money or None
        The account's currency; None before the first connection.
    deviation : int
        Points by which a fill may miss the price asked for, where the broker asks at all.
    """

    link: Link
    clock: Clock
    time: ServerTime
    offset: OffsetCheck
    lookup: Lookup
    settings: Settings
    access: Access
    timing: Timing
    deviation: int
    symbol: str = ""
    money: Money | None = None
    filling: FillingChoice = field(default_factory=FillingChoice)

    def account(self) -> Any:
        """Return AccountInfo."""
        return self.link.read("account_info")

    def symbol_info(self) -> Any:
        """Return SymbolInfo."""
        self.link.ensure()
        return self.link.read("symbol_info", self.symbol)

    def positions(self) -> Any:
        """Return the symbol's TradePositions; unknown is never empty."""
        self.link.ensure()
        return self.link.read("positions_get", symbol=self.symbol)

    def tick(self) -> Any:
        """Return a Tick with a bid and an ask.

        Without one the symbol is put into Market Watch again, whatever the terminal says of the reason.

        Raises
        ------
        BrokerUnavailable
            There is none yet.
        """
        self.link.ensure()
        answer = self.link.ask("symbol_info_tick", self.symbol)
        if not answer.failed and has_quote(answer.value):
            return answer.value
        return await_tick(self.link, self.clock, self.timing, self.symbol)

    def in_usd(self, amount: float) -> float:
        """Return money of the account in USD."""
        if self.money is None:
            raise BrokerError("the account's currency is not known before the first connection; connect first")
        return self.money.usd(float(amount))

    def sizing_problem(self, info: Any, tick: Any) -> str:
        """Say why lots must not be sized now, or return an empty text; see `money.sizing_problem`."""
        assert self.money is not None, "asked after connecting"
        step, price = float(info.trade_tick_size), float(tick.bid)
        measured = self.link.ask(
            "order_calc_profit", C.ORDER_TYPE_BUY, self.symbol, 1.0, price, price + CALIBRATION_TICKS * step
        ).value
        return sizing_problem(
            self.money,
            float(info.trade_tick_value),
            step,
            None if measured is None else float(measured),
            self.settings.lot_units,
        )

    def margin_facts(self, info: Any, tick: Any) -> MarginFacts:
        """Return what the broker takes for a lot now."""
        assert self.money is not None, "asked after connecting"
        return read_margin(self.link, self.symbol, info, float(tick.ask), self.money)

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set both levels of a position. Asking twice does no harm, so unclear answers are asked again."""
        fields: dict[str, Any] = {
            "action": C.TRADE_ACTION_SLTP,
            "symbol": self.symbol,
            "position": int(position),
            "sl": float(sl),
            "tp": float(tp),
        }
        result = OrderResult(Outcome.NOT_SENT, comment="not sent")
        for attempt in range(self.timing.requote_tries):
            if attempt:
                self.clock.sleep(self.timing.throttle)
            result, again = self._send_stops(fields)
            if not again:
                break
        return result

    def _send_stops(self, fields: dict[str, Any]) -> tuple[OrderResult, bool]:
        """Ask once; return the result and whether to ask again."""
        try:
            self.link.ensure()
            answer = self.link.order_send(fields, priority=EXIT)
        except BrokerUnavailable as error:
            return OrderResult(Outcome.NOT_SENT, comment=str(error)), True
        except LinkWedged as error:
            return OrderResult(Outcome.UNKNOWN, comment=str(error)), True
        if answer.value is None:
            code = retcode_of_error(answer.code)
            if code is None:
                return OrderResult(Outcome.UNKNOWN, comment=answer.text), True
            return result_of_stops(code, answer.text), reaction_to(code) in _ASK_AGAIN
        code = int(answer.value.retcode)
        return result_of_stops(code, answer.value.comment), reaction_to(code) in _ASK_AGAIN
