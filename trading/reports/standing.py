"""Where the bot stands, in words: at its start, at its end, and whenever a person stops or frees its entries."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.outputs.tables import money_text, volume_text
from novosky.market.timeframe import Timeframe
from novosky.supervision.freeze import FREEZE_FLAG
from trading.brokers.port import Position
from trading.journal import BotStatus
from trading.reports.bar_line import LONG_SHORT, WIDTH, position_text
from trading.reports.health import latched_breakers


@dataclass(frozen=True)
class Standing:
    """A bot at a moment.

    Attributes
    ----------
    symbol : str
    frame : Timeframe
        Of the bars it decides at.
    digits : int
        Of its prices.
    status : BotStatus
    position : Position or None
        Its own, as last seen.
    now : float
        UTC epoch seconds.
    """

    symbol: str
    frame: Timeframe
    digits: int
    status: BotStatus
    position: Position | None
    now: float

    @property
    def next_close(self) -> int:
        """When the next bar closes, UTC epoch seconds."""
        return self.frame.close(max(self.status.last_bar, self.frame.floor(self.now)))


def standing_text(standing: Standing) -> str:
    """Return e.g. "BTCUSD M15, flat, equity 1000.00 USD, 2 bars processed"."""
    status = standing.status
    parts = [
        f"{standing.symbol} {standing.frame.name}",
        position_text(standing.position),
        f"equity {money_text(status.guard.equity)} USD",
        f"{status.bars_processed} bar{'' if status.bars_processed == 1 else 's'} processed",
    ]
    latched = latched_breakers(status.guard)
    return ", ".join([*parts, *([f"LIMIT REACHED: {', '.join(latched)}"] if latched else [])])


def start_lines(standing: Standing, facts: Sequence[str], stops: Sequence[str]) -> list[str]:
    """Return what a bot says once it is ready.

    Parameters
    ----------
    standing : Standing
    facts : sequence of str
        What else belongs to the start: the models, where messages and tables go.
    stops : sequence of str
        Why no entries are made now, as `trading.cycle.switches.Switches.stops` tells them.
    """
    begun = "resumed" if standing.status.bars_processed else "ready"
    close = f"{datetime.fromtimestamp(standing.next_close, tz=UTC):%Y-%m-%d %H:%M} UTC"
    lines = [f"{begun}: {standing_text(standing)}, next close {close}"]
    lines += protection_lines(standing)
    lines += facts
    lines.append(stops_text(stops) if stops else _free_text(standing))
    return [piece for line in lines for piece in wrapped(line)]


def stop_lines(standing: Standing, again: str) -> list[str]:
    """Return what a bot says when it was told to stop; `again` is the command that goes on."""
    lines = [f"stopped: {standing_text(standing)}"]
    if standing.position is not None:
        lines += protection_lines(standing)
        lines.append("the position stays open at the broker; nobody manages it until the next start")
    lines.append(f"the next start goes on from here: {again}")
    return [piece for line in lines for piece in wrapped(line)]


def change_lines(standing: Standing, stops: Sequence[str]) -> list[str]:
    """Return what a bot says when its entries were stopped by a person or, without `stops`, allowed again."""
    said = stops_text(stops) if stops else "entries are allowed again"
    return wrapped(f"{said}; {standing_text(standing)}") + [
        piece for line in protection_lines(standing) for piece in wrapped(line)
    ]


def _free_text(standing: Standing) -> str:
    allowed = "none while a limit stands" if latched_breakers(standing.status.guard) else "allowed"
    return f"entries: {allowed}; the freeze flag is not set"


def stops_text(stops: Sequence[str]) -> str:
    """Return why no entries are made and how to go on."""
    ways = [f"delete {FREEZE_FLAG}"] if any("freeze" in reason for reason in stops) else []
    ways += ["send /resume"] if any("pause" in reason for reason in stops) else []
    mend = f"; to go on {' and '.join(ways)}" if ways else ""
    return f"no new entries: {', '.join(stops)}; an open position stays managed{mend}"


def protection_lines(standing: Standing) -> list[str]:
    """Return the open position with its levels, in one line; none when flat."""
    position, digits = standing.position, standing.digits
    if position is None:
        return []
    levels = (f"{name} {level:.{digits}f}" if level else f"NO {name}" for name, level in _levels(position))
    opened = f"{LONG_SHORT[position.side]} {volume_text(position.volume)} lots from {position.price_open:.{digits}f}"
    return [f"position: {opened}, {', '.join(levels)}"]


def _levels(position: Position) -> tuple[tuple[str, float], ...]:
    return ("stop", position.sl), ("target", position.tp)


def wrapped(text: str) -> list[str]:
    """Return a text in lines that fit a terminal, the following ones indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
