"""What a bar tells of the bot's positions: rows of the journal's `position_events`.

=================  ======================================================================
kind               what happened, and when
=================  ======================================================================
`opened`           the entry's deal
`closed in part`   a deal that left a part open
`closed`           the deal after which nothing was left
`exit decided`     the bot has decided at this close to leave: why, and for the position
                   model with its probability of EXIT and the lead over HOLD
`add advised`      the position model would add at this close; that is never done
`stop repaired`    a stop or target that the broker had lost was set again
`foreign seen`     a position of someone else on the account, at its opening
=================  ======================================================================

Times are UTC epoch seconds. The first five are written with their bar, the others at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from engine.fills import EXIT_MODEL, EXIT_NAMES
from engine.outputs.tables import SIDE_NAMES, volume_text
from engine.records import Params
from trading.brokers.port import DealEntry, Position
from trading.cycle.bookings import Booked, ClosedTrade
from trading.cycle.model_figures import ModelFigures
from trading.journal import BarNotes, Decision, Journal, PositionEvent

OPENED = "opened"
CLOSED_IN_PART = "closed in part"
CLOSED = "closed"
EXIT_DECIDED = "exit decided"
ADD_ADVISED = "add advised"
STOP_REPAIRED = "stop repaired"
FOREIGN_SEEN = "foreign seen"
MODEL_EXIT = f"exit:{EXIT_NAMES[EXIT_MODEL]}"


class NoteTaker:
    """Gathers what a bar leaves beside its decision.

    Parameters
    ----------
    journal : Journal
    fingerprint : str
        Of the models in force; empty keeps no figures of them.
    params : Params
    """

    def __init__(self, journal: Journal, fingerprint: str, params: Params) -> None:
        self._magic = journal.magic
        self._figures = ModelFigures(journal, fingerprint, params.money_scale) if fingerprint else None

    def notes(self, booked: Booked, position: Position | None, decision: Decision, last_bar: int) -> BarNotes:
        """Return a bar's rows; `last_bar` is the close processed before, UTC epoch seconds, 0 at the first."""
        figures = self._figures
        metrics = () if figures is None else figures.of_bar(decision, booked.closed, last_bar)
        return BarNotes(position_events(booked, position, decision, self._magic), metrics, booked.moves)


def position_events(booked: Booked, position: Position | None, decision: Decision, magic: int) -> list[PositionEvent]:
    """Return what happened to the bot's positions since the last bar, and what it decided about the open one.

    Parameters
    ----------
    booked : Booked
        The deals since the last bar.
    position : Position or None
        The bot's own, as it stands at this close.
    decision : Decision
    magic : int
        Marks the bot's own orders.
    """
    sides = {closed.position: int(closed.trade.side) for closed in booked.closed}
    if position is not None:
        sides[position.ticket] = position.side
    entries = [row for row in booked.deals if row["entry"] == DealEntry.IN and row["magic"] == magic]
    # A partial fill and a partial close can be several deals of one second: they are one event.
    merged: dict[tuple[int, int, str], list[str]] = {}
    for ticket, time, kind, detail in (
        *(_opened(row, sides) for row in entries),
        *(_closed(closed) for closed in booked.closed),
        *_decided(position, decision),
    ):
        merged.setdefault((ticket, time, kind), []).append(detail)
    return [PositionEvent(*key, "; ".join(details)) for key, details in merged.items()]


def _opened(row: Mapping[str, Any], sides: Mapping[int, int]) -> tuple[int, int, str, str]:
    # One that is neither open nor closed here was opened a moment after the list was read.
    side = SIDE_NAMES.get(sides.get(row["position"], 0), "position")
    return row["position"], row["time"], OPENED, f"{side} {volume_text(row['volume'])} at {row['price']:.2f}"


def _closed(closed: ClosedTrade) -> tuple[int, int, str, str]:
    trade = closed.trade
    net = trade.profit + trade.commission + trade.swap
    reason = EXIT_NAMES[int(trade.reason)]
    detail = f"{volume_text(trade.volume)} at {trade.exit_price:.2f} ({reason}), result {net:+.2f} USD"
    return closed.position, int(trade.exit_time), CLOSED_IN_PART if closed.partial else CLOSED, detail


def _decided(position: Position | None, decision: Decision) -> Iterator[tuple[int, int, str, str]]:
    if position is None:
        return
    answer = ""
    if decision.confidence is not None and decision.gap is not None:
        answer = f"P(EXIT) {decision.confidence:.3f}, {decision.gap:+.3f} against HOLD"
    if decision.action == "add":
        yield position.ticket, decision.bar, ADD_ADVISED, answer
    elif decision.action == MODEL_EXIT:
        yield position.ticket, decision.bar, EXIT_DECIDED, f"{EXIT_NAMES[EXIT_MODEL]}: {answer}"
    elif decision.action.startswith("exit:"):
        yield position.ticket, decision.bar, EXIT_DECIDED, decision.action.removeprefix("exit:")
