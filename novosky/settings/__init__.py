"""Typed, frozen settings for the two files that govern everything: config.json and ml_config.json."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
