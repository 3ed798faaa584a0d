"""Which market a model set was trained on, and the refusal of any other."""

from __future__ import annotations

from pathlib import Path

from ml.sets.compat import MEND, Manifest, read_metadata
from ml.sets.ensemble_files import METADATA_NAME
from novosky.market.same_market import Market, ModelMarket, require_same_market
from novosky.settings import Settings


def read_model_market(models_dir: Path, manifest: Manifest) -> ModelMarket:
    """Return what a set says, its metadata checked against the manifest; raises `ModelError`."""
    if METADATA_NAME not in manifest.artifacts:
        return ModelMarket()
    metadata = read_metadata(models_dir, manifest, METADATA_NAME, (), MEND)
    said = {name: metadata.get(name) for name in ("symbol", "timeframe", "synthetic")}
    return ModelMarket(**{name: value if isinstance(value, str) else None for name, value in said.items()})


def require_models_of(models_dir: Path, manifest: Manifest, settings: Settings) -> ModelMarket:
    """Return what a set was trained on, and refuse it for another market than the configured one.

    Raises
    ------
    ModelCompatibilityError
        It was trained on another symbol or time frame; the message names both.
    """
    found = read_model_market(models_dir, manifest)
    require_same_market(
        Market(f"the models in {models_dir}", found.symbol, found.timeframe),
        Market("config.json", settings.symbol, settings.timeframe),
        f"train or pull a set for {settings.symbol} {settings.timeframe}, or name the configuration of the models with "
        "--config (a broker's suffix is found by itself)",
    )
    return found
