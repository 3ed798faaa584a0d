"""The markets that the simulated server knows: their terms, quotes, ticks and clock."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
