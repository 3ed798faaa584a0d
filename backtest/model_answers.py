"""The answers of position and risk model to the engine's questions during a backtest."""

from __future__ import annotations

from backtest.position_opinions import PositionOpinions
from backtest.run import Prepared
from novosky.settings import MlSettings, Settings
from trading.engine.equity import equity_state
from trading.engine.exits import VERDICT_EXIT, bars_held, position_verdict
from trading.engine.records import Account, Guard, Params
from trading.models import Models, RiskModel
from trading.parameters import build_params


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

    def leave_position(self, bar: int, account: Account, guard: Guard) -> bool:
        """Tell whether the exit rule is met at the close of `bar`."""
        params = self._params
        # The engine asks after a bar's close; the account's clock stands at its open.
        time = int(account.time) + int(params.bar_seconds)
        # Before that the rule cannot be met, whatever the model says: short trades never ask it.
        if self._opinions is None or bars_held(account, params, time) < params.min_bars_held:
            return False
        opinion = self._opinions.at(bar, account, params)
        if opinion is None:
            return False
        hold, leave, add = opinion.tolist()
        return int(position_verdict(account, params, time, hold, leave, add)) == VERDICT_EXIT

    def risk_multiplier(self, bar: int, account: Account, guard: Guard) -> float:
        """Return what the risk model makes of the account at the close of `bar`."""
        return 1.0 if self._risk is None else self._risk.multiplier(equity_state(guard, self._params))


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
