"""Open a simulated broker on a bar frame with the terms that config.json states."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.inputs.columns import bar_columns
from engine.inputs.parameters import build_rollovers
from engine.records import Minutes, Params
from novosky.market.server_time import ServerClock
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.markets.market import feed_from_frame
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import spec_from_settings
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import TerminalStore

if TYPE_CHECKING:
    import pandas as pd

    from novosky.settings import Settings


_YEARS_AHEAD = 3 * 366 * 86_400
"""Seconds."""


def terms_from_settings(settings: Settings) -> AccountTerms:
    """Return the account that config.json describes; a cent account is kept in USC."""
    account = settings.account
    return AccountTerms(
        currency="USC" if settings.account_type == "cent" else "USD",
        currency_digits=account.currency_digits,
        leverage=round(account.leverage),
        margin_call=account.margin_call_level,
        stop_out=account.stop_out_level,
    )


def paper_server(
    frame: pd.DataFrame,
    first: int,
    settings: Settings,
    params: Params,
    minutes: Minutes,
    balance: float,
    *,
    store: TerminalStore | None = None,
    identity: str = "",
    fixed_spread: bool = False,
    clock: str = "UTC",
    growing: bool = False,
) -> TradeServer:
    """Return the broker of a paper account, which holds one position at a time as the backtest's does.

    Parameters
    ----------
    frame : pandas.DataFrame
        All bars; those before row `first` are history only.
    params : Params
        Of the same settings (`parameters.build_params`): costs, contract and stop-out.
    minutes : Minutes
        May be empty.
    balance : float
        The first deposit, USD.
    store : TerminalStore or None
        None keeps the account in memory.
    fixed_spread : bool
        True when `costs.spread` replaces the bars' own.
    clock : str
        Rule of the clock on the terminal's stamps. Nights are counted on the settings' own
        `broker.server_clock` whatever it is. The default repeats no hour in autumn, so that
        every bar of a replay keeps a stamp of its own.
    growing : bool
        See `trading.brokers.simulated.markets.market.Feed`.
    """
    bars = bar_columns(frame, settings, fixed_spread=fixed_spread)
    # A growing market is followed until its bot is started anew; nights of years to come cost nothing.
    ahead = _YEARS_AHEAD if growing else 0
    rollovers = build_rollovers(settings, int(bars.time[0]), int(bars.time[-1]) + ahead)
    stamps = Stamps(ServerClock(clock))
    feed = feed_from_frame(
        spec_from_settings(settings), frame, bars, params, stamps, first, rollovers, minutes, growing
    )
    terms = replace(terms_from_settings(settings), limit_positions=1)
    return TradeServer([feed], terms, balance, store=store, identity=identity)
