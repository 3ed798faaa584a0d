"""Where a page or a figure comes from: what was traded, by which version, command and when.

A page outlives the folder it was made in; without this a GER40 page looks like a BTCUSD page.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Provenance:
    """What every page says of itself.

    Attributes
    ----------
    symbol, timeframe, profile : str
        As configured when the page was made.
    version : str
        Of this program.
    command : str
        The command line as it was typed.
    made : int
        UTC epoch seconds.
    """

    symbol: str
    timeframe: str
    profile: str
    version: str
    command: str
    made: int

    @property
    def moment(self) -> str:
        """When the page was made, as a date and minute with its zone."""
        return f"{datetime.fromtimestamp(self.made, UTC):%Y-%m-%d %H:%M} UTC"

    def rows(self) -> tuple[tuple[str, str], ...]:
        """Return everything as pairs of a name and a text."""
        return (
            ("Symbol", self.symbol),
            ("Time frame", self.timeframe),
            ("Profile", self.profile),
            ("NOVOSKY version", self.version),
            ("Made", self.moment),
            ("Command", self.command),
        )

    def as_dict(self) -> dict[str, str]:
        """Return what does not change from run to run as flat JSON keys; the moment and the command do."""
        return {
            "symbol": self.symbol,
            "timeframe": self.timeframe,
            "profile": self.profile,
            "version": self.version,
        }

    def html(self) -> str:
        """Return the lines that stand below a page's title, as HTML."""
        first = f"{self.symbol} {self.timeframe}, profile {self.profile}"
        second = f"NOVOSKY {self.version}, made {self.moment} by"
        return (
            f'<p class="made"><b>{html.escape(first)}</b><br>{html.escape(second)} '
            f"<code>{html.escape(self.command)}</code></p>"
        )
