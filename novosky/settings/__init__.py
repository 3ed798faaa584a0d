"""Typed, frozen settings for the two files that govern everything: config.json and ml_config.json."""

from novosky.settings.loading import load_ml_settings, load_settings
from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings

__all__ = ["MlSettings", "Settings", "load_ml_settings", "load_settings"]
