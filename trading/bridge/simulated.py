"""A simulated terminal to serve where no real one is: a file's bars come to pass at a chosen pace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ml.feature_engineering import live_window_bars
from novosky.errors import DataError
from novosky.market.server_time import ServerClock
from novosky.settings import MlSettings, Settings
from trading.engine.records import no_minutes
from trading.market_inputs import bar_columns
from trading.parameters import build_params, build_rollovers
from trading.terminal.accounts import AccountTerms
from trading.terminal.market import feed_from_frame
from trading.terminal.server import TradeServer
from trading.terminal.stamps import Stamps
from trading.terminal.symbols import spec_from_settings
from trading.terminal.terminal import SimulatedTerminal


@dataclass
class PacedServer:
    """Lets the market's time pass with a real clock's.

    Attributes
    ----------
    server : TradeServer
    pace : float
        Seconds of the market for each second of the clock.
    now : callable
        The clock, in seconds; it never goes back.
    """

    server: TradeServer
    pace: float
    now: Callable[[], float]

    def __post_init__(self) -> None:
        self._seen = self.now()

    def catch_up(self) -> None:
        """Move the market to where it should be by now; at its end it stays."""
        moment = self.now()
        self.server.wait((moment - self._seen) * self.pace)
        self._seen = moment


def simulated_market(
    frame: pd.DataFrame, settings: Settings, ml_settings: MlSettings, pace: float, now: Callable[[], float]
) -> tuple[SimulatedTerminal, PacedServer]:
    """Return a terminal over bars, on an account of the settings' terms that is kept in memory.

    The market begins where enough bars lie behind it for the bot to decide.

    Parameters
    ----------
    frame : pandas.DataFrame
        M15 bars in UTC.
    pace, now
        See `PacedServer`.

    Raises
    ------
    DataError
        Too few bars.
    """
    history = live_window_bars()
    if len(frame) <= history:
        raise DataError(f"{len(frame)} bars are too few: the bot looks back over {history}, and one must follow")
    bars = bar_columns(frame, settings, fixed_spread=False)
    stamps = Stamps(ServerClock(settings.broker.server_clock))
    rollovers = build_rollovers(settings, int(bars.time[0]), int(bars.time[-1]))
    params = build_params(settings, ml_settings)
    feed = feed_from_frame(spec_from_settings(settings), frame, bars, params, stamps, history, rollovers, no_minutes())
    terms = AccountTerms(
        currency="USC" if settings.account_type == "cent" else "USD",
        leverage=round(settings.account.leverage),
        margin_call=settings.account.margin_call_level,
        stop_out=settings.account.stop_out_level,
    )
    server = TradeServer([feed], terms, settings.risk_profile.starting_balance_usd)
    return SimulatedTerminal(server), PacedServer(server, pace, now)
