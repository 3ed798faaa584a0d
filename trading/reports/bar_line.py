"""One line per bar: what a person sees of a bot at work, on paper and on a real account alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engine.outputs.gate_numbers import Refusal, refusal_text
from engine.outputs.reasons import EXIT_WORDS
from engine.outputs.tables import SIDE_NAMES, money_text, volume_text
from engine.records import Candidate, Guard, Params, from_text
from novosky.market.timeframe import Timeframe
from trading.brokers.port import Position
from trading.journal import INTENT_FILLED, INTENT_REJECTED

WIDTH = 80
"""Columns of a terminal nobody has resized."""
LONG_SHORT = {1: "long", -1: "short"}


@dataclass(frozen=True)
class BarView:
    """What a bar's line is made of.

    Attributes
    ----------
    bar : int
        Its close, UTC epoch seconds.
    earlier : int
        Close of the bar processed before, 0 for none: the line of a new day carries the date.
    price : float
        Bid at the close.
    digits : int
        Of the symbol's prices.
    position : Position or None
        The bot's own, as it stands when the line is made.
    decision : str
        In words, from `decision_text`.
    equity : float
        At the close, USD.
    frame : Timeframe
        Of the bar.
    """

    bar: int
    earlier: int
    price: float
    digits: int
    position: Position | None
    decision: str
    equity: float
    frame: Timeframe


def bar_line(view: BarView) -> str:
    """Return the line of a bar: time (UTC), price, position, equity, decision, next close.

    Examples
    --------
    >>> from novosky.market.timeframe import TIMEFRAMES
    >>> print(bar_line(BarView(1715076900, 1715076000, 63512.34, 2, None, "no signal", 1000.0, TIMEFRAMES["M15"])))
    10:15 63512.34 flat, equity 1000.00, no signal; next 10:30
    """
    moment = clock(view.bar)
    if view.earlier // 86_400 != view.bar // 86_400:
        moment = f"{datetime.fromtimestamp(view.bar, tz=UTC):%m-%d} {moment}"
    line = (
        f"{moment} {view.price:.{view.digits}f} {position_text(view.position)}, equity {money_text(view.equity)}, "
        f"{view.decision}"
    )
    coming = clock(view.frame.close(view.bar))
    # Where it gets long, what follows from the clock goes first.
    return next((full for full in (f"{line}; next {coming}", f"{line}; {coming}") if len(full) <= WIDTH), line)


def clock(moment: int) -> str:
    """Return the time of day of a moment (UTC epoch seconds), e.g. "10:15"."""
    return f"{datetime.fromtimestamp(moment, tz=UTC):%H:%M}"


def position_text(position: Position | None) -> str:
    """Return a position as "long 0.12 +3.45" (lots and floating result in USD, swap included), or "flat"."""
    if position is None:
        return "flat"
    result = f"{round(position.profit + position.swap, 2) + 0.0:+.2f}"
    return f"{LONG_SHORT[position.side]} {volume_text(position.volume)} {result}"


def decision_text(row: Any, intents: Sequence[Any], guard: Guard, params: Params) -> str:
    """Return a decision in words, and for a candidate that was not traded why.

    Parameters
    ----------
    row : mapping
        Of the journal's `decisions`.
    intents : sequence of mappings
        The bar's rows of `intents`, as they stand now.
    guard : Guard
        After the bar.
    params : Params
        In force at the bar.
    """
    action, states = str(row["action"]), {intent["state"] for intent in intents}
    if action == "none":
        return "no signal"
    if action in ("hold", "add"):
        return "hold"
    if action.startswith("exit:"):
        done = "closed" if INTENT_FILLED in states else "refused to close" if INTENT_REJECTED in states else "closing"
        return f"{done}, {EXIT_WORDS[action.removeprefix('exit:')]}"
    side = SIDE_NAMES[int(row["side"])]
    if action == "entry":
        return f"{side} filled" if INTENT_FILLED in states else f"{side} sent, not filled yet"
    if row["candidate"] is None or not row["gates"]:
        return f"no {side}"
    candidate = from_text(Candidate, row["candidate"])
    return f"no {side}: {refusal_text(row['gates'].split(), Refusal(candidate, guard, params, float(row['spread'])))}"
