"""How choosy a confidence threshold is: the share of all bars at which a signal model is that sure.

A probability means something else for every set of labels and every training; a share of bars does
not. What is counted are the model's answers to bars it had not learned from: in sample it is too sure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.candidates import named_sides
from engine.gates.signal import MIN_VOTES
from novosky.errors import SettingsError
from novosky.settings.ml import MOST_SHARE, MlSettings

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Selectivity:
    """The confidences of a signal model's surest out-of-fold answers.

    Attributes
    ----------
    bars : int
        All bars that were asked about.
    confidences : ndarray of float64, shape (k,)
        Of the bars at which enough members named the same side, the surest first; as many as
        `MOST_SHARE` of the bars, or all there are.
    """

    bars: int
    confidences: FloatArray

    @classmethod
    def of(cls, probabilities: FloatArray) -> Selectivity:
        """Return that of out-of-fold probabilities of HOLD, BUY, SELL, shape (n, members, 3).

        Votes and confidence are the signal decision's own (`engine.candidates.named_sides`). The lead
        over the next class, sessions and all other gates come after and are not counted here.
        """
        named = named_sides(probabilities)
        sure = np.sort(named.confidence[named.votes >= MIN_VOTES])[::-1]
        bars = len(probabilities)
        return cls(bars, np.ascontiguousarray(sure[: int(np.ceil(bars * MOST_SHARE / 100.0))]))

    def confidence(self, share: float) -> float:
        """Return the threshold that leaves a share of the bars, in percent: the least confidence among them.

        Where sides were named at fewer bars than that, it is the least confidence of a named side.

        Raises
        ------
        ValueError
            No side was ever named, or the share is not above 0 and at most `MOST_SHARE`.

        Examples
        --------
        >>> import numpy as np
        >>> Selectivity(200, np.array([0.9, 0.8, 0.7, 0.6])).confidence(1.5)
        0.7
        """
        if not 0.0 < share <= MOST_SHARE:
            raise ValueError(f"{share} is no share of bars above 0 and up to {MOST_SHARE:g} percent")
        if len(self.confidences) == 0:
            raise ValueError("the signal model never named a side out of fold")
        # At least one bar, so that the smallest share still means something on a short history.
        wanted = max(round(self.bars * share / 100.0), 1)
        return float(self.confidences[min(wanted, len(self.confidences)) - 1])

    def share(self, confidence: float) -> float:
        """Return the percent of bars at which the model was at least this sure, counted up to `MOST_SHARE`.

        Examples
        --------
        >>> import numpy as np
        >>> Selectivity(200, np.array([0.9, 0.8, 0.7, 0.6])).share(0.7)
        1.5
        """
        reached = int(np.searchsorted(-self.confidences, -confidence, side="right"))
        return 100.0 * reached / self.bars if self.bars else 0.0


def decided(ml_settings: MlSettings, selectivity: Selectivity | None) -> MlSettings:
    """Return the settings with a threshold in the place of a share of bars; unchanged where they state no share.

    Raises
    ------
    SettingsError
        A share is stated and nothing is known of what the models said out of fold.
    """
    prediction = ml_settings.prediction
    if prediction.confidence_share is None:
        return ml_settings
    if selectivity is None or len(selectivity.confidences) == 0:
        raise SettingsError(
            f"prediction.confidence_share {prediction.confidence_share:g} is a share of what the models said out of "
            "fold, which is not known of these; train them anew, or set it to null and trade by confidence_threshold"
        )
    threshold = {"confidence_threshold": selectivity.confidence(prediction.confidence_share), "confidence_share": None}
    return ml_settings.model_copy(update={"prediction": prediction.model_copy(update=threshold)})
