"""The answers of position and risk model to the engine's questions during a backtest."""

from __future__ import annotations

from backtest.position_opinions import PositionOpinions
from backtest.run import Prepared
from engine.bar import HOLD, LEAVE, hold_until
from engine.equity import equity_state
from engine.exits import first_exit
from engine.inputs.models import Models, RiskModel
from engine.inputs.parameters import build_params
from engine.records import Account, Guard, Params
from novosky.settings import MlSettings, Settings


class ModelAnswers:
    """Answers from the models that are there: without one, positions are held and sizes stay as they are.

    Parameters
    ----------
    params : Params
        With the exit rule.
    opinions : PositionOpinions or None
    risk : RiskModel or None
    """

    def __init__(self, params: Params, opinions: PositionOpinions | None, risk: RiskModel | None) -> None:
        self._params, self._opinions, self._risk = params, opinions, risk
        self._multipliers: dict[tuple[float, ...], float] = {}

    def leave_position(self, bar: int, account: Account, guard: Guard) -> float:
        """Look over the closes the position can last to for the first at which the exit rule is met."""
        if self._opinions is None:
            return HOLD
        opinion = self._opinions.about(bar, account, self._params)
        leave = int(first_exit(self._params, opinion.rows, opinion.probabilities, bar))
        return LEAVE if leave == bar else hold_until(leave if leave > bar else opinion.until)

    def risk_multiplier(self, bar: int, account: Account, guard: Guard) -> float:
        """Return what the risk model makes of the account at the close of `bar`."""
        if self._risk is None:
            return 1.0
        state = equity_state(guard, self._params)
        known = self._multipliers.get(state)
        if known is None:
            known = self._multipliers[state] = self._risk.multiplier(state)
        return known


def model_answers(models: Models, prepared: Prepared, settings: Settings, ml_settings: MlSettings) -> ModelAnswers:
    """Return the answers of a run's models over a window.

    Raises
    ------
    UsageError
        A model is switched on and not there.
    """
    models.require(ml_settings)
    opinions = None if models.position is None else PositionOpinions(models.position, prepared)
    return ModelAnswers(build_params(settings, ml_settings), opinions, models.risk)
