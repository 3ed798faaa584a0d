"""What the position model says of the trades of a backtest: asked once per trade, remembered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backtest.run import Prepared
from trading.engine.candidates import mean_of_members
from trading.engine.exits import fill_position_inputs, last_bar_open
from trading.engine.records import Account, Params
from trading.models import PositionModel

FloatArray = npt.NDArray[np.float64]
_Trade = tuple[int, int, float, float]
"""Side, entry time, entry price and stop: all of a position that its inputs depend on."""


class PositionOpinions:
    """Probabilities of HOLD, EXIT, ADD at the closes of open positions, kept once asked for.

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
        self._row_of[prepared.rows] = np.arange(len(prepared.rows))
        self._known: dict[_Trade, dict[int, FloatArray]] = {}

    def at(self, bar: int, account: Account, params: Params) -> FloatArray | None:
        """Return the probabilities, shape (3,), at the close of `bar`; None where features are not warm."""
        trade = (int(account.side), int(account.entry_time), float(account.entry_price), float(account.sl))
        known = self._known.setdefault(trade, {})
        if bar not in known:
            self._ask(bar, account, params, known)
        return known.get(bar)

    def _ask(self, bar: int, account: Account, params: Params, known: dict[int, FloatArray]) -> None:
        """Ask for every bar the position can last from `bar` on, in one batch."""
        bars = self._prepared.bars
        span = np.arange(bar, int(last_bar_open(account, params, bars, bar)) + 1, dtype=np.int64)
        span = span[self._row_of[span] >= 0]
        if len(span) == 0:
            return
        features = self._prepared.features[self._row_of[span]]
        inputs = np.empty((len(span), 4))
        fill_position_inputs(account, params, bars, span, inputs)
        mean = mean_of_members(self._model.predict_proba(np.concatenate((features, inputs), axis=1)))
        known.update(zip(span.tolist(), mean, strict=True))
