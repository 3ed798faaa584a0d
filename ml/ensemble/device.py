"""Which device the boosters train on: a GPU is used only after it has trained ten trees here.

Prediction always runs on the CPU, so the device a set was trained on never shows in its use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

_PROBE_ROWS = 512
_PROBE_FEATURES = 8
_PROBE_TREES = 10


@dataclass(frozen=True)
class Devices:
    """Where each booster trains, in the library's own words, and why.

    Attributes
    ----------
    xgb, lgb : str
        `cpu`, `cuda` or `gpu`. The forest always trains on the CPU.
    explanation : str
        One line for the user.
    """

    xgb: str
    lgb: str
    explanation: str

    def of(self, member: str) -> str:
        """Return the device of one member."""
        return {"rf": "cpu", "xgb": self.xgb, "lgb": self.lgb}[member]


CPU = Devices("cpu", "cpu", "CPU, as training.device in ml_config.json asks")


def choose_devices(setting: Literal["auto", "cpu"]) -> Devices:
    """Find out by training whether XGBoost and LightGBM can use a GPU here.

    Parameters
    ----------
    setting : {"auto", "cpu"}
        `training.device` of ml_config.json; `cpu` asks nothing of the machine.
    """
    if setting == "cpu":
        return CPU
    xgb_device, xgb_reason = _probe_xgboost()
    lgb_device, lgb_reason = _probe_lightgbm()
    return Devices(
        xgb_device, lgb_device, f"XGBoost on {xgb_device} ({xgb_reason}), LightGBM on {lgb_device} ({lgb_reason})"
    )


def _probe_data() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((_PROBE_ROWS, _PROBE_FEATURES)).astype(np.float32)
    return features, (features[:, 0] > 0).astype(np.float32)


def _probe_xgboost() -> tuple[str, str]:
    import json
    import warnings

    import xgboost

    if not xgboost.build_info().get("USE_CUDA", False):
        return "cpu", "this build has no CUDA"
    features, labels = _probe_data()
    parameters = {"device": "cuda", "tree_method": "hist", "objective": "binary:logistic", "verbosity": 0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            booster = xgboost.train(parameters, xgboost.DMatrix(features, label=labels), _PROBE_TREES)
    except xgboost.core.XGBoostError as error:
        return "cpu", f"the GPU failed a trial run: {_first_line(error)}"
    # Without a usable GPU XGBoost trains on the CPU and only says so in its configuration.
    used = str(json.loads(booster.save_config())["learner"]["generic_param"]["device"])
    return ("cuda", "ten trees trained there") if used.startswith("cuda") else ("cpu", "no usable GPU")


def _probe_lightgbm() -> tuple[str, str]:
    import lightgbm

    features, labels = _probe_data()
    reason = ""
    # The published wheels are OpenCL builds; a CUDA build is made by hand and says so here.
    for device in ("gpu", "cuda"):
        parameters = {"device_type": device, "objective": "binary", "verbosity": -2, "num_threads": 1}
        try:
            lightgbm.train(parameters, lightgbm.Dataset(features, label=labels, params=parameters), _PROBE_TREES)
        except lightgbm.basic.LightGBMError as error:
            reason = _first_line(error)
            if "not enabled in this build" not in reason:
                return "cpu", reason
        else:
            return device, "ten trees trained there"
    return "cpu", reason


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].strip()[:120]
