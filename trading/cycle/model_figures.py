"""How the models do while they trade: rows of the journal's `model_metrics`, for whoever watches performance.

A name is `<figure>@<mark>`; the mark (`mark_of`) tells which models said it, so that the
figures of last week's set and of this week's stand apart in one journal.

=========================  =====================================================================
figure                     value, and its time
=========================  =====================================================================
`signal.confidence`        confidence of a named side, at the close; only where one was named
`position.exit`            P(EXIT) for the open position, at the close; only where it was asked
`signal.candidates`        sides named on a UTC day, at the day's midnight
`signal.confidence_mean`   of these, at the day's midnight
`signal.confidence_sd`     of these, around their own mean (n, not n - 1)
`trades.closed`            trades so far that these models had opened, at the close that booked one
`trades.won`               of these, with a net result above zero
`trades.hit_rate`          their quotient
`trades.net`               sum of their net results, USD
=========================  =====================================================================

Times are UTC epoch seconds. A position closed in parts counts each part, as in the trades
table. A day's rows are written at the first bar after it; a day without a named side has
none. The present hit rate of every set of models:

.. code-block:: sql

    SELECT name, value, max(time) FROM model_metrics WHERE name LIKE 'trades.hit_rate@%' GROUP BY name
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from engine.fills import rounded
from novosky.market.timeframe import DAY_SECONDS
from trading.cycle.bookings import ClosedTrade
from trading.journal import Decision, Journal, ModelMetric

CONFIDENCE, EXIT = "signal.confidence", "position.exit"
CANDIDATES, MEAN, DEVIATION = "signal.candidates", "signal.confidence_mean", "signal.confidence_sd"
TRADES, WON, HIT_RATE, NET = "trades.closed", "trades.won", "trades.hit_rate", "trades.net"
UNKNOWN = "unknown"
"""Marks trades whose entry was decided before these figures were kept."""


def mark_of(fingerprint: str) -> str:
    """Return the mark of models, twelve characters, from what identifies their predictions.

    Examples
    --------
    >>> mark_of("signal:abc")
    'aeb70c0348d7'
    """
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:12]


class ModelFigures:
    """Finds out what a bar adds to the figures.

    Parameters
    ----------
    journal : Journal
    fingerprint : str
        Of the models in force, `engine.inputs.models.Models.fingerprint`.
    money_scale : float
        See `engine.records.Params`.
    """

    def __init__(self, journal: Journal, fingerprint: str, money_scale: float) -> None:
        self._journal, self._mark, self._money_scale = journal, mark_of(fingerprint), money_scale

    def of_bar(self, decision: Decision, closed: Sequence[ClosedTrade], last_bar: int) -> list[ModelMetric]:
        """Return the rows of a bar.

        Parameters
        ----------
        decision : Decision
        closed : sequence of ClosedTrade
            Booked at this bar.
        last_bar : int
            Close of the bar processed before, UTC epoch seconds; 0 at the first.
        """
        day, before = decision.bar // DAY_SECONDS, last_bar // DAY_SECONDS
        rows = [] if last_bar == 0 or before == day else self._day(before * DAY_SECONDS)
        if decision.confidence is not None:
            asked = CONFIDENCE if decision.candidate is not None else EXIT
            rows.append(ModelMetric(decision.bar, f"{asked}@{self._mark}", decision.confidence))
        return rows + self._trades(closed, decision.bar)

    def _day(self, midnight: int) -> list[ModelMetric]:
        found: dict[str, list[float]] = {}
        for metric in self._journal.model_metrics_between(midnight, midnight + DAY_SECONDS):
            figure, _, mark = metric.name.partition("@")
            if figure == CONFIDENCE:
                found.setdefault(mark, []).append(metric.value)
        return [
            ModelMetric(midnight, f"{figure}@{mark}", float(value))
            for mark, values in found.items()
            for figure, value in ((CANDIDATES, len(values)), (MEAN, np.mean(values)), (DEVIATION, np.std(values)))
        ]

    def _trades(self, closed: Iterable[ClosedTrade], close: int) -> list[ModelMetric]:
        by_mark: dict[str, list[float]] = {}
        for each in closed:
            net = float(rounded(each.trade.profit + each.trade.commission + each.trade.swap, self._money_scale))
            by_mark.setdefault(self._decided_by(each.bar), []).append(net)
        rows: list[ModelMetric] = []
        for mark, nets in by_mark.items():
            count = self._so_far(TRADES, mark) + len(nets)
            won = self._so_far(WON, mark) + sum(net > 0.0 for net in nets)
            total = float(rounded(self._so_far(NET, mark) + sum(nets), self._money_scale))
            figures = {TRADES: count, WON: won, HIT_RATE: won / count, NET: total}
            rows += [ModelMetric(close, f"{name}@{mark}", value) for name, value in figures.items()]
        return rows

    def _so_far(self, figure: str, mark: str) -> float:
        newest = self._journal.newest_model_metric(f"{figure}@{mark}")
        return 0.0 if newest is None else newest.value

    def _decided_by(self, bar: int) -> str:
        for metric in self._journal.model_metrics_between(bar, bar + 1):
            figure, _, mark = metric.name.partition("@")
            if figure == CONFIDENCE:
                return mark
        return UNKNOWN
