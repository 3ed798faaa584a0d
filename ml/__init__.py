"""Bars into features, features into models, models into decisions. Knows nothing of brokers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
