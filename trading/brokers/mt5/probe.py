"""What the doctor asks of a terminal: the symbol's contract and the server's clock, read and nothing else."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from novosky.clock import Clock
from trading.brokers.facts import UNITS_PER_USD, AccountFacts, SymbolFacts
from trading.brokers.mt5.guard import check_account
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.margin import read_margin
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.money import Money
from trading.brokers.mt5.symbols import await_tick, resolve_symbol
from trading.brokers.mt5.terms import Access, Timing


class Mt5Probe:
    """A connection that only looks; see `trading.brokers.facts.BrokerProbe`.

    Connects at the first question, and refuses an account other than the one named.

    Parameters
    ----------
    module : TerminalModule
        Reaches the terminal.
    access : Access
        The account that must be there.
    timing : Timing
    symbol : str
        As in config.json; the broker's own name for it is looked up.
    clock : Clock
    magic : int
        Marks the bot's own positions.
    """

    def __init__(
        self, module: TerminalModule, access: Access, timing: Timing, symbol: str, clock: Clock, magic: int
    ) -> None:
        self._timing, self._magic = timing, magic
        self._access, self._name, self._clock = access, symbol, clock
        self._link = Link(module, clock, access, timing, self._check)
        self._symbol = ""

    def __enter__(self) -> Self:
        """Return itself; nothing is asked yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the terminal as it is."""
        self._link.close()

    def _check(self) -> None:
        check_account(self._link.read("account_info"), self._access)
        self._symbol = resolve_symbol(self._link, self._name)
        await_tick(self._link, self._clock, self._timing, self._symbol)

    def facts(self) -> SymbolFacts:
        """Return the symbol's contract; BrokerError when it is not there."""
        self._link.ensure()
        info: Any = self._link.read("symbol_info", self._symbol)
        account: Any = self._link.read("account_info")
        tick: Any = await_tick(self._link, self._clock, self._timing, self._symbol)
        margin = None
        if str(account.currency).upper() in UNITS_PER_USD:
            money = Money(str(account.currency), UNITS_PER_USD[str(account.currency).upper()])
            margin = read_margin(self._link, self._symbol, info, float(tick.ask), money)
        return SymbolFacts(
            symbol=str(info.name),
            point=float(info.point),
            tick_size=float(info.trade_tick_size),
            digits=int(info.digits),
            contract_size=float(info.trade_contract_size),
            volume_min=float(info.volume_min),
            volume_max=float(info.volume_max),
            volume_step=float(info.volume_step),
            stops_level=int(info.trade_stops_level),
            tick_value=float(info.trade_tick_value),
            currency=str(account.currency),
            currency_digits=int(account.currency_digits),
            margin=margin,
        )

    def account(self) -> AccountFacts:
        """Return the account's money and the symbol's open positions."""
        self._link.ensure()
        info: Any = self._link.read("account_info")
        unit = UNITS_PER_USD.get(str(info.currency).upper(), 1.0)
        listed = self._link.read("positions_get", symbol=self._symbol)
        own = sum(1 for position in listed if position.magic == self._magic)
        return AccountFacts(float(info.balance) / unit, float(info.equity) / unit, own, len(listed) - own)

    def server_seconds(self) -> int | None:
        """Return the newest tick's time as the server writes it; None without one."""
        self._link.ensure()
        tick = self._link.read("symbol_info_tick", self._symbol)
        return int(tick.time) if tick else None
