"""The gates between a candidate and an order: one definition each, everything else derived from it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
