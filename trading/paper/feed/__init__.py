"""Real prices for a paper account: where bars come from, and the market they make grow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
