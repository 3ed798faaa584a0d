"""Checks of a machine that is to trade: each a small function that says what it found and how to mend it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
