"""The ordered list of the features, put together from the tables of the rooms.

The order is a contract between training, backtest and bot: each row states its place.
"""

from __future__ import annotations

from .feature_spec import FeatureSpec
from .higher_timeframes import HIGHER_TIMEFRAMES
from .momentum import MOMENTUM
from .news_features import NEWS
from .time_of_week import TIME_OF_WEEK
from .trend import TREND
from .volatility import VOLATILITY
from .volume import VOLUME

_ROOMS = (TREND, MOMENTUM, VOLATILITY, VOLUME, HIGHER_TIMEFRAMES, NEWS, TIME_OF_WEEK)


def in_contract_order(*rooms: tuple[FeatureSpec, ...]) -> tuple[FeatureSpec, ...]:
    """Return the rows of all rooms, ordered by their place.

    Raises
    ------
    ValueError
        When two rows claim one place or one name, or a place is left out: a column would
        then silently change its meaning for every trained model.
    """
    specs = sorted((spec for room in rooms for spec in room), key=lambda spec: spec.place)
    for place, spec in enumerate(specs):
        if spec.place != place:
            raise ValueError(f"feature {spec.name} claims place {spec.place}, but {place} is the next one")
    names = [spec.name for spec in specs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"more than one feature is called {', '.join(doubled)}")
    return tuple(specs)


FEATURES: tuple[FeatureSpec, ...] = in_contract_order(*_ROOMS)
PROTECTED_FEATURES: tuple[str, ...] = tuple(spec.name for spec in FEATURES if spec.protected)
