"""What the journal takes and gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.records import Guard

INTENT_NEW = "new"
INTENT_FILLED = "filled"
INTENT_REJECTED = "rejected"


@dataclass(frozen=True)
class BotStatus:
    """Where the bot stands after the newest processed bar.

    Attributes
    ----------
    identity : str
        Account, symbol and, in a replay, bars and settings this journal belongs to.
    last_bar : int
        Close of the newest processed bar, UTC epoch seconds; 0 before the first.
    bars_processed, bars_missed : int
        Bars acted on, and bars that closed while the bot was away.
    last_deal : int
        Ticket of the newest deal taken into account.
    cash : float
        Sum of all deals so far: the balance, USD.
    guard : Guard
        The breakers.
    models : str
        Which artifact serves each model.
    finished : bool
        True once a replay has reached its end.
    """

    identity: str
    last_bar: int
    bars_processed: int
    bars_missed: int
    last_deal: int
    cash: float
    guard: Guard
    models: str
    finished: bool


@dataclass(frozen=True)
class Intent:
    """An order the bot means to send: written first, sent second, closed third."""

    id: str
    bar: int
    kind: str
    side: int
    volume: float
    sl: float
    tp: float
    position: int
    reason: int


@dataclass(frozen=True)
class Decision:
    """What was decided at a close; fields of the candidate are None when there was none.

    Attributes
    ----------
    gates : int or None
        Bit mask of the failing gates, see `engine.gates`; stored by their names.
    candidate : str or None
        The record as `engine.layouts.to_text` writes it.
    multiplier : float
        What the risk model made of the size; 1.0 where it was not asked.
    """

    bar: int
    action: str
    price: float
    spread: float
    equity: float
    side: int | None = None
    votes: int | None = None
    confidence: float | None = None
    gap: float | None = None
    gates: int | None = None
    atr: float | None = None
    candidate: str | None = None
    multiplier: float = 1.0


@dataclass(frozen=True)
class PositionEvent:
    """Something that happened to a position, e.g. kind "opened", "adopted", "stop repaired"."""

    ticket: int
    time: int
    kind: str
    detail: str


@dataclass(frozen=True)
class NewsEvent:
    """A scheduled release: UTC epoch seconds, whose currency, its name, "high", "medium" or "low"."""

    time: int
    currency: str
    title: str
    impact: str


@dataclass(frozen=True)
class ModelMetric:
    """A figure about a model at a moment, e.g. name "signal.brier"."""

    time: int
    name: str
    value: float


@dataclass(frozen=True)
class MoneyMove:
    """Money that came to the account or left it without a trade.

    Attributes
    ----------
    ticket, time
        Of its deal; UTC epoch seconds.
    kind : str
        "deposit", "withdrawal", "credit", "charge", "correction" or "bonus".
    amount : float
        USD, negative when paid out.
    balance : float
        After it, USD; a credit leaves it as it is.
    comment : str
        The broker's.
    """

    ticket: int
    time: int
    kind: str
    amount: float
    balance: float
    comment: str


@dataclass(frozen=True)
class BarNotes:
    """What a bar leaves beside its decision, written in the bar's own transaction."""

    events: Sequence[PositionEvent] = ()
    metrics: Sequence[ModelMetric] = ()
    moves: Sequence[MoneyMove] = ()


@dataclass(frozen=True)
class Flag:
    """A switch a person or a rule has set, e.g. name "paused"; `time` is UTC epoch seconds."""

    name: str
    value: str
    time: int
