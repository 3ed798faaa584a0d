"""A feature: how much of the bar's range its upper wick is."""

from __future__ import annotations

import json
from pathlib import Path

ROW = "a feature"
EDITS = {
    "ml/features/volatility.py": [
        (
            "\n\nVOLATILITY: tuple[FeatureSpec, ...] = (\n",
            """

def _upper_wick(shared: Indicators) -> FloatArray:
    body = np.maximum(shared.newest(shared.bars.open), shared.close)
    return ratio_or(shared.high - body, shared.high - shared.low, 0.0)


VOLATILITY: tuple[FeatureSpec, ...] = (
    FeatureSpec(55, "upper_wick", 0, 0.0, "Upper wick over the bar's range, 0 to 1.", _upper_wick),
""",
        ),
    ],
    "ml_config.json": [('    "round_distance"\n', '    "round_distance",\n    "upper_wick"\n')],
}


def check(folder: Path) -> None:
    """History, live window, settings and a trained model know the feature, and the check for leaks finds none."""
    import numpy as np

    from ml.feature_engineering import add_all_features, get_feature_names, latest_bar
    from ml.features.leakage import find_leaks
    from ml.load_models import load_models
    from ml.train import train
    from novosky.data.synthetic import synthetic_bars
    from novosky.settings import MlSettings, load_ml_settings, load_settings
    from tests.helpers.sets.signal_sets import SMALL_MODELS, TRAIN_BARS

    ml_settings = load_ml_settings(Path("ml_config.json"))
    assert list(ml_settings.features) == get_feature_names()
    assert get_feature_names()[-1] == "upper_wick"
    bars = synthetic_bars("planted", TRAIN_BARS, seed=3)
    found = add_all_features(bars)["upper_wick"].to_numpy()
    top, bottom = bars["high"].to_numpy(), bars["low"].to_numpy()
    body = np.maximum(bars["open"].to_numpy(), bars["close"].to_numpy())
    assert np.array_equal(found, np.where(top > bottom, (top - body) / np.where(top > bottom, top - bottom, 1.0), 0.0))
    for end in (len(bars), len(bars) - 7):
        assert latest_bar(bars.iloc[:end]).features[-1] == found[end - 1]
    assert find_leaks(add_all_features, bars, (400, len(bars) - 9), generator=np.random.default_rng(1)) == []
    content = json.loads(Path("ml_config.json").read_text()) | {"signal_model": SMALL_MODELS}
    content["training"] = {**content["training"], "device": "cpu", "threads": 1}
    small = MlSettings.model_validate(content)
    settings = load_settings(Path("config.json"))
    train(bars, small, settings, folder / "models", ("signal",))
    models = load_models(folder / "models", settings, small)
    assert models.signal is not None
    assert models.signal.predict_proba(np.zeros((1, len(get_feature_names())))).shape[0] == 1
