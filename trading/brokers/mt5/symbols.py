"""The symbol at this broker: its name with whatever suffix, its first tick, its contract against config.json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novosky.clock import Clock
from novosky.errors import BrokerError
from novosky.settings import Settings
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.terms import Timing
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable

_SAME = 1e-9
"""Share by which two statements of a contract's figure may differ: float noise."""


def resolve_symbol(link: Link, name: str) -> str:
    """Return the name under which the broker lists a symbol.

    Brokers append suffixes (``BTCUSDm``, ``BTCUSD.pro``). The name itself is taken if it
    exists and is dealt in; otherwise there must be exactly one that begins with it, is
    quoted in USD and is dealt in.

    Raises
    ------
    BrokerError
        None or several.
    """
    exact = link.ask("symbol_info", name)
    if exact.value is not None and exact.value.trade_mode != C.SYMBOL_TRADE_MODE_DISABLED:
        return name
    listed = link.read("symbols_get", f"*{name}*")
    found = sorted(
        info.name
        for info in listed
        if info.name.startswith(name)
        and info.currency_profit == "USD"
        and not info.custom
        and info.trade_mode != C.SYMBOL_TRADE_MODE_DISABLED
    )
    if len(found) == 1:
        return str(found[0])
    if found:
        raise BrokerError(f"the broker lists several symbols for {name}: {', '.join(found)}; name one in config.json")
    raise BrokerError(f"the broker lists no symbol {name}, nor one with a suffix; set symbol in config.json")


def has_quote(tick: Any) -> bool:
    """Tell whether there is a tick with both sides; a symbol just selected has one of zeros at first."""
    return bool(tick) and tick.bid > 0.0 and tick.ask > 0.0


def await_tick(link: Link, clock: Clock, timing: Timing, symbol: str) -> Any:
    """Put a symbol into Market Watch and return its first tick; without one orders fail with 10021.

    Raises
    ------
    BrokerUnavailable
        The terminal refuses, or no tick came in time.
    """
    selected = link.ask("symbol_select", symbol, True)
    if not selected.value:
        raise BrokerUnavailable(f"the terminal does not show {symbol}: {selected.text} ({selected.code})")
    deadline = clock.now() + timing.tick_wait
    while True:
        tick = link.ask("symbol_info_tick", symbol).value
        if has_quote(tick):
            return tick
        if clock.now() >= deadline:
            raise BrokerUnavailable(f"no quote of {symbol} within {timing.tick_wait:g} s of selecting it")
        clock.sleep(timing.tick_poll)


def contract_drift(info: Any, settings: Settings) -> list[str]:
    """Name every figure in which the broker's contract differs from config.json's.

    Parameters
    ----------
    info : SymbolInfo
    settings : Settings
        On a cent account a lot may be stated as a hundredth of the underlying or, the account
        being in cents, as the whole; what it earns is measured elsewhere (`money.sizing_problem`).
    """
    broker = settings.broker
    expected: list[tuple[str, float, Callable[[float], bool]]] = [
        ("point", info.point, _equals(broker.point)),
        ("digits", info.digits, _equals(broker.digits)),
        ("volume_min", info.volume_min, _equals(broker.volume_min)),
        ("volume_max", info.volume_max, _equals(broker.volume_max)),
        ("volume_step", info.volume_step, _equals(broker.volume_step)),
        ("stops_level", info.trade_stops_level, _equals(broker.stops_level)),
        ("contract_size", info.trade_contract_size, _one_of(broker.contract_size, settings.lot_units)),
    ]
    return [
        f"broker.{name} is {getattr(broker, name):g} in config.json, the broker says {stated:g}"
        for name, stated, fits in expected
        if not fits(stated)
    ]


def check_contract(info: Any, settings: Settings) -> None:
    """Raise `BrokerError` when the contract is not the one the rules reckon with."""
    drift = contract_drift(info, settings)
    if drift:
        raise BrokerError(f"{info.name}: {'; '.join(drift)}; set config.json accordingly")


def _equals(value: float) -> Callable[[float], bool]:
    return lambda stated: abs(stated - value) <= _SAME * max(abs(value), 1.0)


def _one_of(*values: float) -> Callable[[float], bool]:
    return lambda stated: any(abs(stated - value) <= _SAME * value for value in values)
