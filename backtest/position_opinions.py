"""What the position model says of the trades of a backtest: asked once per trade, remembered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtest.run import Prepared
from engine.candidates import mean_of_members
from engine.exits import fill_position_inputs, last_bar_open, trade_key
from engine.inputs.models import PositionModel
from engine.records import Account, Params

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opinion:
    """What the model says of one trade at the closes it can last to.

    Attributes
    ----------
    rows : ndarray of int64, shape (k,)
        Bars with warm features, ascending.
    probabilities : ndarray, shape (k, 3)
        HOLD, EXIT, ADD at their closes.
    until : int
        First bar the opinion does not reach to.
    """

    rows: npt.NDArray[np.int64]
    probabilities: FloatArray
    until: int


class PositionOpinions:
    """Opinions about open positions, kept once asked for.

    They do not depend on thresholds, balance or volume, so that runs with other settings
    over the same window share one instance.

    Parameters
    ----------
    model : PositionModel
    prepared : Prepared
    """

    def __init__(self, model: PositionModel, prepared: Prepared) -> None:
        self._model, self._prepared = model, prepared
        self._row_of = np.full(len(prepared.bars.time), -1, dtype=np.int64)
        self._row_of[prepared.signals.rows] = np.arange(len(prepared.signals.rows))
        self._known: dict[tuple[int, int, float, float], Opinion] = {}

    def about(self, bar: int, account: Account, params: Params) -> Opinion:
        """Return an opinion that reaches at least to the close of `bar`, where the position is open."""
        trade = trade_key(account)
        known = self._known.get(trade)
        if known is None or bar >= known.until:
            known = self._known[trade] = self._ask(bar, account, params)
        return known

    def _ask(self, bar: int, account: Account, params: Params) -> Opinion:
        """Ask for every bar the position can last from `bar` on, in one batch."""
        bars = self._prepared.bars
        until = int(last_bar_open(account, params, bars, bar)) + 1
        span = np.arange(bar, until, dtype=np.int64)
        span = span[self._row_of[span] >= 0]
        if len(span) == 0:
            return Opinion(span, np.empty((0, 3)), until)
        features = self._prepared.signals.features[self._row_of[span]]
        inputs = np.empty((len(span), 4))
        fill_position_inputs(account, params, bars, span, inputs)
        answer = self._model.predict_proba(np.concatenate((features, inputs), axis=1))
        return Opinion(span, mean_of_members(answer), until)
