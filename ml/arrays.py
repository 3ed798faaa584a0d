"""The shapes that models take and give, and the classes they tell apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float32Matrix = npt.NDArray[np.float32]

Float64Array = npt.NDArray[np.float64]

ClassArray = npt.NDArray[np.int8]

MEMBERS = ("rf", "xgb", "lgb")

CLASS_NAMES: tuple[str, str, str] = ("HOLD", "BUY", "SELL")

N_CLASSES = len(CLASS_NAMES)
